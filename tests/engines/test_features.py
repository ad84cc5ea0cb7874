"""Features of a frozen backbone: what the whole net sees, the same bits kept or computed."""

from dataclasses import replace
from functools import partial
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from automl.data.verify import sha256_of
from automl.engines import disk_cache
from automl.engines import features as module
from automl.engines.features import (
    FeatureOptions,
    FrozenBackbone,
    are_kept,
    evenly_spread,
    features,
    without_last_layer,
)
from automl.engines.onnx_net import NotConverted, converted
from automl.model.build import build, classifier, load_backbone, normalisation
from automl.model.preprocess import Preprocess
from automl.model.weights import at_hand
from automl.planning.backbones import find
from tests.engines.toy import SIDE, draw_set

ROW = find("test_resnet", "classification")
SIZE = (SIDE, SIDE)


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A set, and weights of a tiny net in a store."""
    monkeypatch.setenv("AUTOML_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("AUTOML_CACHE", str(tmp_path / "cache"))
    torch.manual_seed(0)
    (tmp_path / "weights").mkdir()
    save_file(build(ROW, 1000, SIZE).state_dict(), tmp_path / "weights" / "test_resnet.safetensors")
    weights = at_hand(ROW)
    assert weights is not None
    dataset = draw_set("classification", tmp_path / "set", train=20, val=6)
    samples = tuple(
        replace(s, digest=sha256_of(tmp_path / "set" / s.path)) for s in dataset.samples
    )
    return replace(dataset, samples=samples), weights


def entries(tmp_path):
    return sorted(p for p in (tmp_path / "cache").rglob("*") if p.is_file())


@pytest.mark.parametrize("runner", ["torch", "onnx"])
def test_features__same_bits_with_and_without_cache(toy, tmp_path, monkeypatch, runner):
    dataset, weights = toy
    first, paths = features(ROW, weights, dataset, "train", SIZE, FeatureOptions(runner=runner))
    assert first.shape == (20, first.shape[1])
    assert first.dtype == np.float32
    assert paths == [s.path for s in dataset.split("train")]
    kept_files = entries(tmp_path)
    assert len(kept_files) == (2 if runner == "onnx" else 1)
    again, _ = features(ROW, weights, dataset, "train", SIZE, FeatureOptions(runner=runner))
    assert np.array_equal(first, again)
    for path in kept_files:  # damage is as good as nothing kept
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)
    mended, _ = features(ROW, weights, dataset, "train", SIZE, FeatureOptions(runner=runner))
    assert np.array_equal(first, mended)
    monkeypatch.setenv("AUTOML_CACHE", "off")
    without, _ = features(ROW, weights, dataset, "train", SIZE, FeatureOptions(runner=runner))
    assert np.array_equal(first, without)


def test_features__onnx_runtime_and_torch_agree(toy):
    dataset, weights = toy
    by_torch, _ = features(ROW, weights, dataset, "val", SIZE, FeatureOptions(runner="torch"))
    by_onnx, _ = features(ROW, weights, dataset, "val", SIZE, FeatureOptions(runner="onnx"))
    np.testing.assert_allclose(by_onnx, by_torch, rtol=1e-3, atol=1e-4)


def test_features__another_image_another_entry(toy, tmp_path):
    dataset, weights = toy
    first, _ = features(ROW, weights, dataset, "val", SIZE, FeatureOptions(runner="torch"))
    samples = tuple(reversed(dataset.samples))
    features(
        ROW, weights, replace(dataset, samples=samples), "val", SIZE, FeatureOptions(runner="torch")
    )
    features(ROW, weights, dataset, "val", (32, 32), FeatureOptions(runner="torch"))
    few, paths = features(
        ROW, weights, dataset, "val", SIZE, FeatureOptions(runner="torch", most=2)
    )
    assert len(entries(tmp_path)) == 4
    assert len(few) == len(paths) == 2
    np.testing.assert_allclose(few[0], first[0], rtol=1e-4, atol=1e-5)


def test_features__an_end_on_the_way_costs_a_block_at_most(toy, tmp_path, monkeypatch):
    dataset, weights = toy
    monkeypatch.setattr(module, "BLOCK", 6)
    monkeypatch.setattr(module, "BATCH", {"torch": 2})
    samples, device = dataset.split("train"), torch.device("cpu")

    class Ended(Exception):
        """As a signal ends it."""

    def run(end_at=None):
        """The features, by whom, and how many images were told to be done before each batch."""
        told = []

        def on_images(done, total):
            if done == end_at:
                raise Ended
            told.append((done, total))

        net = build(ROW, 2, SIZE)
        load_backbone(net, ROW, weights)
        preprocess = Preprocess(SIZE, "squash", *normalisation(ROW))
        body = partial(without_last_layer, net, ROW)
        frozen = module.FrozenBackbone("toy", body, preprocess, "torch", 1, device)
        try:
            found = module.image_features(frozen, dataset, samples, on_images)
        except Ended:
            found = None
        return found, frozen.computed_by, told

    monkeypatch.setenv("AUTOML_CACHE", "off")
    straight, _, told = run()
    assert told == [(done, 20) for done in (0, 2, 4, 6, 6, 8, 10, 12, 12, 14, 16, 18, 18, 20)]
    monkeypatch.setenv("AUTOML_CACHE", str(tmp_path / "blocks"))
    assert run(end_at=14)[0] is None
    found, computed_by, told = run()
    assert told == [(done, 20) for done in (12, 14, 16, 18, 18, 20)]
    assert (computed_by, run()[1:]) == ("torch", ("kept", []))
    assert np.array_equal(found, straight)
    net = FrozenBackbone("toy", Mock(), Preprocess(SIZE, "squash", *normalisation(ROW)), "torch", 1)
    assert are_kept(net, dataset, samples)
    assert not are_kept(net, dataset, samples[1:])


def test_features__of_a_file_that_was_edited_since_are_not_kept(toy, tmp_path):
    dataset, weights = toy
    options = FeatureOptions(runner="torch")
    edited, other = (tmp_path / "set" / s.path for s in dataset.split("val")[:2])
    genuine = edited.read_bytes()
    edited.write_bytes(other.read_bytes())
    wrong, _ = features(ROW, weights, dataset, "val", SIZE, options)
    assert np.allclose(wrong[0], wrong[1], atol=1e-5)
    assert not entries(tmp_path)
    edited.write_bytes(genuine)
    right, _ = features(ROW, weights, dataset, "val", SIZE, options)
    assert not np.allclose(right[0], wrong[0], atol=1e-3)
    assert len(entries(tmp_path)) == 1


def test_features__halve_a_batch_that_memory_has_no_room_for(toy, tmp_path, monkeypatch):
    dataset, weights = toy
    options = FeatureOptions(runner="torch")
    whole, _ = features(ROW, weights, dataset, "train", SIZE, options)
    monkeypatch.setenv("AUTOML_CACHE", str(tmp_path / "other"))
    build_forward, taken = module.build_forward, []

    def small(frozen):
        how, forward = build_forward(frozen)

        def picky(images):
            taken.append(len(images))
            if len(images) > 5:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return forward(images)

        return how, picky

    monkeypatch.setattr(module, "build_forward", small)
    parts, _ = features(ROW, weights, dataset, "train", SIZE, options)
    np.testing.assert_allclose(parts, whole, rtol=1e-4, atol=1e-5)
    assert max(taken) == 16
    assert not any(p.is_file() for p in (tmp_path / "other").rglob("*")), "bits may be others"
    monkeypatch.setattr(module, "is_out_of_memory", lambda _: False)
    with pytest.raises(RuntimeError, match="CUDA out of memory"):
        features(ROW, weights, dataset, "train", SIZE, options)


def test_converted__says_nothing_of_a_net_that_cannot_be(capfd):
    net = build(find("test_vit", "classification"), 3, SIZE).eval()
    with pytest.raises(NotConverted, match="cannot be converted"):
        converted(net, SIZE, 1, "a net")
    assert capfd.readouterr().out == ""


def test_spread__is_even_and_keeps_order():
    samples = list(range(10))
    assert evenly_spread(samples, 4) == [0, 2, 5, 7]
    assert evenly_spread(samples, 10) == samples
    assert evenly_spread(samples, None) == samples


def test_beheaded__leaves_the_net_as_it_is():
    torch.manual_seed(0)
    net = build(ROW, 5, SIZE).eval()
    body = without_last_layer(net, ROW)
    images = torch.randn(2, 3, *SIZE)
    name = classifier(net, ROW)
    with torch.inference_mode():
        logits = net.get_submodule(name)(body(images))
        assert torch.allclose(logits, net(images), atol=1e-6)


def test_converted__a_net_that_disagrees_is_refused():
    class Fickle(torch.nn.Module):
        """Gives something else each time, and so never what was written down."""

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.mean((2, 3)) + torch.rand(3)

    with pytest.raises(NotConverted, match="other features"):
        converted(Fickle(), (8, 8), 1, "fickle")


def test_converted__what_the_exporter_does_not_know_is_named():
    class Unknown(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return torch.special.bessel_j0(images.mean((2, 3)))

    with pytest.raises(NotConverted, match="bessel_j0"):
        converted(Unknown(), (8, 8), 1, "unknown")


def test_kept__is_bounded_and_forgets_the_oldest(tmp_path, monkeypatch):
    monkeypatch.setenv("AUTOML_CACHE", str(tmp_path))
    monkeypatch.setattr(disk_cache, "LARGEST", 300)
    for number in range(4):
        disk_cache.keep(str(number), bytes([number]) * 100)
    assert sum(disk_cache.find(str(n)) is not None for n in range(4)) == 2
    disk_cache.keep("large", b"x" * 400)
    assert disk_cache.find("large") is None


def test_kept__a_folder_that_cannot_be_written_is_no_matter(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("AUTOML_CACHE", str(tmp_path / "file"))
    disk_cache.keep("a", b"b")
    assert disk_cache.find("a") is None
