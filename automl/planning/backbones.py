"""The model table: one row of facts per model that a recipe can name. It costs no torch.

The costs are measured: `python benchmarks/model_table.py` prints them anew.
"""

from dataclasses import replace

from automl.dataset import Task
from automl.errors import RecipeError
from automl.planning.model_row import Backbone as Backbone
from automl.planning.model_row import size_of
from automl.suggestions import nearest

DECODERS = ("unet", "unetplusplus", "fpn", "deeplabv3plus", "segformer", "upernet")
HEADS = ("fcos", "retinanet", "ssd")
CARRIED: dict[Task, tuple[str, ...]] = {
    "classification": (),
    "segmentation": DECODERS,
    "detection": HEADS,
}
"""What a name such as `unet-<any timm encoder>` may begin with."""

Costs = tuple[float, float, float]
"""Parameters in millions, gflops, activations in millions; for 10 classes."""
Facts = tuple[float, float, float, float]
"""Costs and the published quality."""


def _timm(
    name: str, architecture: str, image_size: int, facts: Facts, licence: str = "Apache-2.0"
) -> Backbone:
    """A timm network with a linear head; the code is Apache-2.0, `licence` that of the weights."""
    return Backbone(
        name=name,
        task="classification",
        source="timm",
        architecture=architecture,
        head="linear",
        size=size_of(facts[0]),
        parameters=facts[0],
        gflops=facts[1],
        image_size=image_size,
        licence="Apache-2.0",
        weights_licence=licence,
        activations=facts[2],
        published=facts[3],
        fixed_size=architecture.startswith(("vit_", "eva")),
    )


def _torchvision(
    name: str, architecture: str, head: str, image_size: int, facts: Facts
) -> Backbone:
    """A whole torchvision network; code and weights are published under BSD-3-Clause."""
    return replace(
        _timm(name, architecture, image_size, facts, "BSD-3-Clause"),
        task="classification" if head == "linear" else "detection",
        source="torchvision",
        head=head,
        licence="BSD-3-Clause",
    )


