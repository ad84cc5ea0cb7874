from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save

from automl.engines.tensor_file import in_bytes

KINDS = (
    torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.int32,
    torch.int16, torch.int8, torch.uint8, torch.bool,
)  # fmt: skip


def test_in_bytes__the_library_reads_what_went_in(tmp_path: Path) -> None:
    tensors = {f"t.{kind}": (torch.arange(7) % 2).to(kind) for kind in KINDS}
    tensors |= {
        "scalar": torch.tensor(2.5),
        "empty": torch.zeros(0, 4),
        "gr\u00f6\u00dfe": torch.ones(2, 3, 4, 5),
    }
    path = tmp_path / "a.safetensors"
    path.write_bytes(b"".join(in_bytes(tensors)))
    found = load_file(path)
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype
        assert found[name].shape == tensor.shape
        assert found[name].equal(tensor)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_in_bytes__is_what_the_library_writes(count: int) -> None:
    tensors = {f"t{n}": torch.full((n, 2), float(n)) for n in range(count)}
    assert b"".join(in_bytes(tensors)) == save(tensors)
