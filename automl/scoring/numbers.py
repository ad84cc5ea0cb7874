"""Counts in, finite numbers out: ratios that know when they are undefined."""

from collections.abc import Iterable, Mapping

import numpy as np

from automl.scoring.scores import Number

Array = np.ndarray


def ratio(part: Array | int, whole: Array | int) -> Array:
    """`part / whole` as float64, NaN where `whole` is 0."""
    part, whole = np.broadcast_arrays(np.asarray(part, float), np.asarray(whole, float))
    result = np.full(part.shape, np.nan)
    np.divide(part, whole, out=result, where=whole != 0)
    return result


def mean_defined(values: Array, axis: int | None = -1) -> Array:
    """The mean without NaN; NaN where nothing is defined (and no warning about it)."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0.0).sum(axis), defined.sum(axis))


def number(value: float) -> float | None:
    """A plain float, None for NaN."""
    return None if np.isnan(value) else float(value)


def table(names: Iterable[str], columns: Mapping[str, Array]) -> dict[str, dict[str, Number]]:
    """Columns over the classes as one row per class; whole numbers stay whole."""
    return {
        name: {
            column: int(values[k]) if values.dtype.kind in "iu" else number(values[k])
            for column, values in columns.items()
        }
        for k, name in enumerate(names)
    }


def defined(metrics: Mapping[str, float], primary: str) -> dict[str, float]:
    """Metrics without those that are undefined; the primary one is 0 then, as there is no merit."""
    kept = {name: float(value) for name, value in metrics.items() if not np.isnan(value)}
    return {primary: kept.get(primary, 0.0), **kept}
