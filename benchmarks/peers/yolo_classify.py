"""Ultralytics' classification trainer, its own data, augmentation and optimiser, around a timm net.

Its own nets have no pretrained weights without a network; this way it starts where the others do.
"""

import os
import tempfile
from pathlib import Path

from course import Course, arguments

SETTINGS = {"sync": False, "mlflow": False, "dvc": False, "raytune": False, "tensorboard": False}


def main() -> None:
    """No network, nothing recorded: said before the library is imported."""
    given = arguments()
    course = Course(given)
    scratch = Path(tempfile.mkdtemp())
    os.environ |= {
        "YOLO_OFFLINE": "1",
        "YOLO_AUTOINSTALL": "0",
        "YOLO_CONFIG_DIR": str(scratch),
        "YOLO_VERBOSE": "0",
        "PEER_NET": given.net,
        "PEER_WEIGHTS": str(given.weights),
    }
    from ultralytics import settings

    settings.update(SETTINGS)
    from yolo_around import train

    train(given, course, scratch)


if __name__ == "__main__":
    main()
