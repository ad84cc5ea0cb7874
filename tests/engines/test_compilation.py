"""A net that this machine cannot compile is trained as it is, and that is told."""

import pytest
import torch

from automl.engines import native
from automl.engines.compilation import compile_net
from automl.run_dir import RunDir
from tests.engines.toy import draw_set, toy_plan


@pytest.fixture
def no_compiler(tmp_path, monkeypatch):
    """As in a slim image of a container."""
    from torch._inductor import config

    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "inductor"))
    torch._dynamo.reset()
    nowhere = (str(tmp_path / "no-such-compiler"),)
    with config.patch({"cpp.cxx": nowhere, "force_disable_caches": True}):
        yield


@pytest.mark.usefixtures("no_compiler")
def test_compile_net__says_in_one_line_what_is_in_the_way():
    net = torch.nn.Linear(2, 2)
    why = compile_net(net, torch.device("cpu"))
    assert why
    assert "\n" not in why
    assert net._compiled_call_impl is None


@pytest.mark.usefixtures("no_compiler")
def test_train__goes_on_without_a_compiler(tmp_path):
    dataset = draw_set("classification", tmp_path / "set", train=8, val=4)
    plan = toy_plan("classification", dataset, compile=True, epochs=1)
    events = []
    native.train(
        plan, dataset, RunDir(tmp_path / "run"), lambda _: 0.5, lambda *_: None, events.append
    )
    (event,) = events
    assert event.kind == "compile"
    assert event.text.startswith("the net is not compiled: ")
