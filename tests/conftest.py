"""Every test runs in its own workspace, without a network, with quiet libraries."""

import os

for name, value in {
    "OMP_NUM_THREADS": "1",
    "AUTOML_CACHE": "off",
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "HF_HUB_OFFLINE": "1",
    "YOLO_OFFLINE": "1",
}.items():
    os.environ.setdefault(name, value)
