"""A matplotlib figure in, inline SVG out that takes its colours and font from the page."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Colours of the light page; each is written into the SVG as `var(--name, colour)`, so that the
# page's dark scheme reaches the figures. They are told apart with colour-blind eyes.
INK, SOFT, LINE, PAPER = "#1d2125", "#5a626c", "#e2e5e9", "#fffffe"
SERIES = ("#0067a8", "#c04e00", "#00805e", "#a6457f", "#96690a", "#3c86b8", "#6a4c93", "#4f5a66")
_VARIABLES = {INK: "ink", SOFT: "soft", LINE: "line", PAPER: "card"} | {
    colour: f"s{index + 1}" for index, colour in enumerate(SERIES)
}
_COLOUR = re.compile("|".join(_VARIABLES))

_STYLE: Any = {
    "svg.fonttype": "none",
    "font.size": 10,
    "text.color": INK,
    "text.parse_math": False,
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "axes.titlesize": 10,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.facecolor": "none",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.facecolor": "none",
    "grid.color": LINE,
    "grid.linewidth": 0.8,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "xtick.labelsize": 9,
    "ytick.labelsize": 9,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}


@contextmanager
def axes(width: float = 5.2, height: float = 3.4) -> Iterator[tuple["Figure", "Axes"]]:
    """A figure with one pair of axes in the page's style; nothing global outlives the block."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        yield figure, figure.subplots()


def to_svg(figure: "Figure", label: str) -> str:
    """Inline SVG with an accessible name; to be called inside the block of `axes`."""
    import matplotlib

    buffer = StringIO()
    nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    # Ids are salted with the label, so that they repeat in every run and differ within a page.
    with warnings.catch_warnings(), matplotlib.rc_context({"svg.hashsalt": label}):
        # The browser has the glyphs that matplotlib's own font lacks.
        warnings.filterwarnings("ignore", "Glyph .* missing from", UserWarning)
        figure.savefig(buffer, format="svg", metadata=nothing)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<(metadata|style)\b.*?</\1>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    # Groups are named on every figure alike, and ids must not repeat in a page.
    text = re.sub(r'<g id="[^"]*"', "<g", text)
    text = re.sub(r"font-family: [^;\"]*; ", "", text)
    text = _COLOUR.sub(lambda m: f"var(--{_VARIABLES[m.group()]}, {m.group()})", text)
    box = re.search(r'viewBox="([^"]*)"', text)
    view = f' viewBox="{box.group(1)}"' if box else ""
    head = f'<svg{view} role="img" aria-label="{escape(label)}"><title>{escape(label)}</title>'
    body = text[text.index(">", text.index("<svg")) + 1 :]
    return head + re.sub(r"\n\s*", "\n", body).strip()


def short(text: str, most: int = 18) -> str:
    """The text cut to `most` characters."""
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"
