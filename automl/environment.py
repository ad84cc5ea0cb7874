"""What libraries must find in the environment before they are imported, to be quiet and offline.

Everything is a default; what the user has set wins.
"""

import gc
import logging
import os

COLLECT_AFTER = (50_000, 20, 100)
"""Importing makes a million lasting objects; looking for cycles among them took a tenth of it."""
QUIET = {
    "OMP_WAIT_POLICY": "passive",  # spinning threads slow a busy machine 6 to 10 times
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "ORT_DISABLE_TELEMETRY": "1",  # else importing ONNX Runtime reports to its maker, by an id
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "GIT_PYTHON_REFRESH": "quiet",
    "TOKENIZERS_PARALLELISM": "false",
    "PYDANTIC_DISABLE_PLUGINS": "__all__",  # it would look for them in every installed package
    "YOLO_AUTOINSTALL": "0",
    "YOLO_OFFLINE": "1",
    "YOLO_VERBOSE": "0",
    "ULTRALYTICS_SAFE_LOAD": "1",
    "ULTRALYTICS_SKIP_REQUIREMENTS_CHECKS": "1",
}
OFFLINE = {"HF_HUB_OFFLINE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}


def settle(*, online: bool = False) -> None:
    """Sets the defaults; `online` is for the one command that downloads."""
    gc.set_threshold(*COLLECT_AFTER)
    for name, value in {**QUIET, **({} if online else OFFLINE)}.items():
        os.environ.setdefault(name, value)
    # Without a home to write to it takes a folder that it removes by itself, and says so at length.
    logging.getLogger("matplotlib").setLevel(logging.ERROR)
