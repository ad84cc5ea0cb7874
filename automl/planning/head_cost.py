"""What fitting a linear head costs: the fit keeps to it, and a plan counts with it."""

FOLDS = 5
LEAST_IMAGES = 4 * FOLDS
"""That a penalty is chosen by."""
LEAST_PER_CLASS = 20
WORK = 1.2e8
"""Multiplications of a pass over all folds that choosing the penalty may cost on small sets."""
FEATURES = 1280
"""Outputs of the backbone of most nets of the table."""
TRIAL_PASSES, FINAL_PASSES = 250, 150
"""Forward and backward, to choose the penalty and to fit with it, at about the most: the digits
took 450 in all, which is more than most."""
PASS_S = 0.002
"""Of a pass over next to nothing."""
PASS_BYTES_PER_S = 3e9
"""At which a core reads the features, twice a pass."""
SHARE_OF_GFLOPS = 0.5
"""Of the measured speed of training, that such products reach: a rule of thumb, 0.6 and more of
many outputs, less of few."""


def trial_size(images: int, width: int, classes: int) -> tuple[int, int]:
    """By how many folds of how many images a penalty is chosen.

    A pass costs `WORK`, or as much as one of the final fit. Many images need no second fold: a
    fifth of them says enough.
    """
    each = width * classes
    most = max(WORK / each, images)
    wanted = max(round(WORK / (FOLDS * each)), LEAST_PER_CLASS * classes, LEAST_IMAGES)
    rows = min(images, wanted)
    return max(1, min(FOLDS, int(most // rows))), rows


def head_seconds(images: int, classes: int, gflops: float) -> float:
    """Of fitting a head on the features of so many images; `gflops` is the machine's speed."""
    if not images:
        return 0.0
    folds, rows = trial_size(images, FEATURES, classes)
    trial = TRIAL_PASSES * _pass_seconds(rows, folds * classes, gflops)
    return trial + FINAL_PASSES * _pass_seconds(images, classes, gflops)


def _pass_seconds(images: int, outputs: int, gflops: float) -> float:
    """A product to the outputs and one back to the weights; 4 bytes a feature."""
    multiplied = 2 * images * FEATURES * outputs
    read = 2 * 4 * images * FEATURES
    return PASS_S + 2 * multiplied / (SHARE_OF_GFLOPS * gflops * 1e9) + read / PASS_BYTES_PER_S
