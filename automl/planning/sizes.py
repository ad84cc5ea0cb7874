"""How large the model sees an image: image sizes and object sizes in, pixels out."""

import math

from automl.planning.backbones import Backbone
from automl.planning.choice import Choice, Model, Situation
from automl.planning.cost import seconds_per_image
from automl.planning.instant_rules import (
    LEAST_LIGHT,
    answer_images,
    answers_first,
)
from automl.planning.times import LEAST_EPOCHS, goal_seconds, in_words
from automl.recipe.checks import STRIDE

Size = tuple[int, int]
STORED = 1.25
"""Short side of a stored image as a multiple of what the model sees: room to crop from."""
LARGEST = 8192
"""Side of any image that a plan holds."""
SMALLEST = 64
"""Below this side the last stage of a network sees one or two places only."""
LONGEST_SIDE = {"cpu": 512, "cuda": 1024, "mps": 768}
"""Longest side of a segmentation or detection image by device."""
CROP_SIDE = {"cpu": 320, "cuda": 640, "mps": 512}
"""Side of a training crop where a segmentation image is larger."""
OBJECT_PIXELS = {"cpu": 60.0, "cuda": 96.0, "mps": 80.0}
"""Side in pixels that the small tenth of the objects should have in front of a detector."""


def choose_image_size(at: Situation, model: Model) -> Choice[Size]:
    """Height and width in front of the model."""
    given = at.given("image_size")
    if given is not None:
        return Choice(given, at.recipe.set_by("train.image_size"))
    return _affordable(at, model, whole_image_size(at, model.row))


def whole_image_size(at: Situation, row: Backbone) -> Choice[Size]:
    """The same, whatever a budget affords."""
    if at.task == "classification":
        return _classification_size(at, row)
    return _segmentation_size(at) if at.task == "segmentation" else _detection_size(at)


def _affordable(at: Situation, model: Model, whole: Choice[Size]) -> Choice[Size]:
    """Smaller images where a budget has no time to learn from large ones."""
    if at.recipe.budget is None or model.row.fixed_size:
        return whole
    goal, (height, width) = goal_seconds(at), whole.value
    steps = [share / 8 for share in range(8, 3, -1)]
    sizes = [(_multiple(height * share), _multiple(width * share)) for share in steps]
    least = at.given("crop") or (min(SMALLEST, height, width),) * 2
    sizes = [size for size in sizes if size[0] >= least[0] and size[1] >= least[1]] or [whole.value]
    fitting = [size for size in sizes if _least_seconds(at, model, size) <= goal]
    size = whole.value if whole.value in fitting[:1] else [*fitting, sizes[-1]][0]
    if size == whole.value:
        return whole
    why = f"{whole.because}, but {in_words(goal)} of the budget do more with smaller ones"
    return Choice(size, why, f"{height}x{width}")


def _least_seconds(at: Situation, model: Model, size: Size) -> float:
    """Of a few epochs, or of an instant answer that is worth it."""
    crop = choose_crop(at, size).value
    each = seconds_per_image(model.row, crop, at.hardware.device, at.hardware.gflops)
    epochs_s = LEAST_EPOCHS * at.train_images * each / at.hardware.processes
    if not answers_first(at, model):
        return epochs_s
    steps = LEAST_LIGHT.get(at.task, 0)
    return min(epochs_s, each * answer_images(at, model, (size, crop), steps))


def _classification_size(at: Situation, row: Backbone) -> Choice[Size]:
    """The pretrained size, less where the images have no more pixels."""
    native, short = row.image_size, min(at.profile.width, at.profile.height)
    if row.fixed_size:
        return Choice((native, native), f"{row.name} was trained at {native} px and keeps it")
    if short >= native:
        return Choice(
            (native, native),
            f"{row.name} was pretrained at {native} px; the images' short side is {short} px",
            _square(_multiple(native * 1.25)),
        )
    side = min(native, max(SMALLEST, _multiple(short)))
    why = f"the images' short side is {short} px"
    if short < SMALLEST:
        why += f", enlarged to {side} px so that the deepest of five halvings still sees places"
    return Choice((side, side), why, _square(min(native, 2 * side)) if side < native else "")


