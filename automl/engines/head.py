"""A linear classifier fitted on features: L-BFGS, its penalty chosen by cross-validation."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch.nn import functional

from automl.planning.head_cost import FOLDS, LEAST_IMAGES, trial_size

PENALTIES = (10000.0, 3000.0, 1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0)
"""Weight of half the squared norm beside the sum of the losses over the images."""
USUAL_PENALTY = 100.0
"""Where there are too few images to choose by."""
ITERATIONS = {"trial": 30, "final": 150}
CPU = torch.device("cpu")


@dataclass(frozen=True)
class Head:
    """`weight` float32 [K, D] and `bias` [K] for features as they are, not standardised."""

    weight: torch.Tensor
    bias: torch.Tensor
    penalty: float


def fit(  # noqa: PLR0913  what is fitted, how, and where
    features: torch.Tensor,
    targets: torch.Tensor,
    classes: int,
    folds: torch.Tensor,
    class_weights: torch.Tensor | None = None,
    on_pass: Callable[[], None] = lambda: None,
    device: torch.device = CPU,
) -> Head:
    """`features` float32 [N, D]; `targets` int64 [N], or float32 [N, K] for several labels.

    `folds` int64 [N] says in which of `FOLDS` parts an image is held out. Features are
    standardised, which is then folded into the layer. `on_pass` is called before each pass over
    the images, and ends the fit by raising. All tensors come and go on the CPU; the passes are made
    on the `device`.
    """
    mean, deviation = _moments(features)
    scaled = ((features.double() - mean) / deviation).float()
    counts = torch.ones(classes) if class_weights is None else class_weights
    problem = _Problem(scaled.to(device), targets.to(device), counts.to(device), on_pass)
    penalty = _chosen(problem, folds.to(device))
    everything = torch.ones(1, len(features), device=device)
    start = torch.zeros(1, classes, scaled.shape[1] + 1, device=device)
    found = _minimised(problem, everything, penalty, start, ITERATIONS["final"])[0].cpu().double()
    weight = found[:, :-1] / deviation
    bias = found[:, -1] - weight @ mean
    return Head(weight.float(), bias.float(), penalty)


def _moments(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation; 1 where a feature is the same in all images."""
    wide = features.double()
    mean, deviation = wide.mean(0), wide.std(0, correction=0)
    flat = deviation <= 1e-6 * deviation.max().clamp(min=1e-12)
    return mean, torch.where(flat, torch.ones_like(deviation), deviation)


@dataclass(frozen=True)
class _Problem:
    """Standardised features with all that the loss needs, on one device."""

    features: torch.Tensor
    targets: torch.Tensor
    class_weights: torch.Tensor
    on_pass: Callable[[], None]

    def losses(self, parameters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Losses and their weights `[F, N]` for parameters `[F, K, D + 1]`, bias last."""
        # all rows in one product, weights first: several times faster than a batch of products
        flat = parameters[..., :-1].flatten(0, 1) @ self.features.mT
        logits = flat.view(*parameters.shape[:2], -1) + parameters[..., -1:]
        if self.targets.ndim == 2:
            wanted = self.targets.mT.expand_as(logits)
            each = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
            values = (each * self.class_weights.unsqueeze(1)).sum(1)
            return values, torch.ones_like(values)
        wanted = self.targets.expand(len(logits), -1)
        values = functional.cross_entropy(logits, wanted, reduction="none")
        return values, self.class_weights[self.targets].expand_as(values)

    def part(self, rows: torch.Tensor) -> "_Problem":
        """The same of some images."""
        return replace(self, features=self.features[rows], targets=self.targets[rows])


def _chosen(problem: _Problem, folds: torch.Tensor) -> float:
    """The penalty with the least held-out loss; from strong to weak, until it rises twice."""
    count, width = problem.features.shape
    device, classes = problem.features.device, len(problem.class_weights)
    if count < LEAST_IMAGES or int(folds.max()) + 1 < FOLDS:
        return USUAL_PENALTY
    parts, most = trial_size(count, width, classes)
    rows = torch.arange(count, device=device)[:: -(-count // most)]
    fold = torch.arange(parts, device=device).unsqueeze(1)
    few, held = problem.part(rows), folds[rows].unsqueeze(0) == fold
    inside = (~held).float()
    found = torch.zeros(parts, classes, width + 1, device=device)
    best, chosen, worse = float("inf"), USUAL_PENALTY, 0
    for penalty in PENALTIES:
        found = _minimised(few, inside, penalty, found, ITERATIONS["trial"])
        values, weights = few.losses(found)
        loss = float((values * weights)[held].sum() / weights[held].sum())
        if loss < best:
            best, chosen, worse = loss, penalty, 0
        else:
            worse += 1
            if worse == 2:
                break
    return chosen


def _minimised(
    problem: _Problem,
    inside: torch.Tensor,
    penalty: float,
    start: torch.Tensor,
    iterations: int,
) -> torch.Tensor:
    """The parameters `[F, K, D + 1]` of every row of `inside` `[F, N]`, found at once."""
    parameters = start.clone().requires_grad_()
    optimiser = torch.optim.LBFGS(
        [parameters],
        max_iter=iterations,
        history_size=10,
        tolerance_grad=1e-6,
        tolerance_change=1e-8,
        line_search_fn="strong_wolfe",
    )

    def closure() -> torch.Tensor:
        problem.on_pass()
        optimiser.zero_grad()
        values, weights = problem.losses(parameters)
        shares = weights * inside
        fitted = (values * shares).sum(1) / shares.sum(1)
        norm = parameters[..., :-1].square().sum((1, 2))
        loss = (fitted + 0.5 * penalty * norm / inside.sum(1)).sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    optimiser.step(closure)  # type: ignore[no-untyped-call]
    return parameters.detach()
