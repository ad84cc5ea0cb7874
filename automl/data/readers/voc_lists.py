"""Pascal VOC's lists of a class each: `ImageSets/Main/cat_train.txt` with 1, 0 or -1 an image."""

import re
from collections.abc import Callable
from pathlib import Path

from automl.data.files import files, read_text, split_word
from automl.data.readers.named import Found, Mark, Picture, assemble, malformed
from automl.data.reading import Reading, ReadOptions, shown, unusable, warning
from automl.dataset import SplitName

_CALLED = re.compile(r"(.+)_(train|val|test|trainval)")
_LINE = re.compile(r"(\S.*?)\s+(-1|0|1)")
_Key = tuple[str, SplitName | None]
"""Name and split of an image."""


def looks_like(root: Path) -> str:
    """Why these are lists of classes; empty where they are not."""
    classes = {name for _, name, _ in _lists(root)}
    return f"`ImageSets/Main` with lists of {len(classes)} classes" if len(classes) > 1 else ""


def read(path: Path, root: Path, options: ReadOptions, image_of: Callable[[str], Path]) -> Reading:
    """Several classes an image; one that is only seen with difficulty is shown too, and told."""
    lists = _lists(root)
    if not lists:
        raise unusable("no lists of classes", path, "expected ImageSets/Main/CLASS_train.txt")
    found = Found("voc", path, many=True, listed=sorted({name for _, name, _ in lists}))
    marks: dict[_Key, list[Mark]] = {}
    said: dict[_Key, int] = {}
    difficult: list[str] = []
    for source, name, split in lists:
        for number, line in enumerate(read_text(source).splitlines(), 1):
            where = f"{shown(source, path)}:{number}"
            fits = _LINE.fullmatch(line.strip())
            if fits is None:
                if line.strip():
                    reason = f"needs a name and 1, 0 or -1, not: {line.strip()[:80]}"
                    found.findings.append(malformed(where, reason, "correct the line"))
                continue
            key = (fits[1], split)
            said[key] = said.get(key, 0) + 1
            own = marks.setdefault(key, [])
            own += [Mark(name, where=where)] if fits[2] != "-1" else []
            difficult += [where] if fits[2] == "0" else []
    _tell(found, said, difficult)
    found.pictures += [Picture(image_of(n), split, tuple(own)) for (n, split), own in marks.items()]
    found.splits = frozenset(split for _, split in marks if split)
    return assemble(found, "classification", options)


def _tell(found: Found, said: dict[_Key, int], difficult: list[str]) -> None:
    if difficult:
        reason = f"{len(difficult)} lines say 0: difficult to see, which counts as shown"
        cure = "write -1 where it is not to count"
        found.findings.append(warning("difficult_shown", difficult[0], reason, cure))
    for (name, split), count in said.items():
        if count != len(found.listed):
            reason = f"listed for {count} of {len(found.listed)} classes in `{split or 'trainval'}`"
            cure = "list it once for each class, with -1 where it is not shown"
            found.findings.append(malformed(name, reason, cure))


def _lists(root: Path) -> list[tuple[Path, str, SplitName | None]]:
    """File, class and split; `trainval` counts only where `train` does not say it better."""
    named = [
        (p, m)
        for p in files(root / "ImageSets" / "Main", ".txt")
        if (m := _CALLED.fullmatch(p.stem))
    ]
    train = any(m[2] == "train" for _, m in named)
    return [(p, m[1], split_word(m[2])) for p, m in named if m[2] != "trainval" or not train]
