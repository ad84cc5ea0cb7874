"""automl beside its peers in one run: the same images, weights, thread and cores.

    python benchmarks/peers.py [--sets hymenoptera] [--peers automl,torchvision,timm,yolo,...]
                               [--seeds 0,1,2] [--budget 180] [--epochs 5] [--out DIR]

Sets: `hymenoptera` from data/ or ../shared/data, the built-in `digits-classification`,
`fashion-mnist` (3,000 + 1,000 images of Debian's package dataset-fashion-mnist), `bccd-cells`
(crops of bccd's boxes, the test's from its own test split) and `camvid-patches` (64 px of camvid
that are nine tenths of one class). The set's `val` is the test that nobody learns from or chooses
by; a fifth of its `train` validates.
Peers: `automl` (the command with a recipe that names the net and nothing else), the same made to
stop at the fitted head (`automl-head`) or to fine-tune to the end without one (`automl-full`), a
loop like torchvision's reference, a plain timm loop, Ultralytics' classification trainer around
the same net (its own have no weights offline), and fastai's `fine_tune`, where `pip install fastai`
was done; settings are in benchmarks/peers/.

Cost: CPU seconds of the whole process tree from its start, imports and validation included, one
thread each; judging on the test images is not charged. Score: test accuracy of the best model so
far by its own validation; any-time: the area under it over log time from 15 to 900 s, 0 before the
first model. Differences to automl with 95 % of a paired bootstrap over test images and seeds.
Writes results.jsonl, and peers.png where matplotlib is there; prints a table.
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from quality import ROOT, SAMPLES, machine

HERE = Path(__file__).parent / "peers"
SCRIPTS = {
    "automl": "automl_run.py",
    "automl-head": "automl_run.py",
    "automl-full": "automl_run.py",
    "torchvision": "torchvision_loop.py",
    "timm": "timm_loop.py",
    "yolo": "yolo_classify.py",
    "fastai": "fastai_loop.py",
}
TRAIN = {
    "automl-head": {"backbone_lr": 0},
    "automl-full": {"instant": "none", "beat_instant_within": 0},
}
"""What a recipe of automl sets beside the net and the seed."""
SIZES = {
    "hymenoptera": 224,
    "digits-classification": 64,
    "fashion-mnist": 64,
    "bccd-cells": 96,
    "camvid-patches": 96,
}
GOALS = {
    "hymenoptera": 0.94,
    "digits-classification": 0.97,
    "fashion-mnist": 0.88,
    "bccd-cells": 0.97,
    "camvid-patches": 0.90,
}
FASHION = Path("/usr/share/datasets/fashion-mnist")
SIDES = ("xmin", "ymin", "xmax", "ymax")
FIRST_S, LAST_S = 15.0, 900.0
RESAMPLED = 1000


def source(name: str) -> Path:
    """Where a set lies; a built-in one is written."""
    if name in SAMPLES:
        target = ROOT / "data" / name
        command = [sys.executable, "-m", "automl", "sample", name, str(target)]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        return target
    if name in MADE:
        return MADE[name](ROOT / "data" / name)
    places = [p for p in (ROOT / "data" / name, ROOT.parent / "shared/data" / name) if p.is_dir()]
    if not places:
        raise SystemExit(f"no data: put the set at {ROOT / 'data' / name}")
    return places[0]


def fashion(target: Path) -> Path:
    """The first images of both parts of Fashion-MNIST, as files in class folders."""
    import gzip

    from PIL import Image

    for split, prefix, count in (("train", "train", 3000), ("val", "t10k", 1000)):
        pixels, labels = (
            np.frombuffer(
                gzip.decompress((FASHION / f"{prefix}-{kind}-ubyte.gz").read_bytes()), np.uint8
            )
            for kind in ("images-idx3", "labels-idx1")
        )
        for i, image in enumerate(pixels[16 : 16 + count * 784].reshape(count, 28, 28)):
            folder = target / split / str(labels[8 + i])
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(image).save(folder / f"{i:05}.png")
    return target


def cells(target: Path) -> Path:
    """Blood cells cut out along their boxes: at most 300 of a class to learn from, 75 to test."""
    from xml.etree import ElementTree

    from PIL import Image

    given = source("bccd")
    for split, listed, most in (("train", "trainval", 300), ("val", "test", 75)):
        cut: Counter[str] = Counter()
        for name in (given / f"ImageSets/Main/{listed}.txt").read_text().split():
            with Image.open(given / f"JPEGImages/{name}.jpg") as photo:
                for thing in ElementTree.parse(given / f"Annotations/{name}.xml").iter("object"):
                    group = str(thing.findtext("name"))
                    box = [float(str(thing.findtext(f"bndbox/{side}"))) for side in SIDES]
                    if cut[group] == most or min(box[2] - box[0], box[3] - box[1]) < 16:
                        continue
                    cut[group] += 1
                    folder = target / split / group
                    folder.mkdir(parents=True, exist_ok=True)
                    photo.crop(tuple(map(round, box))).save(folder / f"{name}_{cut[group]:03}.png")
    return target


def patches(target: Path) -> Path:
    """Squares of camvid of nearly one class, one a picture and class, evenly over the pictures."""
    from PIL import Image

    given = source("camvid")
    for split, most in (("train", 100), ("val", 40)):
        there: dict[int, list[tuple[Path, int, int]]] = {}
        for path in sorted((given / split / "images").iterdir()):
            with Image.open(given / split / f"masks/{path.stem}.png") as drawn:
                mask = np.asarray(drawn)
            for group, y, x in squares(mask):
                there.setdefault(group, []).append((path, y, x))
        for group in PATCHED:
            folder = target / split / f"{group:02}"
            folder.mkdir(parents=True, exist_ok=True)
            found = there[group]
            for number in sorted({len(found) * i // most for i in range(most)}):
                path, y, x = found[number]
                with Image.open(path) as photo:
                    photo.crop((x, y, x + 64, y + 64)).save(folder / f"{path.stem}.png")
    return target


def squares(mask: np.ndarray) -> list[tuple[int, int, int]]:
    """The first square of 64 px of each class that fills nine tenths of one: class, y, x."""
    first: dict[int, tuple[int, int]] = {}
    for y in range(0, mask.shape[0] - 63, 16):
        for x in range(0, mask.shape[1] - 63, 16):
            square = mask[y : y + 64, x : x + 64]
            group = int(np.bincount(square.ravel()).argmax())
            if group not in first and (square == group).mean() >= 0.9:
                first[group] = (y, x)
    return [(group, *place) for group, place in first.items()]


PATCHED = (1, 3, 4, 5, 8)
"""Classes of camvid with enough such squares: building, road, pavement, tree, car. Squares of sky
are often white in every pixel, and so the same image."""
MADE = {"fashion-mnist": fashion, "bccd-cells": cells, "camvid-patches": patches}


def arranged(name: str, folder: Path) -> tuple[Path, Path]:
    """data/{train,val}/CLASS and test/CLASS, by links to real files; every fifth validates."""
    data, test = folder / "data", folder / "test"
    shutil.rmtree(folder, ignore_errors=True)
    given = source(name).resolve()
    for split in ("train", "val"):
        for group in sorted(p for p in (given / split).iterdir() if p.is_dir()):
            for number, path in enumerate(sorted(group.iterdir())):
                place = test if split == "val" else data / ("train" if number % 5 else "val")
                (place / group.name).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, place / group.name / path.name)
    return data, test


def weights(folder: Path) -> Path:
    """The installed ImageNet weights under timm's names, the same file for all."""
    from safetensors.torch import save_file

    from automl.model.weights import at_hand, load_state
    from automl.planning.backbones import find

    row = find("efficientnet_lite0", "classification")
    found = at_hand(row)
    if found is None:
        raise SystemExit("no weights: `make setup` installs those of EfficientNet-Lite0")
    path = folder / "weights.safetensors"
    save_file({k: v.contiguous().clone() for k, v in load_state(row, found).items()}, path)
    return path


