"""A training's origin: written when it begins, told on when it goes on, closed when it ends.

`provenance.json` says what the first start found. Every later start adds an entry to `restarts`
with what differs from it; nothing that was written is overwritten.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from automl.data.digest import split_digests
from automl.dataset import Dataset
from automl.dvc_resume import keep_origin
from automl.engines.protocol import Trained
from automl.errors import AutomlError, DataError
from automl.files import read_object, write_json
from automl.plan import Plan
from automl.record import journal, provenance
from automl.record.compare import differing
from automl.record.git_state import patch_of
from automl.run_dir import RunDir, runs_folder

STEADY = ("program", "git", "python", "packages", "packages_digest", "machine", "device")
"""What ought to be the same when a training goes on."""


@dataclass
class Origin:
    """The provenance of one training while it lasts."""

    run: RunDir
    plan: Plan
    known: dict[str, Any]
    noted: bool = field(default=False)

    def note_determinism(self) -> None:
        """Notes, once, how torch is set while it trains: an engine may set it back at the end."""
        if self.noted:
            return
        from automl.engines.torch_state import determinism

        self.noted = True
        found = determinism(self.plan.engine, self.plan.device)
        if self.known.get("determinism") != found:
            self.known["determinism"] = found
            self.write()

    def ended(self, trained: Trained, after: Dataset | None = None) -> None:
        """The weights that came out; `after` is the data as it was found again at the end."""
        self.known["ended"] = provenance.now()
        self.known["weights"]["final"] = provenance.weights_digest(trained.bundle)
        if after is not None:
            self.known["dataset"]["after"] = described(after)
        self.write()

    def write(self) -> None:
        """To the run folder."""
        write_json(self.run.provenance, self.known)
        keep_origin(self.run)


@contextmanager
def recording_provenance(run: RunDir, plan: Plan, dataset: Dataset) -> Iterator[Origin]:
    """Writes where the training comes from, and why it stopped where it did not end."""
    origin = _begin(run, plan, dataset)
    try:
        yield origin
    except (AutomlError, KeyboardInterrupt) as error:
        said = provenance.without_secrets(str(error)) or type(error).__name__
        origin.known["stopped"] = {"time": provenance.now(), "reason": said}
        with suppress(OSError):  # the disk may be what stopped it
            origin.write()
        raise


def described(dataset: Dataset) -> dict[str, Any]:
    """A dataset as provenance keeps it: digests, counts and class names."""
    counts = dataset.counts()
    return {
        "digest": dataset.digest,
        "root": provenance.without_secrets(dataset.root),
        "format": dataset.format,
        "classes": dataset.names,
        "splits": {
            name: {"images": counts[name], "digest": digest}
            for name, digest in split_digests(dataset).items()
        },
    }


def _begin(run: RunDir, plan: Plan, dataset: Dataset) -> Origin:
    known = _known(run)
    events = journal.read(run.journal)
    starts = [event for event in events if event["event"] == "start"]
    again = len(starts) > 1 and known.get("plan_digest") == plan.digest()
    fresh = _collected(run, plan, dataset)
    if not again:
        fresh["git"] = _with_patch(fresh["git"], Path.cwd(), run.patch, _beside(run, dataset))
        origin = Origin(run, plan, fresh)
        own = fresh["program"]["git"]
        top = provenance.checkout()
        if isinstance(own, dict) and top is not None:
            fresh["program"]["git"] = _with_patch(own, top, run.own_patch, [])
    else:
        known["restarts"] = [*known.get("restarts", ()), _restart(run, known, fresh, events)]
        known.pop("ended", None)
        origin = Origin(run, plan, known)
    origin.write()
    return origin


def _known(run: RunDir) -> dict[str, Any]:
    """What an earlier start wrote; a damaged file is as good as none."""
    try:
        return read_object(run.provenance, "train")
    except DataError:
        return {}


def _collected(run: RunDir, plan: Plan, dataset: Dataset) -> dict[str, Any]:
    from automl.engines.torch_state import determinism, device_facts

    recipe = run.recipe.read_bytes() if run.recipe.is_file() else b""
    return provenance.collect(
        device=plan.device,
        threads=plan.train.threads,
        seed=plan.train.seed,
        beside=_beside(run, dataset),
        device_facts=device_facts(plan.device),
        determinism=determinism(plan.engine, plan.device),
        recipe_digest=sha256(recipe).hexdigest() if recipe else "",
        plan_digest=plan.digest(),
        dataset_digest=dataset.digest,
        dataset=described(dataset),
        weights={"initial": asdict(plan.weights), "final": ""},
        restarts=[],
    )


def _beside(run: RunDir, dataset: Dataset) -> list[Path]:
    """Folders whose files are no code: those of runs, and the data unless all lies in it."""
    data = Path(dataset.root).resolve()
    return [run.root, runs_folder(), *([] if Path.cwd().is_relative_to(data) else [data])]


def _with_patch(
    state: dict[str, Any] | None, folder: Path, file: Path, beside: Sequence[Path]
) -> dict[str, Any] | None:
    """The state of a working tree, its differences from the commit as a file of the run."""
    if state is None:
        return None
    return {**state, "patch": provenance.patched(patch_of(folder, beside), file)}


def _restart(
    run: RunDir, known: dict[str, Any], fresh: dict[str, Any], events: list[dict[str, Any]]
) -> dict[str, Any]:
    """When, where, from which epoch and step, why, and what is not as it was at the first start."""
    stopped = known.pop("stopped", None)
    epochs = journal.epochs(journal.last_training(events))
    done = any(event["event"] == "trained" for event in journal.last_training(events))
    unknown = (
        "it was done and trained again" if done else "unknown: killed, or the machine went down"
    )
    before = {key: _plain(known.get(key)) for key in (*STEADY, "device_facts", "command")}
    now = {key: _plain(fresh.get(key)) for key in before}
    return {
        "time": fresh["time"],
        **fresh["process"],
        "epoch": epochs[-1]["epoch"] if epochs else 0,
        "step": _step(run),
        "reason": stopped["reason"] if stopped else unknown,
        "stopped": stopped["time"] if stopped else None,
        "changed": [list(row) for row in differing(before, now) if row[0] != "command"],
        "command": fresh["command"],
    }


def _plain(value: Any) -> Any:
    """Without what a patch and a list of files add at the first start alone."""
    if isinstance(value, dict):
        hidden = ("patch", "untracked_files", "omp_num_threads")
        return {key: _plain(inner) for key, inner in value.items() if key not in hidden}
    return value


def _step(run: RunDir) -> int | None:
    """The optimiser step of the newest checkpoint; None where there is none to say."""
    for folder in sorted(run.checkpoints.glob("epoch-*"), reverse=True):
        try:
            facts = read_object(folder / "manifest.json", "train").get("facts", {})
        except DataError:  # a damaged checkpoint: the one before it counts
            continue
        if "step" in facts:
            return int(facts["step"])
    return None
