"""The tables hold what `dvc plots` needs, and nothing where a run has nothing."""

import csv
import json

from automl.report.tables import write_plots
from automl.run_dir import RunDir
from tests.report.made_run import make_run


def rows(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_write_plots__classification(finished):
    run = finished["classification"]
    written = {path.name for path in write_plots(run)}
    assert written == {"epochs.csv", "confusion.csv", "classes.csv"}
    counts = json.loads(run.evaluation.read_text(encoding="utf-8"))["details"]["confusion"]
    pairs = rows(run.plots / "confusion.csv")
    assert len(pairs) == sum(map(sum, counts)) == 24
    right = sum(row["actual"] == row["predicted"] for row in pairs)
    assert right == sum(counts[i][i] for i in range(len(counts)))


def test_write_plots__epochs_have_losses_metrics_and_rate(finished):
    run = finished["detection"]
    write_plots(run)
    table = rows(run.plots / "epochs.csv")
    assert [int(row["epoch"]) for row in table] == list(range(1, 15))
    names = ["epoch", "train_classes", "train_boxes", "train_centre", "val_map", "val_map50"]
    assert list(table[0])[:6] == names
    assert list(table[0])[-1] == "lr"


def test_write_plots__detection_curves_and_classes(finished):
    run = finished["detection"]
    written = {path.name for path in write_plots(run)}
    assert written == {"epochs.csv", "precision_recall.csv", "classes.csv"}
    curves = rows(run.plots / "precision_recall.csv")
    assert len(curves) == 5 * 101
    assert curves[0].keys() == {"class", "recall", "precision"}
    assert len(rows(run.plots / "classes.csv")) == 5
    assert "ap50" in rows(run.plots / "classes.csv")[0]


def test_write_plots__pixels_are_no_rows(finished):
    written = {path.name for path in write_plots(finished["segmentation"])}
    assert written == {"epochs.csv", "classes.csv"}


def test_write_plots__bare_run_and_stale_tables(tmp_path):
    run = make_run(tmp_path, "classification")
    write_plots(run)
    run.evaluation.unlink()
    run.metrics.unlink()
    assert [path.name for path in write_plots(run)] == ["epochs.csv"]
    assert [path.name for path in run.plots.iterdir()] == ["epochs.csv"]
    empty = RunDir(tmp_path / "empty")
    assert write_plots(empty) == []
