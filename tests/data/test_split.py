"""Splits: what is brought is kept; what is drawn depends on content, not on order."""

import random
from collections import Counter

import pytest

from automl.data.split import Item, assign, shrink
from tests.data.toys import prepared, toys, write_csv, write_folders, write_masks, write_yolo


def items(counts, brought=None):
    return [
        Item(f"{label}-{i}", frozenset({label}), brought)
        for label, n in counts.items()
        for i in range(n)
    ]


def by_class(things, splits, name):
    chosen = zip(things, splits, strict=True)
    return Counter(next(iter(i.present)) for i, s in chosen if s == name)


def test_assign__every_class_gives_its_share():
    things = items({0: 100, 1: 50, 2: 10})
    splits = assign(things, val=0.2, test=0.1)
    assert Counter(splits) == {"train": 112, "val": 32, "test": 16}
    assert by_class(things, splits, "val") == {0: 20, 1: 10, 2: 2}
    assert by_class(things, splits, "test") == {0: 10, 1: 5, 2: 1}


def test_assign__order_does_not_matter():
    things = items({0: 30, 1: 20, 2: 5})
    plain = dict(zip(things, assign(things, val=0.2, test=0.1), strict=True))
    random.Random(1).shuffle(things)
    assert dict(zip(things, assign(things, val=0.2, test=0.1), strict=True)) == plain


def test_assign__brought_splits_are_kept():
    things = items({0: 5}, "train") + items({1: 5}, "val") + items({2: 5}, "test")
    assert assign(things, val=0.5, test=0.5) == ["train"] * 5 + ["val"] * 5 + ["test"] * 5


def test_assign__missing_val_is_drawn_from_train_only():
    things = items({0: 10}, "train") + items({1: 10}, "test")
    splits = assign(things, val=0.2, test=0.0)
    assert Counter(splits[:10]) == {"train": 8, "val": 2}
    assert set(splits[10:]) == {"test"}


@pytest.mark.parametrize("val", [0.01, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("count", [2, 3, 7])
def test_assign__train_and_val_are_never_empty(count, val):
    for counts in ({0: count}, dict.fromkeys(range(count), 1)):
        assert set(assign(items(counts), val=val, test=0.0)) == {"train", "val"}


def test_assign__a_single_image_is_for_training():
    assert assign(items({0: 1}), val=0.2, test=0.2) == ["train"]


def test_assign__every_class_stays_in_train():
    things = items({0: 50, 1: 2, 2: 1})
    splits = assign(things, val=0.5, test=0.0)
    assert set(by_class(things, splits, "train")) == {0, 1, 2}


def test_assign__equal_files_stay_together():
    things = [Item(f"{i // 4}", frozenset({0})) for i in range(40)]
    splits = assign(things, val=0.3, test=0.0)
    for i in range(0, 40, 4):
        assert len(set(splits[i : i + 4])) == 1


def test_assign__rarest_class_decides():
    """Of 20 images that all show class 0, four also show class 1: val gets one of these."""
    things = [Item(f"{i}", frozenset({0, 1} if i < 4 else {0})) for i in range(20)]
    splits = assign(things, val=0.25, test=0.0)
    rare = Counter(s for i, s in zip(things, splits, strict=True) if 1 in i.present)
    assert rare == {"train": 3, "val": 1}


def test_assign__images_without_objects():
    things = [Item(f"{i}", frozenset()) for i in range(10)]
    assert Counter(assign(things, val=0.2, test=0.0)) == {"train": 8, "val": 2}


def test_prepare__split_follows_content_not_names(tmp_path):
    made = toys(18)
    first = prepared(write_csv(tmp_path / "a", made, splits=False), "classification").dataset
    other = [type(t)(**{**vars(t), "name": f"{17 - int(t.name):02d}"}) for t in made]
    second = prepared(write_folders(tmp_path / "b", other, splits=False), "classification").dataset
    assert {s.digest: s.split for s in first.samples} == {s.digest: s.split for s in second.samples}


@pytest.mark.parametrize(
    ("write", "task"),
    [(write_folders, "classification"), (write_yolo, "detection"), (write_masks, "segmentation")],
)
def test_shrink__few_samples_of_every_class(tmp_path, write, task):
    dataset = prepared(write(tmp_path, toys(48)), task).dataset
    small = shrink(dataset, 6, 3)
    assert small.counts() == {"train": 6, "val": 3, "test": 3}
    assert small.classes == dataset.classes
    assert small == shrink(dataset, 6, 3)
    assert small.digest != dataset.digest
    assert set(small.samples) <= set(dataset.samples)
    if task == "classification":
        assert Counter(s.label for s in small.split("train")) == {0: 2, 1: 2, 2: 2}


def test_shrink__larger_than_the_set(tmp_path):
    dataset = prepared(write_folders(tmp_path, toys()), "classification").dataset
    assert shrink(dataset, 100, 100).samples == dataset.samples
