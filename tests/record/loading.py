"""A recorded model, loaded by plain MLflow in another process and folder."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

PREDICT = """
import json, sys, warnings
import mlflow.pyfunc, pandas  # warns of MLflow's own types
warnings.simplefilter("error", UserWarning)
model = mlflow.pyfunc.load_model(sys.argv[1])
params = {"min_confidence": float(sys.argv[2])}
answers = model.predict(pandas.DataFrame({"image": json.load(sys.stdin)}), params=params)
import automl
print("@" + json.dumps({"answers": answers, "code": automl.__file__}))
"""


def predict_elsewhere(
    store: str, model: str, images: list[str], folder: Path, least: float = 0.3
) -> dict[str, Any]:
    """`answers` to the images, and where the `code` came from that gave them."""
    other = folder / "other"
    other.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "MLFLOW_TRACKING_URI": store,
        "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false",
    }
    done = subprocess.run(
        [sys.executable, "-c", PREDICT, model, str(least)],
        cwd=other,
        env=environment,
        input=json.dumps(images),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.partition("@")[2])
    assert "/code/automl/" in told["code"], "not the code that came with the model"
    return told
