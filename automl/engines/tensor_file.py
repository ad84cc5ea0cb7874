"""Tensors as the bytes of a safetensors file, without a copy of them in memory.

The library's own writer copies every tensor twice: three times the duration of a save. Reading is
left to the library, which checks what it reads.
"""

import json
from collections.abc import Iterator

import torch

Tensors = dict[str, torch.Tensor]

_TYPES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_ALIGNED = 8


def in_bytes(tensors: Tensors) -> Iterator[bytes | memoryview]:
    """The parts of the file in their order; the tensors are contiguous and on the CPU."""
    # The widest types first keep every tensor aligned.
    named = sorted(tensors.items(), key=lambda item: (-item[1].element_size(), item[0]))
    header, end = {}, 0
    for name, tensor in named:
        begin, end = end, end + tensor.nbytes
        header[name] = {
            "dtype": _TYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [begin, end],
        }
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % _ALIGNED)
    yield len(text).to_bytes(8, "little") + text
    for _, tensor in named:
        yield tensor.reshape(-1).view(torch.uint8).numpy().data
