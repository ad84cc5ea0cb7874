"""How the model is trained: one small function per setting of the plan's `train` section."""

import math
from statistics import median
from typing import Literal

from automl.planning.choice import Choice, Model, Situation
from automl.planning.times import budget_seconds, goal_seconds, in_words

BATCH = {"classification": (16, 32, 64), "segmentation": (8, 8, 16), "detection": (4, 8, 16)}
"""Images per step for sets below `BATCH_LIMITS[0]`, below `BATCH_LIMITS[1]`, and larger ones."""
BATCH_LIMITS = (500, 5000)
LEAST_STEPS = 8
"""Steps an epoch should have at least; smaller sets get smaller batches."""
MEMORY_SHARE = 0.4
"""Share of the memory that the activations of one forward pass may fill."""
BYTES_PER_ACTIVATION = 17.0
"""Outputs, what normalisation and activation keep of them, and their gradients, in fp32: 10 to 16.8
by `benchmarks/memory.py`."""

HEAD_LR = {"classification": 1e-3, "segmentation": 1e-3, "detection": 1e-3}
"""Peak learning rate of new layers under AdamW at `LR_BATCH`."""
SGD_FASTER = {"native": 30.0, "yolo": 10.0}
"""Times that rate under SGD, by engine: measured for the native one (benchmarks/RESULTS.md), which
learns next to nothing at AdamW's own; for the other it makes 0.01, Ultralytics' default."""
SGD_DECAY = 5e-4
"""SGD multiplies its weight decay by a larger rate, and by what momentum adds up."""
LR_BATCH = {"classification": 32, "segmentation": 8, "detection": 8}
TRANSFORMER_LR = 1e-4
YOLO_SCRATCH_LR = 2e-3
TRANSFORMER_DECAY = 0.75
BACKBONE_LR = {"classification": 0.2, "segmentation": 0.5, "detection": 0.5}
"""Learning rate of a pretrained backbone as a multiple of the head's."""
FEW_IMAGES_BACKBONE_LR = 0.1
FEW_IMAGES = 500
WEIGHT_DECAY = {"classification": 0.02, "segmentation": 0.01, "detection": 0.02}
CLIP = {"classification": 5.0, "segmentation": 5.0, "detection": 5.0}
WARMUP_SHARE = {"classification": 0.1, "segmentation": 0.05, "detection": 0.08}
EMA_LEAST_STEPS = 150
EMA_WINDOW = 0.08
"""Steps that the averaged weights look back on, as a share of all steps."""
PATIENCE_SHARE = 0.3
PATIENCE_LEAST_EPOCHS = 15
IMBALANCE = 0.2
"""Images of the rarest over those of the most frequent class; below it the loss weighs classes."""
PIXEL_IMBALANCE = 0.2
"""The same of pixels, over those of the median class beside the largest."""
COMPILE_S, COMPILE_GAIN = 60.0, 1.3
"""What compiling takes on a card, and how much faster steps are then: usual figures, not measured
here, so the training has to be twice as long as where it begins to pay."""
BF16_GAIN = 1.3
"""Times the speed of fp32 from which bf16 is taken on a CPU: noise of a measurement is below it."""
MOST_WORKERS, MOST_WORKERS_KEPT = 8, 4
"""Processes for a card, where images are decoded each time and where their pixels are kept."""
CORES_FED, CORES_FED_KEPT = 4, 16
"""Cores up to which a training on a CPU is fed by its own process, by the same distinction."""

Pair = tuple[int, int]


