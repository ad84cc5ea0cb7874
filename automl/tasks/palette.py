"""One colour per class index, the same everywhere, told apart with colour-blind eyes as well."""

from functools import lru_cache

import numpy as np

# The set of Okabe and Ito (2008) without black, ordered so that the first pairs differ most.
_FIRST = ("56b4e9", "e69f00", "009e73", "cc79a7", "f0e442", "0072b2", "d55e00")

# Linear RGB as protanopes and deuteranopes see it: Machado, Oliveira and Fernandes (2009).
_SIGHTS = (
    np.eye(3),
    np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
)

# Linear RGB to the cone response and on to OKLab: Ottosson (2020).
_TO_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)


def colours(count: int) -> np.ndarray:
    """`uint8 [count, 3]` RGB; a colour depends on its index alone, and repeats after 256."""
    return np.asarray(_sequence()[np.arange(count) % 256])


def hexes(count: int) -> list[str]:
    """The same colours as `#rrggbb`."""
    return [f"#{r:02x}{g:02x}{b:02x}" for r, g, b in colours(count)]


def ink_on(colour: np.ndarray) -> tuple[int, int, int]:
    """Black or white, whichever is read better on the colour (WCAG contrast)."""
    light = float(_linear(np.asarray(colour, dtype=np.uint8)) @ (0.2126, 0.7152, 0.0722))
    # Contrast with black equals that with white at a luminance of 0.179.
    return (0, 0, 0) if light > 0.179 else (255, 255, 255)


def distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """OKLab distance of RGB colours for the eyes that tell them apart worst; broadcasts."""
    gaps = [np.linalg.norm(_lab(one, s) - _lab(other, s), axis=-1) for s in _SIGHTS]
    return np.asarray(np.min(gaps, axis=0))


def _linear(rgb: np.ndarray) -> np.ndarray:
    """sRGB `uint8` to linear light."""
    v = rgb / 255
    return np.asarray(np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4))


def _lab(rgb: np.ndarray, sight: np.ndarray) -> np.ndarray:
    """OKLab of `uint8` RGB as one kind of eyes sees it."""
    seen = np.clip(_linear(rgb) @ sight.T, 0, 1)
    return np.asarray(np.cbrt(seen @ _TO_CONES.T) @ _TO_LAB.T)


@lru_cache(maxsize=1)
def _sequence() -> np.ndarray:
    """256 colours: the first seven are given, each further one is farthest from all before."""
    first = np.array([[int(h[i : i + 2], 16) for i in (0, 2, 4)] for h in _FIRST], dtype=np.uint8)
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1).reshape(-1, 3)
    lab = _lab(grid, _SIGHTS[0])
    chroma = np.linalg.norm(lab[:, 1:], axis=1)
    # Neither greys nor near black or white: they vanish on photographs and on the page.
    grid = grid[(lab[:, 0] > 0.42) & (lab[:, 0] < 0.93) & (chroma > 0.06)]
    candidates = [_lab(grid, s) for s in _SIGHTS]
    gap = np.full(len(grid), np.inf)
    found = list(first)
    for index in range(256):
        if index >= len(found):
            found.append(grid[int(gap.argmax())])
        near = [
            np.linalg.norm(c - _lab(found[index], s), axis=1)
            for c, s in zip(candidates, _SIGHTS, strict=True)
        ]
        gap = np.minimum(gap, np.min(near, axis=0))
    return np.array(found, dtype=np.uint8)
