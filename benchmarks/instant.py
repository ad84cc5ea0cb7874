"""Time to the first model and its score, beside a plain loop on the same weights and images.

python benchmarks/instant.py [--data DIR] [--target 0.94] [--limit 400] [--threads 1]

Cost is processor time of the whole process, imports, data check and planning included. The plain
loop is the usual one: class folders, random resized crops by PIL and torchvision, SGD with momentum
on all layers, a validation after every epoch. Nothing is cached between the two but Python's byte
code, which an uncounted run of either writes where there is none.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

MODEL = "efficientnet_lite0"
SIDE, BATCH, EPOCHS = 224, 16, 12
LR = 0.01


def cpu() -> float:
    """Processor seconds of this process and its children."""
    return sum(os.times()[:4])


def tell(what: str, score: float) -> None:
    print(f"{what}\t{cpu():.1f}\t{time.perf_counter() - BEGAN:.1f}\t{score:.4f}", flush=True)


def ours(data: str, target: float, limit: float) -> None:
    """The line up to a trained model; a point for epoch 0 and each later one."""
    from automl import pipeline
    from automl.recipe.schema import Recipe
    from automl.run_dir import RunDir

    class Told:
        """Looks for scores in what is said."""

        def say(self, text: str) -> None:
            if text.startswith("epoch "):
                words = text.replace("/", " ").split()
                tell(f"automl, epoch {words[1]}", float(text.split(" accuracy ")[1].split()[0]))

        def progress(self, *_: object) -> None:
            """Of no interest."""

    asked = {"task": "classification", "data": {"path": data}, "model": MODEL, "effort": "quick"}
    off = {"track": {"mlflow": "off", "dvc": "off"}, "train": {"image_size": (SIDE, SIDE)}}
    recipe = Recipe.model_validate({**asked, **off})
    with tempfile.TemporaryDirectory() as folder:
        run = RunDir(Path(folder) / "run")
        pipeline.prepare(recipe, run, Told())
        pipeline.plan(recipe, run, Told(), device="cpu")
        pipeline.train(run, Told())
        tell("automl, trained", -1.0)


def plain(data: str, target: float, limit: float) -> None:
    """A point for each epoch, until the target or the limit is reached."""
    import torch
    from torch.nn import functional
    from torch.utils.data import DataLoader
    from torchvision import datasets
    from torchvision.transforms import v2

    from automl.model.build import build, load_backbone
    from automl.model.weights import at_hand
    from automl.planning.backbones import find

    row = find(MODEL, "classification")
    after = [
        v2.ToImage(),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize([0.5] * 3, [0.5] * 3),
    ]
    learn = v2.Compose([v2.RandomResizedCrop(SIDE), v2.RandomHorizontalFlip(), *after])
    judge = v2.Compose([v2.Resize(256), v2.CenterCrop(SIDE), *after])
    train = datasets.ImageFolder(Path(data) / "train", learn)
    val = datasets.ImageFolder(Path(data) / "val", judge)
    torch.manual_seed(0)
    net = build(row, len(train.classes), (SIDE, SIDE))
    load_backbone(net, row, at_hand(row))
    net = net.to(memory_format=torch.channels_last)
    optimiser = torch.optim.SGD(net.parameters(), lr=LR, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, EPOCHS)
    for epoch in range(1, EPOCHS + 1):
        net.train()
        for images, labels in DataLoader(train, BATCH, shuffle=True, drop_last=True):
            optimiser.zero_grad()
            given = images.to(memory_format=torch.channels_last)
            functional.cross_entropy(net(given), labels).backward()
            optimiser.step()
        schedule.step()
        net.eval()
        right = 0
        with torch.inference_mode():
            for images, labels in DataLoader(val, BATCH):
                given = images.to(memory_format=torch.channels_last)
                right += int((net(given).argmax(1) == labels).sum())
        tell(f"plain loop, epoch {epoch}", right / len(val))
        if right / len(val) >= target or cpu() > limit:
            return


def main() -> None:
    """Runs both in processes of their own and prints their points."""
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(__file__).parents[2] / "shared" / "data" / "hymenoptera"
    parser.add_argument("--data", default=str(default))
    parser.add_argument("--target", type=float, default=0.94)
    parser.add_argument("--limit", type=float, default=400.0)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--only", choices=("ours", "plain"))
    asked = parser.parse_args()
    if asked.only:
        import torch

        torch.set_num_threads(asked.threads)
        {"ours": ours, "plain": plain}[asked.only](asked.data, asked.target, asked.limit)
        return
    settings = {"OMP_NUM_THREADS": str(asked.threads), "AUTOML_CACHE": "off"}
    env = {**os.environ, **settings}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    words = [sys.executable, "-c", "import timm, torchvision.transforms.v2, onnxruntime, onnx"]
    subprocess.run(words, check=True, env=env)  # noqa: S603
    print("what\tCPU-s\ts\tval accuracy", flush=True)
    for only in ("ours", "plain"):
        words = [sys.executable, __file__, "--only", only, *sys.argv[1:]]
        subprocess.run(words, check=True, env=env)  # noqa: S603


BEGAN = time.perf_counter()
if __name__ == "__main__":
    main()