def choose_batch_size(at: Situation) -> Choice[int]:
    """Images per optimiser step."""
    images = at.train_images
    small, medium, large = BATCH[at.task]
    usual = small if images < BATCH_LIMITS[0] else medium if images < BATCH_LIMITS[1] else large
    least = max(1, 2 * at.hardware.processes - 1)  # parts of an epoch may be one smaller
    batch = min(max(usual, least), images)
    while batch > 2 and -(-batch // 2) >= least and images / batch < LEAST_STEPS:
        batch = -(-batch // 2)
    if micro := at.given("micro_batch"):
        batch = max(1, min(-(-batch // micro), images // micro)) * micro
    steps = math.ceil(images / batch)
    why = f"{images} images make {steps} {'step' if steps == 1 else 'steps'} an epoch"
    double = f"{2 * batch}: half as many steps" if 2 * batch <= images else ""
    return Choice(batch, why, double)


def choose_micro_batch(at: Situation, model: Model, size: Pair, batch: int) -> Choice[int]:
    """The largest divisor of the batch whose activations fit into memory."""
    per_image = activation_bytes(model, size)
    room = MEMORY_SHARE * at.hardware.memory_bytes
    fitting = [n for n in range(1, batch + 1) if batch % n == 0 and n * per_image <= room]
    micro = max(fitting, default=1)
    if model.row.engine == "yolo":
        micro = batch
    why = (
        f"activations of about {micro * per_image / 2**30:.1f} of "
        f"{at.hardware.memory_bytes / 2**30:.0f} GB"
    )
    return Choice(micro, why if micro == batch else f"{why}: {batch // micro} passes make a step")


def activation_bytes(model: Model, size: Pair) -> float:
    """Bytes that one image of a step holds on to until its gradients are there."""
    share = size[0] * size[1] / model.row.image_size**2
    return max(1.0, model.row.activations * share * 1e6 * BYTES_PER_ACTIVATION)


def choose_epochs(at: Situation, bounds: Pair, epoch_s: float, besides_s: float) -> Choice[int]:
    """As many as the time allows, between too few and too many, and no fewer than warm up.

    `besides_s`: of an instant answer and of judging, which a budget has to hold as well.
    """
    fewest, most = bounds
    budget, warm = budget_seconds(at.recipe.budget), math.ceil(at.given("warmup_epochs") or 0)
    goal = max(0.0, goal_seconds(at) - (besides_s if budget else 0.0))
    fitting = int(goal / max(epoch_s, 1e-6))
    about = f"about {in_words(epoch_s)} an epoch of {at.train_images} images"
    if budget is not None:
        epochs = max(1, warm, min(fitting, most))
        part = "" if fitting else ", which is not enough for one, so it ends within it"
        left = f"{in_words(goal)} of the budget are for epochs{part}" if goal else "no time is left"
        why = f"{about}; {left}"
        return Choice(epochs, why, f"{most}: as many as help" if epochs < most else "")
    epochs = max(fewest, warm, min(fitting, most))
    why = f"{about}; {at.recipe.effort} effort takes {fewest} to {most}"
    if fewest < fitting < most:
        why += f" and aims at {in_words(goal)}"
    return Choice(epochs, why, f"{2 * epochs}: twice the time")


def choose_optimiser(at: Situation) -> Choice[Literal["adamw", "sgd"]]:
    """The update rule."""
    return Choice("adamw", "robust to the learning rate in short fine-tuning", "sgd")


def choose_lr(at: Situation, model: Model, batch: int, optimiser: str) -> Choice[float]:
    """Peak learning rate of the head, by the square root of the batch."""
    usual = TRANSFORMER_LR if model.row.transformer else HEAD_LR[at.task]
    if model.row.engine == "yolo" and not model.pretrained:
        usual = YOLO_SCRATCH_LR
    usual *= SGD_FASTER[model.row.engine] if optimiser == "sgd" else 1.0
    base = LR_BATCH[at.task]
    lr = float(f"{usual * math.sqrt(batch / base):.2g}")
    kind = "a transformer" if model.row.transformer else "new layers"
    under = " under SGD" if optimiser == "sgd" else ""
    why = f"{usual:g} for {kind}{under} at batch {base}, by the square root for {batch}"
    return Choice(lr, why, f"{lr / 3:.1g}: slower and safer")


def choose_backbone_lr(at: Situation, model: Model) -> Choice[float]:
    """Learning rate of the backbone as a multiple of the head's."""
    if model.row.engine == "yolo":
        return Choice(1.0, "Ultralytics trains all layers at one rate")
    if not model.pretrained or model.weights.covers == "nothing":
        return Choice(1.0, "the backbone starts from scratch as well")
    if model.row.transformer:
        return Choice(1.0, "the whole transformer learns slowly, see lr and layer_decay")
    if at.task == "classification" and at.low_resolution:
        side = max(at.profile.width, at.profile.height)
        return Choice(1.0, f"images of {side} px are far from ImageNet's: all layers adapt", "0.2")
    if at.task == "classification" and at.train_images < FEW_IMAGES:
        why = f"{at.train_images} images could make pretrained features worse"
        return Choice(FEW_IMAGES_BACKBONE_LR, why, "0: features frozen")
    return Choice(BACKBONE_LR[at.task], "pretrained layers move less than new ones", "1")


def choose_layer_decay(at: Situation, model: Model) -> Choice[float]:
    """Further factor per stage towards the input."""
    if model.row.transformer and model.pretrained:
        return Choice(TRANSFORMER_DECAY, "early layers of a pretrained transformer stay put", "1")
    return Choice(1.0, "one rate for all stages of the backbone")


def choose_weight_decay(at: Situation, model: Model, optimiser: str) -> Choice[float]:
    """Decoupled from the gradients under AdamW, a part of them under SGD."""
    if optimiser == "sgd":
        return Choice(SGD_DECAY, "usual under SGD")
    if model.row.transformer:
        return Choice(0.05, "usual for transformers under AdamW")
    return Choice(WEIGHT_DECAY[at.task], "mild: short fine-tuning regularises by itself")


def choose_warmup(at: Situation, epochs: int, steps: int, optimiser: str) -> Choice[float]:
    """Epochs of linear warm-up."""
    warmup = min(3.0, WARMUP_SHARE[at.task] * epochs)
    share, taken = warmup / epochs, max(1, round(warmup * steps))
    until = "until AdamW knows its gradients" if optimiser == "adamw" else "as the rate is high"
    return Choice(round(warmup, 2), f"{share:.0%} of the training, {taken} steps, {until}")


def choose_schedule(at: Situation) -> Choice[Literal["cosine", "constant"]]:
    """Learning rate after the warm-up."""
    return Choice("cosine", "falls to zero at the last step, so the last epoch is a good one")


def choose_clip(at: Situation, model: Model) -> Choice[float]:
    """Largest gradient norm."""
    if model.row.transformer:
        return Choice(1.0, "transformers have rare large gradients")
    return Choice(CLIP[at.task], "only outliers are cut")


def choose_ema(at: Situation, total_steps: int) -> Choice[float]:
    """Decay of the averaged weights by the number of steps."""
    if total_steps < EMA_LEAST_STEPS:
        why = f"{total_steps} steps are too few to average over (below {EMA_LEAST_STEPS})"
        return Choice(0.0, why)
    window = max(10.0, EMA_WINDOW * total_steps)
    decay = min(0.9998, 1 - 1 / window)
    return Choice(
        float(f"{decay:.4f}"), f"averages the last {window:.0f} of {total_steps} steps", "0: off"
    )


def choose_patience(at: Situation, epochs: int) -> Choice[int]:
    """Epochs without a better score before stopping."""
    if epochs < PATIENCE_LEAST_EPOCHS:
        return Choice(0, f"{epochs} epochs are few and the schedule ends by itself")
    patience = max(8, round(PATIENCE_SHARE * epochs))
    return Choice(patience, f"no gain for {patience} of {epochs} epochs means the end", "0: off")


def choose_label_smoothing(at: Situation) -> Choice[float]:
    """Share of the target spread over all classes."""
    if at.task != "classification":
        return Choice(0.0, f"{at.task} trains on hard targets")
    if at.profile.classes < 3:
        return Choice(0.05, "two classes need little of it", "0.1")
    return Choice(0.1, f"keeps {at.profile.classes} classes from over-confidence", "0")


def choose_class_weights(at: Situation) -> Choice[Literal["none", "balanced"]]:
    """Whether rare classes count more."""
    if at.task == "detection":
        return Choice("none", "the detector's focal loss or sampling sees to rare classes")
    if at.task == "segmentation":
        return _pixel_weights(at.profile.class_counts)
    ratio = at.profile.balance
    if ratio < IMBALANCE:
        why = f"the rarest class has {ratio:.1%} of the images of the most frequent"
        return Choice("balanced", why, "none")
    return Choice("none", f"balanced enough: rarest over most frequent class {ratio:.2f}")


def _pixel_weights(counts: dict[str, int]) -> Choice[Literal["none", "balanced"]]:
    """Compares the regions with each other and leaves the largest, the background, aside.

    Against the background everything is rare; weights would make thin regions too fat, and the
    Dice loss counts each class once anyway.
    """
    regions = sorted(counts.values())[:-1]
    ratio = regions[0] / max(1.0, median(regions)) if regions else 1.0
    if ratio < PIXEL_IMBALANCE:
        why = f"the rarest class has {ratio:.1%} of the pixels of a usual one"
        return Choice("balanced", why, "none")
    why = f"beside the largest class, rarest over median {ratio:.2f}; Dice counts each class once"
    return Choice("none", why, "balanced")


def choose_precision(at: Situation, gain: float | None) -> Choice[Literal["fp32", "bf16"]]:
    """Precision of forward and backward passes; `gain`: measured speed of bf16 over fp32."""
    if at.hardware.bf16 and at.hardware.device.startswith("cuda"):
        return Choice("bf16", f"{at.hardware.name} computes it natively", "fp32")
    if at.on_gpu:
        return Choice("fp32", f"{at.hardware.name} has no fast bf16")
    if gain is not None:
        why = f"a step of this net in bf16 is measured at {gain:.1f} times the speed of fp32 here"
        return Choice("bf16", why, "fp32") if gain >= BF16_GAIN else Choice("fp32", why)
    if at.hardware.native_bf16:
        return Choice("fp32", "the training is too short to measure what bf16 would gain")
    return Choice("fp32", "bf16 is several times slower on CPUs without native support")


def choose_compile(at: Situation, model: Model, train_s: float) -> Choice[bool]:
    """Whether the net is compiled before its first step."""
    if at.hardware.device == "mps":
        return Choice(False, "it was not tried on Apple GPUs")
    if not at.on_gpu:
        return Choice(False, "on a CPU it takes minutes and gains a tenth at most")
    if model.row.engine != "native" or at.task == "detection":
        return Choice(False, "detectors choose boxes in plain Python, which is not compiled")
    least = 2 * COMPILE_S / (1 - 1 / COMPILE_GAIN)
    why = f"pays from {in_words(least)} of training on; about {in_words(train_s)} lie ahead"
    return Choice(train_s >= least, why)


def choose_workers(at: Situation) -> Choice[int]:
    """Processes that read and augment; how many never changes a result."""
    cores, kept = at.hardware.cores, at.hardware.keeps_pixels
    why = "pixels are decoded once and kept" if kept else "each epoch decodes anew"
    if at.on_gpu:
        most = MOST_WORKERS_KEPT if kept else MOST_WORKERS
        workers = max(1, min(most, cores - 1))
        return Choice(workers, f"{why}; {workers} of {cores} cores feed {at.hardware.name}")
    if cores <= (CORES_FED_KEPT if kept else CORES_FED):
        return Choice(0, f"{why}; the training process feeds {cores} cores by itself")
    workers = min(4, cores // (16 if kept else 4))
    return Choice(workers, f"{why}; {workers} of {cores} cores read, the rest trains")


def choose_threads(at: Situation) -> Choice[int]:
    """CPU threads of the arithmetic."""
    cores, asked = at.hardware.cores, at.hardware.threads
    if asked is not None:
        return Choice(asked, "OMP_NUM_THREADS says so", f"{cores}: all cores")
    if at.on_gpu:
        return Choice(min(cores, 8), f"the card computes; {cores} cores prepare")
    return Choice(cores, f"all {cores} cores that this process may use")


def choose_seed(at: Situation) -> Choice[int]:
    """Seed of everything that is drawn."""
    return Choice(0, "fixed, so that the same recipe gives the same model")
