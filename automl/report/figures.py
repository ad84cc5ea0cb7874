"""The figures of a report: numbers in, inline SVG out. matplotlib is imported when one is drawn."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from automl.report.formatting import metric, number
from automl.report.svg import INK, LINE, PAPER, SERIES, SOFT, axes, short, to_svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NUMBERED, NAMED = 12, 30
"""Up to how many classes a confusion matrix shows its numbers, and its class names."""

BARS = 30
"""More classes than this are shown by both ends of their order."""


def learning_curve(
    epochs: Sequence[int],
    series: Mapping[str, Sequence[float | None]],
    title: str,
    *,
    best: int | None = None,
) -> str:
    """One line per series over the epochs; the best epoch is marked. Empty without numbers."""
    kept = {name: _floats(values) for name, values in series.items()}
    kept = {name: values for name, values in kept.items() if np.isfinite(values).any()}
    if not kept or not epochs:
        return ""
    with axes(4.4, 3.0) as (figure, ax):
        for index, (name, values) in enumerate(kept.items()):
            style: dict[str, Any] = {
                "color": SERIES[index % len(SERIES)],
                "label": short(metric(name), 26),
            }
            ax.plot(epochs, values, marker="o" if len(epochs) < 25 else None, ms=3, **style)
        if best is not None and len(epochs) > 1:
            ax.axvline(best, color=SOFT, lw=1, ls=(0, (3, 3)))
            left = best < (epochs[0] + epochs[-1]) / 2
            ax.annotate(
                f"best: {best}", (best, 1), (4 if left else -4, -2), va="top", fontsize=8.5,
                xycoords=("data", "axes fraction"), textcoords="offset points",
                ha="left" if left else "right", color=SOFT,
            )  # fmt: skip
        _epoch_axis(ax, epochs)
        if _spread(kept) > 50:
            ax.set_yscale("log")
        else:
            ax.ticklabel_format(axis="y", style="sci", scilimits=(-2, 4))
        if len(kept) > 1:
            ax.legend()
        return to_svg(figure, f"{title} over {len(epochs)} epochs. {_ends(kept)}")


def _floats(values: Sequence[float | None]) -> np.ndarray:
    return np.array([np.nan if v is None else float(v) for v in values])


def _spread(series: Mapping[str, np.ndarray]) -> float:
    """Largest over smallest value; 0 where a logarithm would not do."""
    values = np.concatenate(list(series.values()))
    values = values[np.isfinite(values)]
    return float(values.max() / values.min()) if values.min() > 0 else 0.0


def _epoch_axis(ax: "Axes", epochs: Sequence[int]) -> None:
    from matplotlib.ticker import MaxNLocator

    ax.set_xlabel("epoch")
    ax.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=8))
    if len(epochs) == 1:
        ax.set_xlim(epochs[0] - 1, epochs[0] + 1)


def _ends(series: Mapping[str, np.ndarray]) -> str:
    """Where each line begins and ends, in words."""
    said = []
    for name, values in series.items():
        known = values[np.isfinite(values)]
        said.append(f"{metric(name)} from {number(float(known[0]))} to {number(float(known[-1]))}")
    return "; ".join(said)


def confusion(counts: Sequence[Sequence[float]], names: Sequence[str]) -> str:
    """Rows are the truth and shaded by their share; one hue, so that it works on any page."""
    table = np.asarray(counts, dtype=float)
    if table.size == 0:
        return ""
    total = table.sum(axis=1, keepdims=True)
    shares = np.divide(table, total, out=np.zeros_like(table), where=total > 0)
    classes = len(table)
    side = 1.8 + 0.3 * classes if classes <= NUMBERED else 6.0
    with axes(side + 0.7, side) as (figure, ax):
        ax.grid(visible=False)
        ax.spines[:].set_visible(True)
        _shade(ax, shares)
        if classes <= NUMBERED:
            _cell_numbers(ax, table, shares)
        _class_ticks(ax, names)
        ax.set_xlabel("predicted class")
        ax.set_ylabel("true class")
        right = float(np.trace(table) / max(table.sum(), 1))
        return to_svg(figure, f"Confusion of {classes} classes: {right:.1%} on the diagonal")


def _shade(ax: "Axes", shares: np.ndarray) -> None:
    """The cells as an image whose strength is its opacity."""
    rgba = np.zeros((*shares.shape, 4), dtype=np.uint8)
    rgba[..., :3] = (20, 90, 170)
    # The root lifts small confusions out of the paper; an empty cell stays empty.
    rgba[..., 3] = np.round(235 * np.sqrt(shares)).astype(np.uint8)
    if len(shares) <= NUMBERED:
        ax.pcolormesh(rgba, edgecolors=LINE, linewidth=0.6)
    else:
        ax.imshow(rgba, interpolation="nearest", extent=(0, len(shares), len(shares), 0))
    ax.set_xlim(0, len(shares))
    ax.set_ylim(len(shares), 0)
    ax.set_aspect("equal")


def are_counts(table: Any) -> bool:
    """Whether the cells show counts: while those have four digits at most."""
    return float(np.max(table, initial=0)) < 10_000


def _cell_numbers(ax: "Axes", table: np.ndarray, shares: np.ndarray) -> None:
    """Counts while they are short, otherwise percent of the row."""
    counted = are_counts(table)
    for (row, column), share in np.ndenumerate(shares):
        if table[row, column] == 0:
            continue
        text = f"{table[row, column]:.0f}" if counted else f"{share * 100:.0f}"
        text = "<1" if text == "0" else text
        # From here on white is read better than dark ink on the light page.
        ink = "#ffffff" if share > 0.7 else INK
        ax.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=8.5, color=ink)


def _class_ticks(ax: "Axes", names: Sequence[str]) -> None:
    if len(names) > NAMED:
        ax.set_xticks([])
        ax.set_yticks([])
        return
    at = np.arange(len(names)) + 0.5
    ax.tick_params(labelsize=9 if len(names) <= NUMBERED else 7.5)
    shown = [short(name, 16) for name in names]
    turned: dict[str, Any] = {"rotation": 90} if len(names) > 5 or max(map(len, shown)) > 8 else {}
    ax.set_xticks(at, shown, **turned)
    ax.set_yticks(at, shown)


def precision_recall(curves: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """One curve per class and their mean; many classes are pale except the four weakest."""
    if not curves:
        return ""
    areas = {name: float(np.mean(curve["precision"])) for name, curve in curves.items()}
    many = len(curves) > len(SERIES)
    told = sorted(areas, key=lambda name: areas[name])[:4] if many else list(curves)
    with axes(5.6, 4.2) as (figure, ax):
        for name, curve in curves.items():
            if name not in told:
                ax.plot(curve["recall"], curve["precision"], color=SOFT, lw=0.6, alpha=0.35)
        for index, name in enumerate(told):
            label = f"{short(name, 22)}  {areas[name]:.2f}"
            ax.plot(
                curves[name]["recall"], curves[name]["precision"],
                color=SERIES[index], label=label,
            )  # fmt: skip
        if len(curves) > 1:
            _mean_curve(ax, list(curves.values()))
        ax.set_xlabel("recall")
        ax.set_ylabel("precision")
        ax.set_xlim(0, 1.005)
        ax.set_ylim(0, 1.02)
        ax.legend(
            loc="best", title="four weakest" if many else None, title_fontsize=9, framealpha=0.85
        )
        mean = float(np.mean(list(areas.values())))
        return to_svg(figure, f"Precision over recall of {len(curves)} classes, mean {mean:.3f}")


def _mean_curve(ax: "Axes", curves: list[Mapping[str, Sequence[float]]]) -> None:
    if len({len(c["precision"]) for c in curves}) == 1:
        mean = np.mean([c["precision"] for c in curves], axis=0)
        label = f"mean  {float(mean.mean()):.2f}"
        ax.plot(curves[0]["recall"], mean, color=INK, lw=2.2, ls=(0, (4, 2)), label=label)


def bars(values: Mapping[str, float | None], title: str, *, counts: bool = False) -> str:
    """Horizontal bars, longest first; of many classes only both ends of the order."""
    known = {name: float(v) for name, v in values.items() if v is not None}
    if not known:
        return ""
    order = sorted(known, key=lambda name: -known[name])
    if len(order) > BARS:
        order = [*order[: BARS // 2], *order[-BARS // 2 :]]
    with axes(5.2, 0.55 + 0.25 * len(order)) as (figure, ax):
        _draw_bars(ax, order, known, counts=counts)
        if len(known) > BARS:
            ax.axhline(BARS // 2 - 0.5, color=SOFT, lw=1, ls=(0, (2, 3)))
        low, high = number(min(known.values())), number(max(known.values()))
        return to_svg(figure, f"{title} of {len(known)} classes, from {low} to {high}")


def _draw_bars(ax: "Axes", order: list[str], known: Mapping[str, float], *, counts: bool) -> None:
    lengths = [known[name] for name in order]
    ax.barh(range(len(order)), lengths, height=0.62, color=SERIES[0], alpha=0.85)
    ax.set_yticks(range(len(order)), [short(name, 24) for name in order])
    ax.set_ylim(len(order) - 0.4, -0.6)
    ax.grid(visible=False)
    ax.set_xticks([])
    ax.spines["bottom"].set_visible(False)
    longest = max(lengths) if counts else 1.0
    ax.set_xlim(0, max(longest, 1e-9) * 1.16)
    for row, value in enumerate(lengths):
        text = _compact(value) if counts else f"{value:.3f}"
        ax.text(value + longest * 0.012, row, text, va="center", fontsize=8.5, color=SOFT)


def _compact(value: float) -> str:
    """`12 345` as it is, from a million on in millions."""
    return f"{value / 1e6:.1f} M" if value >= 1e6 else number(round(value))


def calibration(bins: Mapping[str, Sequence[float]]) -> str:
    """Accuracy over confidence; the diagonal is a model that is as right as it is sure."""
    if not bins.get("confidence"):
        return ""
    with axes(4.4, 3.6) as (figure, ax):
        ax.plot([0, 1], [0, 1], color=SOFT, lw=1, ls=(0, (3, 3)))
        ax.plot(bins["confidence"], bins["accuracy"], color=SERIES[0])
        images = np.asarray(bins["images"], dtype=float)
        size: Any = 14 + 90 * np.sqrt(images / images.max())
        ax.scatter(
            bins["confidence"], bins["accuracy"], s=size, color=SERIES[0],
            edgecolors=PAPER, zorder=3,
        )  # fmt: skip
        ax.set_xlabel("confidence")
        ax.set_ylabel("accuracy")
        ax.set_xlim(0, 1.03)
        ax.set_ylim(0, 1.03)
        return to_svg(figure, "Accuracy over confidence; dots grow with the number of images")
