"""Measures the facts of the model table: parameters, operations and activations of every row.

    python benchmarks/model_table.py            # all rows, beside what the table says
    python benchmarks/model_table.py NAME ...   # some rows

No weights are needed: random ones cost the same. Rows off by more than 2 % are marked.
"""

import sys
import warnings

import torch

from automl.model.build import build
from automl.planning.backbones import TABLE, Backbone
from automl.planning.timm_facts import cost

CLASSES = 10


def measured(row: Backbone) -> tuple[float, float, float]:
    """Parameters in millions, gflops and activations in millions of one row at its own size."""
    side = row.image_size
    if row.task == "detection":
        net = yolo(row) if row.source == "ultralytics" else build(row, CLASSES, (side, side))
        return cost(net.eval(), torch.rand(1, 3, side, side))
    with torch.device("meta"):  # counts without computing
        return cost(build(row, CLASSES, (side, side)).eval(), torch.empty(1, 3, side, side))


def yolo(row: Backbone) -> torch.nn.Module:
    """An Ultralytics net from its description."""
    from ultralytics.nn.tasks import DetectionModel

    return DetectionModel(row.architecture, nc=CLASSES, verbose=False)


def main(names: list[str]) -> int:
    """Prints a line per row; the number of rows that are off is the exit code."""
    warnings.simplefilter("ignore")
    off = 0
    for row in TABLE:
        if names and row.name not in names:
            continue
        torch.manual_seed(0)
        found = measured(row)
        said = (row.parameters, row.gflops, row.activations)
        wrong = any(abs(a - b) > 0.02 * max(a, 0.05) for a, b in zip(found, said, strict=True))
        off += wrong
        numbers = ", ".join(f"{value:.3g}" if value < 100 else f"{value:.0f}" for value in found)
        print(f"{row.name:40s} ({numbers}){f'  table: {said}' if wrong else ''}", flush=True)
    return off


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
