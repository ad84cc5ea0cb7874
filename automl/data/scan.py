"""Entries to facts: every image and mask is read once and decoded in full, in child processes."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from automl.data.decoders import Answer, Job, decode_all
from automl.data.images import ImageFacts, MaskFacts
from automl.data.mask_per_object import with_parts
from automl.data.reading import Entry, Reading, fatal, shown, warning
from automl.data.regions import Traced, trace
from automl.data.scan_cache import ScanCache
from automl.dataset import Finding
from automl.errors import Fault, MachineError
from automl.talk import Talk

MOST_FAULTS = 50
"""Files that one error names: a missing package concerns all files of a kind."""

_CURES = {
    "wrong_suffix": "rename it; it is read by its content",
    "animated": "choose another by `data.frame`, or take the pictures apart if all count",
    "several_pages": "choose another by `data.frame`, or take the pages apart if all count",
    "broken_exif": "write the file anew; whether it stands upright is not known",
    "transparent": "put it on a background of your choice, if white is not the one",
    "extreme_shape": "cut it into tiles, or check how it was made",
    "odd_range": "write all images with values from 0 to 1, 255 or 65535",
}


@dataclass(frozen=True, slots=True)
class Scanned:
    """An entry whose files could be decoded."""

    entry: Entry
    image: ImageFacts
    mask: MaskFacts | None = None
    traced: Traced | None = None


def scan(reading: Reading, talk: Talk) -> tuple[list[Scanned], list[Finding]]:
    """Decodes all; what cannot be decoded becomes a finding and is left out."""
    answers = _answers(list(dict.fromkeys(_jobs(reading))), reading.root, talk)
    _refuse_machine_faults(answers)
    scanned: list[Scanned] = []
    findings: list[Finding] = []
    for entry in _in_one_frame(reading, answers):
        result = _one(entry, reading, answers)
        if isinstance(result, Finding):
            findings.append(result)
        else:
            scanned.append(result)
    findings += _notes(scanned, reading.root)
    return scanned, findings


def _jobs(reading: Reading) -> Iterator[Job]:
    for entry in reading.entries:
        yield _image_job(entry.path, reading)
        if entry.mask is not None:
            yield _mask_job(entry.mask, reading)
        yield from (_part_job(part, reading) for part in entry.parts)


def _image_job(path: Path, reading: Reading) -> Job:
    return Job(path, "image", frame=reading.frame)


def _mask_job(path: Path, reading: Reading) -> Job:
    return Job(path, "mask", reading.colours, reading.frame)


def _part_job(path: Path, reading: Reading) -> Job:
    return Job(path, "object", frame=reading.frame)


def _answers(jobs: list[Job], root: Path, talk: Talk) -> dict[Job, Answer]:
    """From an earlier scan, or by decoding."""
    cache = ScanCache(root)
    found = {job: known for job in jobs if (known := cache.find(job))}
    rest = [job for job in jobs if job not in found]
    for done, (job, answer) in enumerate(decode_all(rest), len(found) + 1):
        found[job] = answer
        talk.progress("checking images", done, len(jobs))
    cache.keep(found)
    return found


def _refuse_machine_faults(answers: dict[Job, Answer]) -> None:
    faults = [
        Fault(answer.fault.message, str(job.path), answer.fault.hint)
        for job, answer in answers.items()
        if answer.machine and answer.fault
    ]
    if faults:
        shown_ = faults[:MOST_FAULTS]
        if len(faults) > len(shown_):
            shown_.append(Fault(f"and {len(faults) - len(shown_)} more files like these"))
        raise MachineError(f"{len(faults)} images cannot be read here", faults=shown_)


def _in_one_frame(reading: Reading, answers: dict[Job, Answer]) -> Iterator[Entry]:
    """A picture turned by half looks the same in its size: then the others of the set tell.

    A tool that ignores EXIF writes the sizes of stored pixels, where quarter turns show it.
    """
    shown = []
    for entry in reading.entries:
        one = answers[_image_job(entry.path, reading)].facts if entry.declared else None
        if isinstance(one, ImageFacts) and one.stored != (one.width, one.height):
            upright = (one.width, one.height)
            shown.append((entry.declared == one.stored, entry.declared == upright))
    ignored = any(stored for stored, _ in shown) and not any(upright for _, upright in shown)
    for entry in reading.entries:
        yield replace(entry, as_stored=True) if ignored and entry.declared else entry


def _one(entry: Entry, reading: Reading, answers: dict[Job, Answer]) -> Scanned | Finding:
    root = reading.root
    answer = answers[_image_job(entry.path, reading)]
    image = answer.facts
    if not isinstance(image, ImageFacts):
        return _broken(entry.path, root, answer.fault, "image")
    if entry.parts:
        whole = _whole(entry, image, reading, answers)
        if isinstance(whole, Finding):
            return whole
        entry = whole
    if entry.shapes is not None:
        traced = trace(entry, image, reading.classes[0].id, shown(entry.path, root))
        return Scanned(entry, image, traced.mask, traced)
    if entry.mask is None:
        return Scanned(entry, image)
    answer = answers[_mask_job(entry.mask, reading)]
    if not isinstance(answer.facts, MaskFacts):
        return _broken(entry.mask, root, answer.fault, "mask")
    return Scanned(entry, image, answer.facts)


def _whole(
    entry: Entry, image: ImageFacts, reading: Reading, answers: dict[Job, Answer]
) -> Entry | Finding:
    """With what its masks of single objects show."""
    parts = []
    for path in entry.parts:
        answer = answers[_part_job(path, reading)]
        if not isinstance(answer.facts, MaskFacts):
            return _broken(path, reading.root, answer.fault, "mask")
        parts.append(answer.facts)
    return with_parts(entry, image, parts, reading.root)


def _broken(path: Path, root: Path, fault: Fault | None, kind: str) -> Finding:
    fault = fault or Fault("cannot be decoded")
    missing = fault.message == "no such file"
    cure = fault.hint or ("add the file or remove it from the list" if missing else "check it")
    code = f"{'missing' if missing else 'broken'}_{kind}"
    return fatal(code, shown(path, root), fault.message, cure)


def _notes(scanned: Iterable[Scanned], root: Path) -> list[Finding]:
    """What is odd about files that are used all the same; each file once."""
    by_file = {one.entry.path: one.image.notes for one in scanned if one.image.notes}
    return [
        warning(code, shown(path, root), reason, _CURES.get(code, "check it"))
        for path, notes in by_file.items()
        for code, reason in notes
    ]
