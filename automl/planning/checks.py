"""What no plan may hold: impossible combinations, all named at once."""

from automl.dataset import Profile
from automl.errors import Fault, RecipeError
from automl.plan import Plan
from automl.planning.row import Backbone

STRIDE = 32
SMALLEST = 32


def check_plan(plan: Plan, row: Backbone, profile: Profile) -> None:
    """RecipeError with every impossible combination."""
    faults = [*_sides(plan), *_amounts(plan, profile), *_engine(plan, row), *_device(plan)]
    if faults:
        raise RecipeError(f"{len(faults)} impossible settings in `train`", faults=faults)


def _sides(plan: Plan) -> list[Fault]:
    train, faults = plan.train, []
    for key, sides in (("image_size", train.image_size), ("crop", train.crop)):
        shown = f"`{key}` is {sides[0]}x{sides[1]} px"
        if plan.task != "classification" and any(side % STRIDE for side in sides):
            near = "x".join(str(max(STRIDE, round(side / STRIDE) * STRIDE)) for side in sides)
            faults.append(
                Fault(
                    f"{shown}, {plan.task} needs sides that are multiples of {STRIDE}",
                    hint=f"{near} is nearest",
                )
            )
        elif min(sides) < SMALLEST:
            faults.append(Fault(f"{shown}, below {SMALLEST} px", hint="64 is small and works"))
    if any(c > s for c, s in zip(train.crop, train.image_size, strict=True)):
        faults.append(Fault("`crop` is larger than `image_size`", hint="leave `crop` out"))
    if train.crop != train.image_size and plan.task != "segmentation":
        faults.append(
            Fault(f"`crop` is for segmentation, the task is {plan.task}", hint="leave it out")
        )
    if plan.task == "detection" and train.fit == "crop":
        faults.append(Fault("`fit: crop` would cut boxes off", hint="use letterbox or squash"))
    return faults


def _amounts(plan: Plan, profile: Profile) -> list[Fault]:
    train, faults = plan.train, []
    images = profile.images.get("train", 0)
    if train.batch_size > images:
        faults.append(
            Fault(
                f"`batch_size` is {train.batch_size}, but only {images} images train",
                hint=f"set at most {images}, or leave it out",
            )
        )
    if train.batch_size % train.micro_batch:
        faults.append(
            Fault(
                f"`micro_batch` {train.micro_batch} does not divide `batch_size` "
                f"{train.batch_size}",
                hint="leave `micro_batch` out",
            )
        )
    if train.warmup_epochs > train.epochs:
        faults.append(
            Fault(
                f"`warmup_epochs` {train.warmup_epochs:g} is more than `epochs` {train.epochs}",
                hint="leave `warmup_epochs` out",
            )
        )
    return faults


def _engine(plan: Plan, row: Backbone) -> list[Fault]:
    height, width = plan.train.image_size
    if row.engine == "yolo" and height != width:
        return [
            Fault(
                f"model `{row.name}` trains on squares, `image_size` is {height}x{width}",
                hint=f"set `image_size: {max(height, width)}`",
            )
        ]
    return []


def _device(plan: Plan) -> list[Fault]:
    if plan.train.precision == "bf16" and plan.device == "cpu":
        return [Fault("`precision: bf16` needs a graphics card", hint="leave `precision` out")]
    return []
