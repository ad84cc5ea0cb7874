"""A finished run in; all that repeating it needs, or every missing part at once, out."""

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from automl.dataset import Dataset
from automl.errors import AutomlError, DataError, Fault, MachineError, UsageError
from automl.files import read_object
from automl.plan import Plan
from automl.record import provenance
from automl.record.machine import program_digest
from automl.record.worktree import checked_out, has
from automl.run_dir import RunDir, needed
from automl.stage_inputs import prepared
from automl.talk import Talk

HERE = "`--here` repeats the run with the current code"


@dataclass(frozen=True)
class Inputs:
    """`code` is the folder of the program as it was, or None where it is the one that runs."""

    run: RunDir
    plan: Plan
    dataset: Dataset
    origin: dict[str, Any]
    code: Path | None = None
    notes: tuple[str, ...] = ()


@dataclass
class _Missing:
    """Collects what is missing, to tell it all at once."""

    faults: list[Fault] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Goes on after a fault, so that the next one is found too."""
        try:
            yield
        except AutomlError as error:
            self.faults += error.faults
            self.codes.append(error.exit_code)

    def tell(self) -> None:
        """Raises what was noted: the user's faults count more than the machine's."""
        if not self.faults:
            return
        kind = MachineError if set(self.codes) == {MachineError.exit_code} else DataError
        few = self.faults[0].message
        many = f"{len(self.faults)} things are missing"
        raise kind(few if len(self.faults) == 1 else many, faults=self.faults)


@contextmanager
def gathered(run: RunDir, data: Path, talk: Talk, *, here: bool) -> Iterator[Inputs]:
    """Data, weights, device and code of a run; data that is gone is fetched into `data`."""
    plan, dataset = _recorded(run)
    origin = read_object(run.provenance, "train")
    missing, notes = _Missing(), []
    code: Path | None = None
    with ExitStack() as stack:
        with missing.noted():
            dataset = _data(run, dataset, data, talk)
        with missing.noted():
            _weights(plan)
        with missing.noted():
            _device(plan)
        with missing.noted():
            code, note = _code(run, origin, stack.enter_context, here=here)
            notes += [note] if note else []
        missing.tell()
        yield Inputs(run, plan, dataset, origin, code, tuple(notes))


def _recorded(run: RunDir) -> tuple[Plan, Dataset]:
    """Plan and index of a run that has trained and was scored."""
    missing = _Missing()
    stages = (
        (run.recipe, "prepare"), (run.dataset, "prepare"), (run.profile, "prepare"),
        (run.plan, "plan"), (run.model / "model.json", "train"), (run.metrics, "evaluate"),
    )  # fmt: skip
    for path, stage in stages:
        with missing.noted():
            needed(path, stage)
    missing.tell()
    plan, dataset = Plan.read(run.plan), prepared(run)
    if plan.dataset_digest != dataset.digest:
        raise UsageError(
            "the plan was made for other data",
            where=str(run.plan),
            hint="the files of the run were changed; bring them back",
        )
    return plan, dataset


def _data(run: RunDir, dataset: Dataset, place: Path, talk: Talk) -> Dataset:
    """The index, its root where every file is as it was: the first place, or fetched from DVC."""
    from automl.data.verify import SHOWN, recheck

    known = place / "fetched"
    if known.is_dir():
        dataset = replace(dataset, root=str(_inside(run, dataset, known)))
    again = recheck(dataset, talk)
    if not again.changed:
        return dataset
    tracked = (read_object(run.record, "record").get("dvc") or {}).get("data") or {}
    if tracked.get("md5") and not known.is_dir():
        return _fetched(run, dataset, tracked, known, talk)
    few = ", ".join(again.changed[:SHOWN])
    more = f" and {len(again.changed) - SHOWN} more" if len(again.changed) > SHOWN else ""
    raise DataError(
        f"the data is not what it was, {_files(again.changed)} changed or gone: {few}{more}",
        where=dataset.root,
        hint="bring the files back; data that DVC tracks is fetched by its digest",
    )


def _files(names: Sequence[str]) -> str:
    return "1 file" if len(names) == 1 else f"{len(names)} files"


def _fetched(
    run: RunDir, dataset: Dataset, tracked: dict[str, Any], place: Path, talk: Talk
) -> Dataset:
    from automl.data.verify import recheck
    from automl.record.dvc_fetch import fetch
    from automl.record.dvc_files import workspace

    top = workspace(Path.cwd())
    if top is None:
        raise DataError(
            f"the data is not what it was, and DVC, which has it by {tracked['md5']}, is not here",
            where=dataset.root,
            hint="go into the run's DVC workspace",
        )
    talk.say(f"data: fetched from DVC by {tracked['md5']}")
    fetch(top, str(tracked["md5"]), place, talk)
    found = replace(dataset, root=str(_inside(run, dataset, place)))
    changed = recheck(found, talk).changed
    if changed:
        raise DataError(
            f"DVC's data is not the run's: {_files(changed)} differ, such as {changed[0]}",
            where=str(place),
        )
    return found


def _inside(run: RunDir, dataset: Dataset, place: Path) -> Path:
    """Where the set's root lies in what DVC tracks, which may be a folder above it."""
    from automl.record.dvc_files import workspace

    tracked = (read_object(run.record, "record").get("dvc") or {}).get("data") or {}
    top = workspace(Path.cwd())
    root = Path(dataset.root).absolute()
    out = (top or Path.cwd()) / str(tracked.get("path", ""))
    return place / root.relative_to(out) if root.is_relative_to(out) else place