def run(peer: str, name: str, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """One peer, one set, one seed."""
    folder = given.out / name
    data, test = folder / "data", folder / "test"
    out = folder / f"{peer}-{seed}.json"
    words = [sys.executable, str(HERE / SCRIPTS[peer]), str(data), str(test), str(out)]
    words += ["--weights", str(given.out / "weights.safetensors"), "--size", str(SIZES[name])]
    words += ["--epochs", str(given.epochs), "--seed", str(seed), "--budget", str(given.budget)]
    words += ["--train", json.dumps(TRAIN.get(peer, {}))]
    variables = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, **variables, "PYTHONPATH": path}
    env.pop("PYTHONDONTWRITEBYTECODE", None)  # each finds byte code where it once ran
    with out.with_suffix(".log").open("wb") as log:
        done = subprocess.run(words, env=env, stdout=log, stderr=log, check=False)
    if done.returncode:
        raise SystemExit(f"{peer} ended with {done.returncode}; see {out.with_suffix('.log')}")
    found = {"set": name, "peer": peer, "seed": seed, **json.loads(out.read_text())}
    if not found["marks"]:
        raise SystemExit(f"{peer} has left no model; see {out.with_suffix('.log')}")
    return found


def area(marks: list[dict[str, Any]], picked: np.ndarray | None = None) -> float:
    """Under accuracy over log time; `picked` are test images, all where it is None."""
    total = 0.0
    times = [m["cpu"] for m in marks] + [math.inf]
    for mark, until in zip(marks, times[1:], strict=True):
        begin, end = (min(max(t, FIRST_S), LAST_S) for t in (mark["cpu"], until))
        hits = np.asarray(mark["test"])
        accuracy = float(hits.mean() if picked is None else hits[picked].mean())
        total += accuracy * math.log(end / begin)
    return total / math.log(LAST_S / FIRST_S)


