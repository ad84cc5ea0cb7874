"""A graphics card that is pretended: what lies on it is computed by the CPU, by a card's rules.

A tensor there mixes with none of the CPU's, goes to NumPy by no way but `cpu()`, and each moment at
which a program would have to wait for the card is counted. So lines for cards run in machines that
have none. What a card's own kernels, memory and speed are like, it cannot tell.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn.utils import clip_grad
from torch.overrides import TorchFunctionMode
from torch.utils import _foreach_utils
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_leaves, tree_map_only

from automl.engines import network

aten = torch.ops.aten
DEVICE = torch.device("cuda", 0)
COPIES = {aten.copy_.default, aten._foreach_copy_.default}
INDEXED = {aten.index.Tensor, aten.index_put.default, aten.index_put_.default}
WAITED_FOR = {
    aten._local_scalar_dense.default,
    aten.equal.default,
    aten.is_nonzero.default,
    aten.masked_select.default,
    aten.nonzero.default,
    aten._unique2.default,
}
"""Operations whose result decides about the program, or about the size of what comes out."""


class OnCard(torch.Tensor):
    """A tensor that says that it is on the card; `inner` holds its values."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> "OnCard":
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=inner.device,  # for autograd, which would look for the card's driver
        )
        made.inner = inner
        return made

    device = property(lambda self: DEVICE)
    is_cuda = property(lambda self: True)

    def __repr__(self) -> str:
        return f"OnCard({self.inner})"

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _computed(func, args, kwargs or {})

    def cpu(self, *_: Any) -> torch.Tensor:
        _wait("cpu")
        return _Down.apply(self)

    def to(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        device, how, _ = _parsed(args, kwargs)
        here = self.cpu() if device is not None and device.type == "cpu" else self
        return torch.Tensor.to(here, **{"dtype": self.dtype, **how})

    def numpy(self, *_: Any, **__: Any):
        raise TypeError("a tensor on the card has no NumPy view; `cpu()` comes first")

    __array__ = numpy

    def tolist(self) -> Any:
        _wait("tolist")
        return self.inner.tolist()

    def __deepcopy__(self, memo: dict[int, Any]) -> torch.Tensor:
        new: torch.Tensor = OnCard(self.inner.detach().clone())
        if isinstance(self, torch.nn.Parameter):
            new = torch.nn.Parameter(new, self.requires_grad)
        memo[id(self)] = new
        return new


class _Down(torch.autograd.Function):
    @staticmethod
    def forward(_, tensor):
        return tensor.inner.clone()

    @staticmethod
    def backward(_, gradient):
        return OnCard(gradient)


class _Up(torch.autograd.Function):
    @staticmethod
    def forward(_, tensor):
        return OnCard(tensor)

    @staticmethod
    def backward(_, gradient):
        return gradient.inner


WAITS: Counter[tuple[str, str]] = Counter()
"""What was waited for, and the line of `automl` that did so."""


def _wait(what: str) -> None:
    frame = sys._getframe(1)
    while frame is not None and "/automl/" not in frame.f_code.co_filename:
        frame = frame.f_back
    place = "elsewhere"
    if frame is not None:
        place = f"{frame.f_code.co_filename.rpartition('/')[2]}:{frame.f_code.co_name}"
    WAITS[what, place] += 1


def _computed(func, args, kwargs):
    """The operation on what the tensors hold; RuntimeError where card and CPU are mixed."""
    plain = [t for t in tree_leaves((args, kwargs)) if _is_plain(t)]
    _look_at(func, args, plain)
    inner_args, inner_kwargs = tree_map_only(OnCard, lambda t: t.inner, (args, kwargs))
    found = func(*inner_args, **inner_kwargs)
    if func in COPIES and _is_plain(args[0]):
        return args[0]
    found = tree_map_only(torch.Tensor, OnCard, found)
    return return_and_correct_aliasing(func, args, kwargs, found)


def _look_at(func, args, plain: list[torch.Tensor]) -> None:
    """Counts what is waited for; RuntimeError where `plain`, tensors of the CPU, are mixed in."""
    if func in COPIES and plain:
        if not (len(args) > 2 and args[2]):
            _wait("copy")
    elif func in INDEXED:
        if plain:
            _wait("index on the CPU")
        if any(t is not None and t.dtype in (torch.bool, torch.uint8) for t in args[1]):
            _wait("mask as index")
    elif any(t.ndim for t in plain):  # single numbers may come along
        shapes = [tuple(t.shape) for t in plain]
        raise RuntimeError(f"{func} mixes card and CPU: {shapes} are not on the card")
    if func in WAITED_FOR:
        _wait(str(func.overloadpacket).rpartition(".")[2])


def _is_plain(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and not isinstance(value, OnCard)


def _parsed(args, kwargs):
    """Device, other arguments that are given, and `non_blocking` of a call of `Tensor.to`."""
    device, how = kwargs.get("device"), {}
    for value in args:
        match value:
            case str() | torch.device():
                device = value
            case torch.dtype():
                how["dtype"] = value
            case torch.Tensor():
                device, how["dtype"] = value.device, value.dtype
    how |= {n: kwargs[n] for n in ("dtype", "memory_format") if kwargs.get(n) is not None}
    return None if device is None else torch.device(device), how, kwargs.get("non_blocking", False)


class _Calls(TorchFunctionMode):
    """Puts on the card what a call asks to be there."""

    within_card = False
    """Whether a call with something on the card is under way."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        before, kwargs = _Calls.within_card, dict(kwargs or {})
        given = tree_leaves((args, kwargs))
        _Calls.within_card = before or any(isinstance(value, OnCard) for value in given)
        try:
            return self._call(func, args, kwargs)
        finally:
            _Calls.within_card = before

    @staticmethod
    def _call(func, args, kwargs):
        if func is torch.Tensor.to and not isinstance(args[0], OnCard):
            device, how, patient = _parsed(args[1:], kwargs)
            if device is None or device.type != "cuda":
                return func(*args, **kwargs)
            if not patient and args[0].numel():
                _wait("to the card")
            how = {"dtype": args[0].dtype, "copy": True, **how}
            return _Up.apply(args[0].to(**how))
        device = kwargs.get("device")
        if device is None or torch.device(device).type != "cuda":
            return func(*args, **kwargs)
        if func in (torch.tensor, torch.as_tensor):
            if isinstance(args[0], OnCard):
                return args[0]
            _wait("to the card")
        learns = kwargs.pop("requires_grad", False)
        made = func(*args, **{**kwargs, "device": torch.device("cpu")})
        made = made if isinstance(made, OnCard) else OnCard(made)
        return made.requires_grad_() if learns else made


class _Operations(TorchDispatchMode):
    """Puts on the card what torch itself makes there, such as the zeros of a gradient."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        tensors = [t for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)]
        if any(isinstance(t, OnCard) for t in tensors):
            return _computed(func, args, kwargs)
        found = func(*args, **kwargs)
        return tree_map_only(torch.Tensor, OnCard, found) if _made_there(tensors) else found


def _made_there(tensors: list[torch.Tensor]) -> bool:
    return _Calls.within_card and not tensors


def _all_there(groups):
    """Tensors of one type, as clipping asks for them: grouped by where they say that they are."""
    found = _foreach_utils._group_tensors_by_device_and_dtype(groups)
    return {
        (DEVICE if isinstance(tensors[0][0], OnCard) else device, dtype): (tensors, indices)
        for (device, dtype), (tensors, indices) in found.items()
    }


PROPERTIES = SimpleNamespace(name="Pretended", major=9, minor=0, total_memory=8 * 10**9)
PEAK_BYTES = 3 * 10**9
ACCELERATOR = {
    "is_available": lambda: True,
    "current_accelerator": lambda check_available=False: torch.device("cuda"),
    "current_device_index": lambda: 0,
    "set_device_index": lambda _: None,
    "synchronize": lambda _=None: _wait("synchronize"),
}


@contextmanager
def pretended_card() -> Iterator[Counter[tuple[str, str]]]:
    """A machine with such a card, in this process; gives what is waited for, and where."""
    cuda = {
        "_lazy_init": lambda: None,
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "get_device_properties": lambda _=None: PROPERTIES,
        "get_device_name": lambda _=None: PROPERTIES.name,
        "get_device_capability": lambda _=None: (PROPERTIES.major, PROPERTIES.minor),
        "synchronize": lambda _=None: _wait("synchronize"),
        "empty_cache": lambda: None,
        "reset_peak_memory_stats": lambda _=None: None,
        "max_memory_allocated": lambda _=None: PEAK_BYTES,
    }
    with pytest.MonkeyPatch.context() as patch, ExitStack() as stack:
        for name, value in cuda.items():
            patch.setattr(torch.cuda, name, value)
        for name, value in ACCELERATOR.items():
            patch.setattr(torch.accelerator, name, value)
        patch.setattr(torch, "autocast", partial(_autocast, torch.autocast))
        # Tensors of `inference_mode` have no versions, which wrappers need.
        patch.setattr(torch, "inference_mode", lambda mode=True: torch.set_grad_enabled(not mode))
        patch.setattr(torch.Tensor, "pin_memory", lambda tensor: tensor)
        patch.setattr(torch.optim.Optimizer, "_accelerator_graph_capture_health_check", dict)
        patch.setattr(clip_grad, "_group_tensors_by_device_and_dtype", _all_there)
        patch.setattr(torch.backends.cudnn, "benchmark", torch.backends.cudnn.benchmark)
        # A module's weights are new objects on a card; between two tensors of the CPU they are not.
        future = torch.__future__
        stack.callback(
            future.set_overwrite_module_params_on_conversion,
            future.get_overwrite_module_params_on_conversion(),
        )
        future.set_overwrite_module_params_on_conversion(True)
        stack.enter_context(_Calls())
        stack.enter_context(_Operations())
        WAITS.clear()
        network._spread.cache_clear()
        stack.callback(network._spread.cache_clear)
        yield WAITS


def _autocast(real, _, *args, **kwargs):
    return real("cpu", *args, **kwargs)
