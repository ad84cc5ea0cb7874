"""fastai as its guide has it: `vision_learner`, its augmentation, `fine_tune` with a frozen epoch.

fastai is no dependency: `pip install fastai` first, in an environment of its own.
"""

import torch
from course import Course, arguments, hits, images
from fastai.vision.all import (
    Callback,
    ImageDataLoaders,
    Normalize,
    Recorder,
    Resize,
    accuracy,
    aug_transforms,
    vision_learner,
)
from loop import BATCH
from safetensors.torch import load_file


class Noted(Callback):
    """Notes each epoch's score, and ends where the budget is spent."""

    order = Recorder.order + 1

    def __init__(self, course: Course, rows: list, labels: torch.Tensor) -> None:
        self.course, self.rows, self.labels = course, rows, labels
        self.over = False

    def after_epoch(self) -> None:
        """`metrics` begins with the losses of both sets."""
        val = float(self.learn.recorder.values[-1][2])
        self.over = not self.course.epoch(val, self._judged) or self.over

    def before_batch(self) -> None:
        """Between epochs fastai cannot be ended without an error."""
        if self.over and self.training:
            raise SystemExit

    def _judged(self) -> list[float]:
        found = []
        self.learn.model.eval()
        loader = self.learn.dls.test_dl([path for path, _ in self.rows], bs=32)
        with torch.inference_mode():
            for (batch,) in loader:
                found.append(self.learn.model(batch))
        self.learn.model.train()
        return hits(torch.cat(found).numpy(), self.labels.numpy())


def main() -> None:
    given = arguments()
    torch.manual_seed(given.seed)
    torch.set_num_threads(1)
    course = Course(given)
    loaders = ImageDataLoaders.from_folder(
        given.data,
        train="train",
        valid="val",
        seed=given.seed,
        item_tfms=Resize(round(given.size * 256 / 224)),
        batch_tfms=[*aug_transforms(size=given.size), Normalize.from_stats((0.5,) * 3, (0.5,) * 3)],
        bs=BATCH,
        num_workers=0,
    )
    learner = vision_learner(loaders, given.net, pretrained=False, metrics=accuracy)
    state = load_file(given.weights)
    body = learner.model[0].model
    missing, _ = body.load_state_dict(state, strict=False)
    if missing:
        raise SystemExit(f"not in the weights: {missing}")
    rows = images(given.test)
    after = Noted(course, rows, torch.tensor([label for _, label in rows]))
    try:
        with learner.no_bar(), learner.no_logging():
            learner.fine_tune(given.epochs - 1, cbs=after)
    except SystemExit:
        if not after.over:
            raise
    course.end()


if __name__ == "__main__":
    main()