_CLASSIFIERS = (
    _timm("test_efficientnet", "test_efficientnet", 160, (0.102, 0.114, 0.549, 0)),
    _timm("test_resnet", "test_resnet", 160, (0.374, 0.205, 0.639, 0)),
    _timm("test_vit", "test_vit", 160, (0.307, 0.0751, 0.317, 41)),
    _timm("test_convnext", "test_convnext", 160, (0.208, 0.0623, 0.576, 0)),
    _timm("efficientnet_lite0", "tf_efficientnet_lite0", 224, (3.38, 0.768, 6.74, 74.8)),
    _timm("efficientnet_lite1", "tf_efficientnet_lite1", 240, (4.15, 1.2, 10.1, 76.6)),
    _timm("efficientnet_lite2", "tf_efficientnet_lite2", 260, (4.82, 1.72, 12.9, 77.5)),
    # 71.9 is that of torchvision's weights, which a package carries; timm's own reach 73.0.
    _timm("mobilenetv2_100", "mobilenetv2_100", 224, (2.24, 0.599, 6.68, 71.9)),
    _timm("mobilenetv3_small_100", "mobilenetv3_small_100", 224, (1.53, 0.111, 1.42, 67.7)),
    _timm("mobilenetv3_large_100", "mobilenetv3_large_100", 224, (4.21, 0.431, 4.41, 75.8)),
    _timm("mobilenetv4_conv_small", "mobilenetv4_conv_small", 224, (2.51, 0.369, 1.96, 73.8)),
    _timm("mobilenetv4_conv_medium", "mobilenetv4_conv_medium", 256, (8.45, 2.16, 7.58, 79.9)),
    _timm("efficientnet_b0", "efficientnet_b0", 224, (4.02, 0.769, 6.75, 77.7)),
    _timm("repvit_m1_1", "repvit_m1_1", 224, (7.79, 2.68, 9.42, 81.3)),
    _timm("resnet18", "resnet18", 224, (11.2, 3.63, 2.48, 71.5)),
    _timm("resnet50", "resnet50", 224, (23.5, 8.17, 11.1, 80.4)),
    _timm("convnext_nano", "convnext_nano.in12k_ft_in1k", 224, (15, 4.89, 8.37, 82.3)),
    _timm("convnext_tiny", "convnext_tiny.in12k_ft_in1k", 224, (27.8, 8.91, 13.4, 84.2)),
    _timm("convnext_base", "convnext_base.fb_in22k_ft_in1k", 224, (87.6, 30.7, 28.8, 85.8)),
    _timm(
        "convnextv2_tiny",
        "convnextv2_tiny.fcmae_ft_in22k_in1k",
        224,
        (27.9, 8.91, 13.4, 83.9),
        "CC-BY-NC-4.0",
    ),
    _timm("hgnetv2_b4", "hgnetv2_b4.ssld_stage2_ft_in1k", 224, (17.8, 5.46, 6.7, 83.7)),
    _timm("efficientnetv2_s", "tf_efficientnetv2_s.in21k_ft_in1k", 300, (20.2, 10.6, 22.7, 83.3)),
    _timm("vit_tiny", "vit_tiny_patch16_224.augreg_in21k_ft_in1k", 224, (5.53, 2.51, 4.12, 75.5)),
    _timm("vit_small", "vit_small_patch16_224.augreg_in21k_ft_in1k", 224, (21.7, 9.2, 8.25, 81.4)),
    _timm("vit_base", "vit_base_patch16_224.augreg2_in21k_ft_in1k", 224, (85.8, 35.1, 16.5, 85.1)),
    _timm(
        "eva02_small",
        "eva02_small_patch14_336.mim_in22k_ft_in1k",
        336,
        (21.7, 30.9, 19.7, 85.7),
        "MIT",
    ),
    _torchvision(
        "tv_mobilenet_v3_large", "mobilenet_v3_large", "linear", 224, (4.21, 0.431, 4.41, 75.3)
    ),
    _torchvision("tv_resnet50", "resnet50", "linear", 224, (23.5, 8.17, 11.1, 80.9)),
    _torchvision("tv_swin_t", "swin_t", "linear", 224, (27.5, 8.98, 7.71, 81.5)),
)

_ENCODERS = {row.name: row for row in _CLASSIFIERS}


def composed(head: str, encoder: Backbone, image_size: int, costs: Costs) -> Backbone:
    """A decoder of SMP or a one-stage detection head on a timm encoder."""
    segments = head in DECODERS
    return replace(
        encoder,
        name=f"{head}-{encoder.name}",
        task="segmentation" if segments else "detection",
        source="smp" if segments else "timm",
        architecture=f"tu-{encoder.architecture}" if segments else encoder.architecture,
        head=head,
        size=size_of(costs[0]),
        parameters=costs[0],
        gflops=costs[1],
        image_size=image_size,
        licence="MIT" if segments else "Apache-2.0",
        activations=costs[2],
        fixed_size=False,
    )


def _smp(decoder: str, encoder: str, costs: Costs) -> Backbone:
    return composed(decoder, _ENCODERS[encoder], 256, costs)


def _one_stage(head: str, encoder: str, image_size: int, costs: Costs) -> Backbone:
    return composed(head, _ENCODERS[encoder], image_size, costs)


def _yolo(name: str, facts: Facts) -> Backbone:
    """An Ultralytics detector; code and, by the vendor's claim, weights are AGPL-3.0."""
    return replace(
        _torchvision(name, f"{name}.yaml", "yolo", 640, facts),
        source="ultralytics",
        licence="AGPL-3.0",
        weights_licence="AGPL-3.0",
    )