def difference(ours: list[Any], theirs: list[Any]) -> tuple[float, float]:
    """95 % of the difference of mean areas: the same seeds and test images for both."""
    rng = np.random.default_rng(0)
    images = len(ours[0]["marks"][0]["test"])
    found = []
    for _ in range(RESAMPLED):
        seeds = rng.integers(len(ours), size=len(ours))
        picked = rng.integers(images, size=images)
        apart = [area(ours[s]["marks"], picked) - area(theirs[s]["marks"], picked) for s in seeds]
        found.append(float(np.mean(apart)))
    low, high = np.quantile(found, (0.025, 0.975))
    return float(low), float(high)


def reached(result: dict[str, Any], goal: float) -> float:
    """CPU seconds to a test accuracy; infinite where it was not reached."""
    times = (m["cpu"] for m in result["marks"] if np.mean(m["test"]) >= goal)
    return next(times, math.inf)


def table(name: str, results: list[dict[str, Any]]) -> None:
    """One row a peer, means over seeds."""
    goal = GOALS[name]
    print(f"\n{name}, {len(results[0]['marks'][0]['test'])} test images\n")
    print(
        f"| peer | first model, CPU s | to {goal} | all, CPU s | last | any-time | automl's more |"
    )
    print("|---|---|---|---|---|---|---|")
    by_peer: dict[str, list[dict[str, Any]]] = {}
    for result in results:
        by_peer.setdefault(result["peer"], []).append(result)
    for peer, own in by_peer.items():
        first, to_goal = ([f(r) for r in own] for f in (_first, lambda r: reached(r, goal)))
        last = np.mean([np.mean(r["marks"][-1]["test"]) for r in own])
        score = np.mean([area(r["marks"]) for r in own])
        more = ""
        if peer != "automl" and "automl" in by_peer:
            more = "{:+.3f} to {:+.3f}".format(*difference(by_peer["automl"], own))
        row = f"{np.mean(first):.0f} | {'; '.join(map(_seconds, to_goal))}"
        row += f" | {np.mean([r['cpu'] for r in own]):.0f} | {last:.3f} | {score:.3f} | {more}"
        print(f"| {peer} | {row} |")


def _first(result: dict[str, Any]) -> float:
    return float(result["marks"][0]["cpu"])


def _seconds(value: float) -> str:
    return f"{value:.0f} s" if math.isfinite(value) else "not reached"


def figure(results: list[dict[str, Any]], path: Path) -> None:
    """Test accuracy over CPU seconds, one panel a set."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        return
    names = list(dict.fromkeys(r["set"] for r in results))
    page = Figure(figsize=(6 * len(names), 4), layout="constrained")
    colours = {peer: f"C{i}" for i, peer in enumerate(SCRIPTS)}
    for axes, name in zip(page.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        for result in (r for r in results if r["set"] == name):
            times = [m["cpu"] for m in result["marks"]] + [max(LAST_S, result["cpu"])]
            values = [np.mean(m["test"]) for m in result["marks"]]
            label = result["peer"] if result["seed"] == results[0]["seed"] else None
            colour = colours[result["peer"]]
            axes.step(times, [*values, values[-1]], where="post", color=colour, label=label)
        axes.set(xscale="log", title=name, xlabel="CPU seconds", ylabel="test accuracy")
        axes.legend()
    page.savefig(path, dpi=120)


def main() -> None:
    """Runs what was asked for, in turns: seeds outside, peers inside."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--sets", default="hymenoptera")
    there = [peer for peer in SCRIPTS if peer != "fastai" or find_spec(peer)]
    parser.add_argument("--peers", default=",".join(there))
    parser.add_argument("--seeds", default="0")
    parser.add_argument("--budget", type=float, default=180, help="CPU seconds for each run")
    parser.add_argument("--epochs", type=int, default=5, help="of those that cannot choose")
    parser.add_argument("--out", type=Path, default=ROOT / "peers-results")
    given = parser.parse_args()
    given.out = given.out.absolute()
    given.out.mkdir(parents=True, exist_ok=True)
    weights(given.out)
    print(f"Machine: {machine()}, one thread")
    everything = []
    with (given.out / "results.jsonl").open("a") as file:
        for name in given.sets.split(","):
            arranged(name, given.out / name)
            for seed in map(int, given.seeds.split(",")):
                for peer in given.peers.split(","):
                    everything.append(run(peer, name, seed, given))
                    file.write(json.dumps(everything[-1]) + "\n")
                    file.flush()
            table(name, [r for r in everything if r["set"] == name])
    figure(everything, given.out / "peers.png")


if __name__ == "__main__":
    main()
