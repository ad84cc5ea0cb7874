"""Predictions of image files in, JSON lines, a COCO document, mask PNGs and drawings out."""

import hashlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from automl.data.files import walk_images
from automl.data.images import read_image
from automl.errors import Fault, UsageError
from automl.model.bundle import Bundle, read
from automl.prediction import Prediction
from automl.recipe.tree import absolute
from automl.scoring.multi_label import THRESHOLD

Format = Literal["jsonl", "coco", "masks"]
Found = Iterable[tuple[Path, Prediction]]
_WRITTEN = ("drawn", "masks")
"""Folders of pictures in the output."""
_LONGEST = 240
"""Bytes of a name; a file's may have 255."""


@dataclass(frozen=True)
class Answers:
    """How to give back the predictions of `images`: paths, each with its name for files."""

    bundle: Bundle
    images: dict[Path, str]
    format: Format
    out: Path | None
    draw: bool
    min_confidence: float

    @property
    def paths(self) -> list[Path]:
        """The images in their order."""
        return list(self.images)

    def lines(self, found: Found) -> Iterator[str]:
        """What stdout gets: the answers themselves, or the names of the files that hold them."""
        drawn = self._drawn(found) if self.draw else found
        if self.format == "coco":
            lines = iter([json.dumps(_coco(self, drawn), ensure_ascii=False)])
        else:
            facts = (_facts(self, path, prediction) for path, prediction in drawn)
            lines = (json.dumps(line, ensure_ascii=False) for line in facts)
        if self.out is None:
            yield from lines
            return
        self.out.mkdir(parents=True, exist_ok=True)
        file = self.out / ("predictions.json" if self.format == "coco" else "predictions.jsonl")
        with (
            _told_where(self.out),
            file.open("w", encoding="utf-8", errors="backslashreplace") as written,
        ):
            written.writelines(f"{line}\n" for line in lines)
        yield str(file)

    def file(self, kind: str, path: Path) -> Path:
        """The PNG of an image in the folder `kind` of the output."""
        file = Path(self.out or ".") / kind / f"{self.images[path]}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        return file

    def _drawn(self, found: Found) -> Iterator[tuple[Path, Prediction]]:
        from automl.tasks.draw import draw

        for path, prediction in found:
            image = read_image(path, self.bundle.frame)
            picture = draw(image, self.bundle.names, prediction, self.min_confidence)
            _write_png(self.file("drawn", path), picture[..., ::-1])
            yield path, prediction


def choose(
    model: Path,
    named: list[Path],
    *,
    format: Format | None,
    out: Path | None,
    draw: bool,
    min_confidence: float,
) -> Answers:
    """What the options mean for this model and these images; all that do not fit at once."""
    bundle = read(model)
    segments = bundle.task == "segmentation"
    chosen = format or ("masks" if segments and out else "jsonl")
    faults = []
    if draw and out is None:
        faults.append(Fault("drawings need a folder", hint="add `--out DIR`"))
    if chosen == "masks" and not segments:
        faults.append(Fault(f"a model for {bundle.task} gives no masks", hint="`--format jsonl`"))
    elif chosen == "masks" and out is None:
        faults.append(Fault("masks need a folder", hint="add `--out DIR`"))
    if chosen == "coco" and bundle.task == "classification":
        faults.append(
            Fault("the COCO format cannot hold classification results", hint="`--format jsonl`")
        )
    if not 0 <= min_confidence <= 1:  # typer lets `nan` pass
        faults.append(Fault("`--min-confidence` is a number from 0 to 1"))
    images = _listed(named, out, faults)
    if faults:
        raise UsageError(f"{len(faults)} faults in the arguments", faults=faults)
    return Answers(bundle, images, chosen, out, draw, min_confidence)


def _listed(named: list[Path], out: Path | None, faults: list[Fault]) -> dict[Path, str]:
    """Every image, with a name for its files that no other image has.

    What an earlier call has left in `out` is no image to predict, where `out` lies among them.
    """
    found: dict[Path, str] = {}
    ours = [absolute(out / kind) for kind in _WRITTEN] if out else []
    for root in named:
        if not root.exists():
            faults.append(Fault("no such file or folder", str(root)))
        inside = _images(root, ours) if root.is_dir() else [root]
        if not inside:
            faults.append(Fault("no image in this folder", str(root)))
        for path in inside:
            name = path.relative_to(root) if root.is_dir() else Path(path.name)
            found.setdefault(path, "/".join(_with_room(part) for part in name.parts))
    return _apart(found)


def _images(folder: Path, ours: list[Path]) -> list[Path]:
    """Those below the folder but not in ours, unless it is one of them itself."""
    own = absolute(folder)
    left_out = [place for place in ours if place != own and place.is_relative_to(own)]
    if not left_out:
        return walk_images(folder)
    placed = ((image, absolute(image)) for image in walk_images(folder))
    return [i for i, place in placed if not any(place.is_relative_to(out) for out in left_out)]


def _apart(found: dict[Path, str]) -> dict[Path, str]:
    """Names without their endings; `a.jpg` and `a.png` keep them, equal names are numbered."""
    short = {path: own.removesuffix(Path(own).suffix) for path, own in found.items()}
    shared = Counter(short.values())
    names = {path: short[path] if shared[short[path]] == 1 else own for path, own in found.items()}
    taken = Counter[str]()
    for path, own in names.items():
        taken[own] += 1
        if taken[own] > 1:
            names[path] = f"{own}-{taken[own]}"
    return names