TABLE: tuple[Backbone, ...] = (
    *_CLASSIFIERS,
    _smp("unet", "test_resnet", (2.3, 5.55, 6.35)),
    _smp("fpn", "test_efficientnet", (1.75, 4.26, 3.81)),
    _smp("unet", "efficientnet_lite0", (5.2, 5.93, 13.4)),
    _smp("unetplusplus", "efficientnet_lite0", (5.43, 8.22, 15.5)),
    _smp("fpn", "efficientnet_lite0", (4.71, 4.95, 11.1)),
    _smp("deeplabv3plus", "efficientnet_lite0", (3.86, 2.84, 14.1)),
    _smp("segformer", "efficientnet_lite0", (3.42, 3.89, 15.4)),
    _smp("unet", "efficientnet_lite2", (6.7, 6.49, 16.6)),
    _smp("unet", "mobilenetv2_100", (4.01, 5.68, 13.4)),
    _smp("deeplabv3plus", "mobilenetv3_large_100", (4.71, 2.33, 10.6)),
    _smp("unet", "resnet50", (32.5, 21.4, 19.2)),
    _smp("deeplabv3plus", "resnet50", (26.7, 18.3, 21.1)),
    _smp("unetplusplus", "efficientnetv2_s", (22.6, 18.1, 23.8)),
    _smp("unet", "hgnetv2_b4", (22.5, 16.7, 13.5)),
    _smp("fpn", "hgnetv2_b4", (16.1, 11.8, 11.2)),
    _smp("segformer", "convnext_tiny", (28.5, 14.2, 20)),
    _smp("upernet", "convnext_tiny", (37, 38.2, 21.4)),
    _smp("upernet", "convnext_base", (97.7, 66.9, 41.4)),
    _one_stage("fcos", "test_efficientnet", 320, (0.691, 2.28, 3.42)),
    _one_stage("ssd", "test_resnet", 320, (0.527, 0.862, 3.12)),
    _one_stage("fcos", "efficientnet_lite0", 320, (3.6, 3.33, 14.9)),
    _one_stage("retinanet", "efficientnet_lite0", 320, (3.7, 3.73, 15.1)),
    _one_stage("ssd", "efficientnet_lite0", 320, (3.16, 1.53, 14.1)),
    _one_stage("fcos", "efficientnet_lite2", 320, (5, 4.1, 19.8)),
    _one_stage("fcos", "mobilenetv2_100", 320, (2.45, 2.98, 14.8)),
    _one_stage("fcos", "mobilenetv4_conv_medium", 320, (7.91, 5.24, 13.1)),
    _one_stage("retinanet", "resnet18", 320, (12, 9.69, 6.56)),
    _one_stage("fcos", "resnet50", 640, (24.6, 75.1, 95.8)),
    _one_stage("fcos", "hgnetv2_b4", 640, (14.7, 52.9, 59.7)),
    _one_stage("fcos", "convnext_tiny", 640, (28.7, 80.4, 115)),
    _one_stage("retinanet", "convnext_base", 640, (88.6, 260, 241)),
    _torchvision(
        "ssdlite320_mobilenet_v3_large",
        "ssdlite320_mobilenet_v3_large",
        "ssd",
        320,
        (2.33, 0.847, 9.49, 21.3),
    ),
    _torchvision(
        "retinanet_resnet50_fpn_v2",
        "retinanet_resnet50_fpn_v2",
        "retinanet",
        640,
        (36.5, 166, 114, 41.5),
    ),
    _torchvision("fcos_resnet50_fpn", "fcos_resnet50_fpn", "fcos", 640, (32.1, 161, 113, 39.2)),
    _torchvision(
        "fasterrcnn_mobilenet_v3_large_fpn",
        "fasterrcnn_mobilenet_v3_large_fpn",
        "fasterrcnn",
        640,
        (19, 33.6, 38.7, 32.8),
    ),
    _torchvision(
        "fasterrcnn_resnet50_fpn_v2",
        "fasterrcnn_resnet50_fpn_v2",
        "fasterrcnn",
        640,
        (43.3, 451, 177, 46.7),
    ),
    _yolo("yolo11n", (2.59, 6.38, 16.6, 39.5)),
    _yolo("yolo11s", (9.43, 21.4, 31.5, 47)),
    _yolo("yolo11m", (20.1, 67.8, 68, 51.5)),
    _yolo("yolo11l", (25.3, 86.9, 87.5, 53.4)),
    _yolo("yolo11x", (56.9, 195, 131, 54.7)),
    _yolo("yolo26n", (2.51, 5.76, 19.2, 40.3)),
    _yolo("yolo26s", (9.96, 22.5, 38.2, 47.7)),
    _yolo("yolo26m", (21.8, 74.4, 78.2, 52.5)),
    _yolo("yolo26l", (26.2, 92.8, 97.4, 54.1)),
    _yolo("yolo26x", (58.8, 208, 146, 56.9)),
)