def _segmentation_size(at: Situation) -> Choice[Size]:
    """All pixels that the device affords, in the set's shape."""
    limit = LONGEST_SIDE[_kind(at)]
    size = _fitted(at, limit)
    height, width = at.profile.height, at.profile.width
    why = f"images of {width}x{height} px in their shape, sides in multiples of {STRIDE}"
    if max(height, width) > limit:
        why += f", at most {limit} px on this device"
    half = _fitted(at, max(SMALLEST, max(size) // 2))
    return Choice(size, why, "" if half == size else f"{half[0]}x{half[1]}: thin regions vanish")


def _detection_size(at: Situation) -> Choice[Size]:
    """As small as the small objects allow, as large as the device affords."""
    limit = LONGEST_SIDE[_kind(at)]
    height, width = at.profile.height, at.profile.width
    longest = max(height, width)
    smallest = at.profile.object_size[0] if at.profile.object_size else 0.0
    wanted = float(longest)
    if smallest > 0:
        wanted = OBJECT_PIXELS[_kind(at)] / smallest * longest / math.sqrt(height * width)
    side = min(limit, max(wanted, SMALLEST * 2), max(longest, SMALLEST * 2))
    size = _fitted(at, math.ceil(side / STRIDE) * STRIDE)
    pixels = smallest * math.sqrt(size[0] * size[1])
    why = f"images of {width}x{height} px; a tenth of the objects is below {pixels:.0f} px then"
    other = _fitted(at, max(size) + 4 * STRIDE)
    return Choice(size, why, "" if other == size else f"{other[0]}x{other[1]}: takes longer")


def choose_crop(at: Situation, size: Size) -> Choice[Size]:
    """The part of an image that one training step sees (segmentation)."""
    given = at.given("crop")
    if given is not None:
        return Choice(given, at.recipe.set_by("train.crop"))
    if at.task != "segmentation":
        return Choice(size, f"{at.task} trains on whole images")
    side = CROP_SIDE[_kind(at)]
    if max(size) <= side * 1.25:
        return Choice(size, f"{size[0]}x{size[1]} px fit as a whole")
    crop = (min(side, size[0]), min(side, size[1]))
    return Choice(
        crop,
        f"crops of {crop[0]}x{crop[1]} from {size[0]}x{size[1]}: more places and zooms in the "
        "same time",
        f"whole images of {size[0]}x{size[1]}",
    )


def choose_fit(at: Situation, size: Size) -> Choice[str]:
    """How an image is brought to the size."""
    given = at.given("fit")
    if given is not None:
        return Choice(given, at.recipe.set_by("train.fit"))
    if at.task == "detection":
        return Choice("letterbox", "boxes keep their shape and none is cut off")
    if at.task == "segmentation":
        return _segmentation_fit(at, size)
    if at.low_resolution:
        side = max(at.profile.width, at.profile.height)
        return Choice("squash", f"images of {side} px have no edge to cut off", "crop")
    return Choice("crop", "as in pretraining: the shape stays and the subject is large", "squash")


def choose_stored_size(at: Situation, fit: str, size: Size) -> Choice[int]:
    """The short side at which images wait for their random crops."""
    if at.task != "classification" or fit != "crop":
        return Choice(0, f"{fit}: images are kept as they are fitted, not cropped from")
    side = min(LARGEST, _multiple(max(size) * STORED))
    if at.profile.largest_side <= side:
        return Choice(0, f"no image is longer than {at.profile.largest_side} px")
    why = f"a usual crop for {size[1]}x{size[0]} px is not enlarged, and JPEGs decode at a fraction"
    return Choice(side, why, "0: all pixels, slower to read")


def _segmentation_fit(at: Situation, size: Size) -> Choice[str]:
    """Stretched where that hardly shows, otherwise with bars."""
    stretch = (size[1] / size[0]) / (at.profile.width / at.profile.height)
    short, long = sorted((at.profile.width, at.profile.height))
    mixed = at.profile.smallest_side < 0.9 * short or at.profile.largest_side > 1.1 * long
    if 0.93 < stretch < 1.08 and not mixed:
        off = abs(stretch - 1) * 100
        return Choice(
            "squash", f"every pixel is used; the shape changes by {off:.0f} %", "letterbox"
        )
    return Choice("letterbox", "the images' shape is kept", "squash")


def _fitted(at: Situation, longest: float) -> Size:
    """The set's median shape with this longest side at most, in multiples of the stride."""
    height, width = at.profile.height, at.profile.width
    scale = min(1.0, longest / max(height, width))
    if max(height, width) < SMALLEST:
        scale = SMALLEST / max(height, width)
    return max(SMALLEST, _multiple(height * scale)), max(SMALLEST, _multiple(width * scale))


def _multiple(pixels: float) -> int:
    return max(STRIDE, round(pixels / STRIDE) * STRIDE)


def _square(side: int) -> str:
    return f"{side}x{side}"


def _kind(at: Situation) -> str:
    return at.hardware.device.partition(":")[0]