def _with_room(name: str) -> str:
    """The name, cut where `-2.png` behind it would make it longer than a file's name may be."""
    data = os.fsencode(name)
    if len(data) <= _LONGEST:
        return name
    mark = hashlib.sha256(data).hexdigest()[:12]
    return f"{os.fsdecode(data[: _LONGEST - 16]).encode('utf-8', 'ignore').decode()}~{mark}"


def _facts(answers: Answers, path: Path, prediction: Prediction) -> dict[str, Any]:
    """The line of one image."""
    names, ids = answers.bundle.names, [c.id for c in answers.bundle.classes]
    if prediction.probabilities is not None:
        best = int(prediction.probabilities.argmax())
        shares = {n: _short(p) for n, p in zip(names, prediction.probabilities, strict=True)}
        if answers.bundle.several_labels:
            given = [name for name, share in shares.items() if share >= THRESHOLD]
            return {"path": str(path), "classes": given, "probabilities": shares}
        return {
            "path": str(path),
            "class": names[best],
            "id": ids[best],
            "confidence": shares[names[best]],
            "probabilities": shares,
        }
    if prediction.mask is not None:
        return {"path": str(path), **_mask_facts(answers, path, prediction.mask)}
    boxes = [
        {"class": names[k], "id": ids[k], "confidence": _short(c), "box": [_short(v) for v in box]}
        for k, c, box in _kept(prediction, answers.min_confidence)
    ]
    return {"path": str(path), "boxes": boxes}


def _mask_facts(answers: Answers, path: Path, mask: np.ndarray) -> dict[str, Any]:
    """Share of each class; its pixels as a PNG of class ids, or as run lengths."""
    classes = []
    for index, kind in enumerate(answers.bundle.classes):
        inside = mask == index
        if inside.any():
            fact = {"class": kind.name, "id": kind.id, "share": _short(inside.mean())}
            classes.append(fact if answers.format == "masks" else fact | {"rle": _rle(inside)})
    size = [int(side) for side in mask.shape]
    if answers.format != "masks":
        return {"size": size, "classes": classes}
    file = answers.file("masks", path)
    _write_png(file, _as_ids(mask, [c.id for c in answers.bundle.classes]))
    where = file.relative_to(answers.out or ".").as_posix()
    return {"size": size, "mask": where, "classes": classes}


def _as_ids(mask: np.ndarray, ids: list[int]) -> np.ndarray:
    """Class indices to the data set's own ids."""
    if min(ids) < 0 or max(ids) > 65535:
        raise UsageError("class ids outside 0 to 65535 do not fit a PNG", hint="`--format jsonl`")
    table = np.asarray(ids, np.uint8 if max(ids) < 256 else np.uint16)
    return np.asarray(table[mask])


def _coco(answers: Answers, found: Found) -> dict[str, Any]:
    """One COCO document; segmentation gives one region per class."""
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, (path, prediction) in enumerate(found, start=1):
        height, width = read_image(path, answers.bundle.frame).shape[:2]
        images.append({"id": number, "file_name": str(path), "width": width, "height": height})
        for fact in _coco_facts(answers, prediction):
            annotations.append({"id": len(annotations) + 1, "image_id": number, **fact})
    categories = [{"id": c.id, "name": c.name} for c in answers.bundle.classes]
    return {"images": images, "annotations": annotations, "categories": categories}


def _coco_facts(answers: Answers, prediction: Prediction) -> Iterator[dict[str, Any]]:
    classes = answers.bundle.classes
    if prediction.mask is not None:
        for index, kind in enumerate(classes):
            inside = prediction.mask == index
            if inside.any():
                rows, columns = np.nonzero(inside)
                corners = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
                yield {
                    "category_id": kind.id,
                    "segmentation": _rle(inside),
                    "area": int(inside.sum()),
                    "bbox": _xywh([int(v) for v in corners]),
                    "iscrowd": 0,
                }
        return
    for label, confidence, box in _kept(prediction, answers.min_confidence):
        bbox = _xywh([_short(v) for v in box])
        yield {
            "category_id": classes[label].id,
            "bbox": bbox,
            "area": _short(bbox[2] * bbox[3]),
            "score": _short(confidence),
            "iscrowd": 0,
        }


def _kept(
    prediction: Prediction, min_confidence: float
) -> Iterator[tuple[int, float, list[float]]]:
    """Label, confidence and box of every box that is sure enough."""
    labels, confidences, boxes = prediction.labels, prediction.confidences, prediction.boxes
    if labels is None or confidences is None or boxes is None:
        return
    for label, confidence, box in zip(labels, confidences, boxes, strict=True):
        if confidence >= min_confidence:
            yield int(label), float(confidence), [float(v) for v in box]


def _xywh(box: list[Any]) -> list[Any]:
    x0, y0, x1, y1 = box
    return [x0, y0, _short(x1 - x0), _short(y1 - y0)]


def _rle(inside: np.ndarray) -> dict[str, Any]:
    """COCO's uncompressed run lengths: column by column, beginning with zeros."""
    flat = inside.flatten(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff([0, *edges, flat.size]).tolist()
    return {"size": [int(s) for s in inside.shape], "counts": [0, *runs] if flat[0] else runs}


def _short(value: Any) -> Any:
    return round(float(value), 4) if not isinstance(value, int) else value


@contextmanager
def _told_where(folder: Path) -> Iterator[None]:
    """A write that fails names no file of itself."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(folder)
        raise


def _write_png(file: Path, pixels: np.ndarray) -> None:
    import cv2

    encoded = cv2.imencode(".png", np.ascontiguousarray(pixels))[1]
    file.write_bytes(encoded.tobytes())
