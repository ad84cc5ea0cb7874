"""As torchvision's classification reference: Pillow, v2 transforms, SGD with momentum, cosine."""

import torch
from course import Course, arguments
from loop import BATCH, Images, net_of, train
from torch import nn
from torchvision.transforms import v2


def main() -> None:
    given = arguments()
    torch.manual_seed(given.seed)
    torch.set_num_threads(1)
    course = Course(given)
    last = [
        v2.PILToTensor(),
        v2.ToDtype(torch.float, scale=True),
        v2.Normalize((0.5,) * 3, (0.5,) * 3),
    ]
    learn = v2.Compose([v2.RandomResizedCrop(given.size), v2.RandomHorizontalFlip(), *last])
    look = v2.Compose([v2.Resize(given.size * 256 // 224), v2.CenterCrop(given.size), *last])
    sets = (
        Images(given.data / "train", learn),
        Images(given.data / "val", look),
        Images(given.test, look),
    )
    net = net_of(given.net, given.weights, len({label for _, label in sets[0].rows}))
    rate = 0.1 * BATCH / 256  # theirs, scaled to the batch
    optimiser = torch.optim.SGD(net.parameters(), lr=rate, momentum=0.9, weight_decay=1e-4)
    train(net, sets, optimiser, nn.CrossEntropyLoss(), given.epochs, course)


if __name__ == "__main__":
    main()
