"""Which augmentation policy: effort, number of images and class names in, transforms out."""

from automl.plan import Augment
from automl.planning.augmentation import (
    MOSAIC,
    POLICIES,
    Policy,
    mirror_is_safe,
    without_mirror,
)
from automl.planning.choice import Choice, Situation

SHORT_TRAINING = 5
"""Up to this many epochs a net sees each image too rarely to learn it by heart."""
LONG_TRAINING = 40
MANY_IMAGES = 20_000


def choose_augment(at: Situation, epochs: int) -> Choice[Augment]:
    """The recipe's policy or list, or the policy that fits the length of the training."""
    asked = at.recipe.augment
    if isinstance(asked, list):
        custom = Augment(policy="custom", transforms=tuple(asked))
        return Choice(custom, at.recipe.set_by("augment"))
    policy = Choice(asked, at.recipe.set_by("augment")) if asked != "auto" else _policy(at, epochs)
    transforms = POLICIES[at.task][policy.value]
    if asked == "none":
        return Choice(Augment(policy="none", transforms=transforms), policy.because)
    mirror = mirror_is_safe(at.profile)
    if not mirror.value:
        transforms = without_mirror(transforms)
    return Choice(
        Augment(policy=policy.value, transforms=transforms),
        f"{policy.because}; {mirror.because}",
        policy.runner_up,
    )


def choose_mosaic(at: Situation, engine: str, policy: str) -> Choice[float]:
    """The share of training images that are put together from four."""
    if at.task != "detection":
        return Choice(0.0, f"{at.task} trains on images as they are")
    if engine == "native":
        why = "objects keep their size; not measured to help these detectors"
        return Choice(0.0, why, "0.5: more scenes, smaller objects")
    share = MOSAIC.get(policy, 0.0)
    return Choice(share, f"as `{policy}` has it for YOLO")


def _policy(at: Situation, epochs: int) -> Choice[Policy]:
    images = at.train_images
    if at.task == "classification" and at.low_resolution:
        side = max(at.profile.width, at.profile.height)
        return Choice("light", f"images of {side} px lose their object under more", "none")
    if epochs <= SHORT_TRAINING:
        return Choice("light", f"{epochs} epochs are too few to overfit {images} images", "none")
    if images >= MANY_IMAGES:
        return Choice("light", f"{images} images are varied by themselves", "medium")
    if at.recipe.effort == "thorough" and epochs >= LONG_TRAINING:
        return Choice("heavy", f"{epochs} epochs would learn {images} images by heart", "medium")
    return Choice("medium", f"{images} images are seen {epochs} times each", "light")
