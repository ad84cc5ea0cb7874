"""`automl run` as a user starts it, watched from outside: each best model is copied as it appears.

It appears in a checkpoint, which epochs of two seconds and more have each with a net of this size.
Nothing kept from earlier runs is used; MLflow and DVC are off, since no other peer records.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from course import Course, arguments, images


def tree_cpu(root: int) -> float:
    """CPU seconds of a process, all below it and all that ended there."""
    found, total = [root], 0.0
    for pid in found:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += sum(int(ticks) for ticks in fields[11:15])
            for task in Path(f"/proc/{pid}/task").iterdir():
                found += [int(child) for child in (task / "children").read_text().split()]
        except OSError:
            continue
    return total / os.sysconf("SC_CLK_TCK")


def snapshots(run: Path, seen: set[str], copies: Path) -> Path | None:
    """A copy of the newest best weights, where they are new."""
    for manifest in sorted(run.glob("checkpoints/epoch-*/manifest.json"), reverse=True):
        if str(manifest.parent) in seen:
            break
        seen.add(str(manifest.parent))
        return _copied(manifest.parent / "best.safetensors", copies, len(seen))
    bundle = run / "model" / "weights.safetensors"
    if bundle.is_file() and (key := f"{bundle} {bundle.stat().st_mtime_ns}") not in seen:
        seen.add(key)
        return _copied(bundle, copies, len(seen))
    return None


def _copied(source: Path, copies: Path, number: int) -> Path | None:
    try:
        return Path(shutil.copyfile(source, copies / f"{number}.safetensors"))
    except OSError:  # an older one, just removed
        return None


def judge(run: Path, weights: Path, folder: Path, test: Path) -> list[float]:
    """Hits on the test images of these weights in the run's bundle."""
    from safetensors.torch import load_file

    from automl import pipeline
    from automl.model import bundle
    from automl.talk import Silent

    described = bundle.read(run / "model")
    bundle.save(folder, described, load_file(weights))
    rows = images(test)
    found = pipeline.predict(folder, [path for path, _ in rows], Silent(), device="cpu", unread=[])
    classes = sorted(p.name for p in test.iterdir())
    return [
        float(described.names[int(prediction.probabilities.argmax())] == classes[label])
        for (_, prediction), (_, label) in zip(found, rows, strict=True)
    ]


def main() -> None:
    given = arguments()
    course = Course(given)
    scratch = Path(tempfile.mkdtemp())
    net = given.net.removeprefix("tf_")
    recipe = scratch / "recipe.yaml"
    recipe.write_text(
        f"task: classification\ndata: {given.data.absolute()}\nmodel: {net}\n"
        f"train: {json.dumps({**given.train, 'seed': given.seed})}\n"
        "track: {mlflow: 'off', dvc: 'off'}\n"
    )
    run = scratch / "run"
    environment = {**os.environ, "AUTOML_CACHE": str(scratch / "cache")}
    command = [sys.executable, "-m", "automl", "run", str(recipe), "--run-dir", str(run)]
    child = subprocess.Popen(command, cwd=scratch, env=environment)
    taken: list[tuple[float, Path]] = []
    seen: set[str] = set()
    while child.poll() is None:
        spent = tree_cpu(child.pid)
        copy = snapshots(run, seen, scratch)
        taken += [(spent, copy)] if copy else []
        if spent > given.budget:
            child.send_signal(signal.SIGTERM)
            child.wait()
        time.sleep(0.2)
    total = course.spent()
    hits: list[float] = []
    for spent, copy in taken:
        found = judge(run, copy, scratch / "judged", given.test)
        if found != hits:
            course.marks.append({"cpu": spent, "val": None, "test": found})
        hits = found
    course.free += course.spent() - total
    course.end()


if __name__ == "__main__":
    main()