def _weights(plan: Plan) -> None:
    """The first weights that the plan names, by their SHA-256."""
    if plan.weights.source == "none":
        return
    from automl.model.weights import file_of, sha256
    from automl.planning.backbones import find

    path = file_of(find(plan.model, plan.task), plan.weights)
    if plan.weights.sha256 and sha256(path) != plan.weights.sha256:
        raise MachineError(
            f"the pretrained weights `{plan.weights.name}` are not those of the run",
            where=str(path),
            hint=f"bring the file of SHA-256 {plan.weights.sha256[:12]}... back",
        )


def _device(plan: Plan) -> None:
    from automl.planning.hardware import require_device

    require_device(plan.device)
    if plan.engine == "yolo" and importlib.util.find_spec("ultralytics") is None:
        raise MachineError(
            "the run was made by Ultralytics, which is not installed",
            hint="pip install 'automl-vision[yolo]'",
        )


def _code(
    run: RunDir, origin: dict[str, Any], enter: Callable[[Any], Path], *, here: bool
) -> tuple[Path | None, str]:
    """The program as it was, where it is another than the one that runs and Git has it."""
    program = origin.get("program") or {}
    wanted = program.get("digest")
    if not wanted or wanted == program_digest():
        return None, ""
    version = program.get("version", "")
    top = provenance.checkout()
    own = program.get("git")
    state = (origin.get("git") or {}) if own == "workspace" else (own or {})
    if here or top is None or not state.get("commit"):
        how = "as asked" if here else f"for that of the run, {version}, is not in a checkout here"
        return None, f"repeated by the program as it is, {how}"
    commit = str(state["commit"])
    if not has(top, commit):
        raise UsageError(
            f"the run's code, commit {commit[:12]}, is not in this repository",
            where=str(top),
            hint=f"`git fetch` brings it; {HERE}",
        )
    patch = _patch(run, state, run.patch if own == "workspace" else run.own_patch)
    code = enter(checked_out(top, commit, patch))
    if program_digest(code / "automl") != wanted:
        raise UsageError(
            f"commit {commit[:12]} {_why_not_enough(state)}is not the code of the run",
            where=str(top),
            hint=HERE,
        )
    return code, f"repeated by the code of the run, commit {commit[:12]}"


def _patch(run: RunDir, state: dict[str, Any], file: Path) -> Path | None:
    """The file of uncommitted changes, as it was written."""
    from automl.data.verify import sha256_of

    described = state.get("patch") or {}
    if not described.get("file"):
        return None
    if sha256_of(file) != described["sha256"]:
        raise UsageError(
            "the patch of the run's uncommitted changes is gone or was changed",
            where=str(file),
            hint=HERE,
        )
    return file


def _why_not_enough(state: dict[str, Any]) -> str:
    left = [entry.get("path", "") for entry in (state.get("patch") or {}).get("left_out", ())]
    return f"with its patch, which leaves out {', '.join(left[:3])}, " if left else ""