def find(name: str, task: Task) -> Backbone:
    """The row called `name`, or one composed for a name such as `unet-<any timm encoder>`."""
    for row in TABLE:
        whole = row.head not in CARRIED[task] or row.source == "torchvision"
        if row.task == task and (name == row.name or (whole and name == row.architecture)):
            return row
    head, _, encoder = name.partition("-")
    if task == "classification":
        found = _from_timm(name)
    else:
        found = _on_encoder(head, encoder) if head in CARRIED[task] else None
    if found is None:
        raise _unknown(name, task)
    return found


def _from_timm(name: str) -> Backbone | None:
    """A classifier that the table does not hold; its facts are measured on the spot."""
    from automl.planning.timm_facts import timm_facts

    known = timm_facts(name)
    if known is None:
        return None
    row = _timm(name, name, known.image_size, (*known.numbers, 0.0), known.licence)
    return replace(row, fixed_size=known.fixed_size)


def _carrier(name: str) -> Backbone | None:
    """The timm network called `name`, from the table or not."""
    rows = (row for row in _CLASSIFIERS if row.source == "timm")
    return next((r for r in rows if name in (r.name, r.architecture)), None) or _from_timm(name)


def _on_encoder(head: str, encoder: str) -> Backbone | None:
    """A head on an encoder; what the head costs is taken from its first row in the table."""
    from automl.planning.timm_nets import lack

    carrier = _carrier(encoder)
    if carrier is None:
        return None
    missing = lack(carrier.architecture, head)
    if missing:
        raise RecipeError(
            f"encoder `{encoder}` cannot carry `{head}`: {missing}",
            hint=f"for example `{head}-efficientnet_lite0` or `{head}-resnet50`",
        )
    model = next(r for r in TABLE if r.head == head and r.encoder and not r.for_tests)
    under = next(r for r in _CLASSIFIERS if r.architecture == model.encoder)

    def instead(ours: float, carried: float, under_it: float) -> float:
        each = carried / carrier.image_size**2 - under_it / under.image_size**2
        return max(carried, ours + each * model.image_size**2)

    parameters = carrier.parameters + max(0.0, model.parameters - under.parameters)
    gflops = instead(model.gflops, carrier.gflops, under.gflops)
    activations = instead(model.activations, carrier.activations, under.activations)
    costs = (round(parameters, 1), round(gflops, 2), round(activations, 1))
    return composed(head, carrier, model.image_size, costs)


def _unknown(name: str, task: Task) -> RecipeError:
    """Names the task that knows the model, or the nearest name."""
    elsewhere = [row.task for row in TABLE if row.name == name]
    names = [row.name for row in TABLE if row.task == task and not row.for_tests]
    head, _, encoder = name.partition("-")
    elsewhere += [t for t, heads in CARRIED.items() if encoder and t != task and head in heads]
    if elsewhere:
        return RecipeError(
            f"model `{name}` is for {elsewhere[0]}, the task is {task}",
            hint=f"set `model: auto`, or one of {', '.join(names[:6])}, ...",
        )
    near = _nearest_composed(name, task) or nearest(name, names)
    hint = f"did you mean `{near}`?" if near else f"`automl models` lists {len(names)} for {task}"
    return RecipeError(f"unknown model `{name}` for {task}", hint=hint)


def _nearest_composed(name: str, task: Task) -> str | None:
    """The nearest name that `find` would compose."""
    import timm

    head, dash, encoder = name.partition("-")
    known = [*_ENCODERS, *timm.list_models()]
    if task == "classification":
        return nearest(name, known)
    kind, carrier = nearest(head, CARRIED[task]), nearest(encoder, known)
    return f"{kind}-{carrier}" if dash and kind and carrier else None
