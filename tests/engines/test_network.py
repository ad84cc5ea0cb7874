import pytest
import torch

from automl.engines.network import Network
from automl.model.preprocess import Preprocess
from automl.planning.backbones import find


@pytest.mark.parametrize("side", [1, 2, 33])
def test_normalise__rows_at_once_give_the_bits_of_channel_by_channel(side: int) -> None:
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    network = Network(
        torch.nn.Identity(), "classification", find("efficientnet_lite0", "classification"),
        Preprocess((side, 5), "squash", mean, std), "fp32", 4, torch.device("cpu"), {},
    )  # fmt: skip
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(0, 256, (4, side, 5, 3), dtype=torch.uint8, generator=generator)
    images = rows.permute(0, 3, 1, 2)
    found = network.normalise(images)
    plain = network.normalise(images.contiguous())
    expected = torch.tensor(mean).view(1, 3, 1, 1) * 255, torch.tensor(std).view(1, 3, 1, 1) * 255
    assert torch.equal(found, images.float().sub_(expected[0]).div_(expected[1]))
    assert torch.equal(found, plain)
    assert found.permute(0, 2, 3, 1).is_contiguous()
    assert images.dtype == torch.uint8
