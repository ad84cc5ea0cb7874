"""`automl doctor`: what is installed, what the machine offers, and what mends what is missing."""

import platform
import shutil
import sys
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from automl import __version__
from automl.commands.terminal import table
from automl.errors import AutomlError
from automl.run_dir import runs_folder

DISTRIBUTION = "automl-vision"


@dataclass(frozen=True)
class Check:
    """One thing looked at; `cure` is the command that mends it, empty where all is well."""

    what: str
    found: str
    cure: str = ""
    needed: bool = True


@dataclass(frozen=True)
class Examination:
    """Everything looked at, by section."""

    sections: dict[str, list[Check]]

    @property
    def healthy(self) -> bool:
        """Whether everything that a run needs is there."""
        return not any(c.cure and c.needed for checks in self.sections.values() for c in checks)

    def facts(self) -> dict[str, Any]:
        """`automl doctor --json`."""
        sections = {name: [asdict(c) for c in checks] for name, checks in self.sections.items()}
        return {"healthy": self.healthy, **sections}

    def lines(self) -> list[str]:
        """For a person; a cure stands at the end of its line."""
        shown: list[str] = []
        for name, checks in self.sections.items():
            cures = [f"-> {check.cure}" if check.cure else "" for check in checks]
            rows = [(c.what, c.found, cure) for c, cure in zip(checks, cures, strict=True)]
            shown += [*table((name, "", ""), rows), ""]
        return [
            *shown,
            "no problems found" if self.healthy else "a requirement is missing, see above",
        ]


def examine() -> Examination:
    """Looks at everything; a thing that is missing never stops the rest."""
    return Examination({"packages": _packages(), "machine": _machine(), "stores": _stores()})


def _packages() -> list[Check]:
    """Every requirement of ours with the version that is installed."""
    from packaging.requirements import Requirement

    found = [Check("automl", __version__)]
    for text in metadata.requires(DISTRIBUTION) or []:
        wanted = Requirement(text)
        extra = next(
            (
                e
                for e in metadata.metadata(DISTRIBUTION).get_all("Provides-Extra", [])
                if wanted.marker
                and wanted.marker.evaluate({"extra": e})
                and not wanted.marker.evaluate({"extra": ""})
            ),
            "",
        )
        if extra == "dev":
            continue
        found.append(_package(wanted.name, str(wanted.specifier), wanted.specifier, extra))
    return found


def _package(name: str, wanted: str, specifier: Any, extra: str) -> Check:
    cure = f"pip install '{DISTRIBUTION}[{extra}]'" if extra else f"pip install '{name}{wanted}'"
    label = f"{name} (extra {extra})" if extra else name
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Check(label, "missing", cure, needed=not extra)
    fits = specifier.contains(version, prereleases=True)
    return Check(label, version if fits else f"{version}, wanted {wanted}", "" if fits else cure)


def _machine() -> list[Check]:
    checks = [Check("python", f"{platform.python_version()} at {sys.executable}"), _device()]
    for command, use in (("git", "provenance and DVC"), ("dvc", "tracking data and models")):
        path = shutil.which(command) or shutil.which(command, path=str(Path(sys.executable).parent))
        cure = "" if path else f"install {command}: it serves {use}"
        checks.append(Check(command, path or "missing", cure, needed=False))
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    cure = "" if free > 1 else "make room: a run needs about 1 GiB"
    checks.append(Check("free disk", f"{free:.0f} GiB here", cure))
    return checks


def _device() -> Check:
    try:
        from automl.planning.hardware import probe

        best = probe(None)
    except (AutomlError, ImportError) as error:
        return Check("device", f"unknown: {error}", "pip install torch torchvision")
    memory = f"{best.memory_bytes / 2**30:.0f} GiB"
    return Check("device", f"{best.device}, {best.name}, {best.cores} cores, {memory}")


def _stores() -> list[Check]:
    from automl.model.weights import store
    from automl.record.mlflow_client import tracking_uri
    from automl.record.provenance import without_secrets

    weights = store()
    files = len(list(weights.iterdir())) if weights.is_dir() else 0
    tracked = Path(".dvc").is_dir()
    return [
        Check("runs", str(runs_folder())),
        Check("weights", f"{weights}, {files} files"),
        Check("mlflow", without_secrets(tracking_uri("auto"))),
        Check(
            "dvc",
            "a DVC workspace" if tracked else "no DVC workspace here",
            "" if tracked else "git init && dvc init",
            needed=False,
        ),
    ]
