"""A plain fine-tuning loop with timm: its `create_transform`, AdamW, label smoothing, cosine."""

import torch
from course import Course, arguments
from loop import Images, net_of, train
from timm.data import create_transform
from torch import nn


def main() -> None:
    given = arguments()
    torch.manual_seed(given.seed)
    torch.set_num_threads(1)
    course = Course(given)
    same = {"mean": (0.5,) * 3, "std": (0.5,) * 3, "interpolation": "bicubic"}
    learn = create_transform(given.size, is_training=True, **same)
    look = create_transform(given.size, **same)
    sets = (
        Images(given.data / "train", learn),
        Images(given.data / "val", look),
        Images(given.test, look),
    )
    net = net_of(given.net, given.weights, len({label for _, label in sets[0].rows}))
    optimiser = torch.optim.AdamW(net.parameters(), lr=3e-4, weight_decay=0.05)
    loss = nn.CrossEntropyLoss(label_smoothing=0.1)
    train(net, sets, optimiser, loss, given.epochs, course)


if __name__ == "__main__":
    main()
