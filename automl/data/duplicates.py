"""Images that are equal in every pixel, or nearly: resized, saved again, or mirrored.

Nearly equal: the 64 bits of their dHash differ in at most four, upright or mirrored, and their
small grey pictures hardly differ either. Images without any structure are left to the exact test.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from automl.data.fingerprint import GRID, Fingerprint
from automl.data.images import ImageFacts

FARTHEST = 4
"""Bits of 64 in which two near copies may differ."""

UNLIKE = 0.13
"""Mean difference of two small pictures, in units of their spread, above which they are unlike.

Of 100 planted copies each in drawn and real images 99 lie below 0.11; other pairs seldom do."""

FLAT = 3.0
"""Spread of grey values below which a small picture shows nothing to compare."""

MOST_COMPARED = 2000
"""Images with an equal band that one is compared with: the work grows with the images alone.

More look much alike there, such as on a white ground; true copies agree in other bands as well."""

_BANDS = tuple(range(0, 64, 13))
"""Five bands: of four bits that differ, one band at least has none."""


@dataclass(frozen=True)
class Twin:
    """Image `other` is a copy of image `first`, by their places; `exact` in every pixel."""

    first: int
    other: int
    exact: bool


def exact_twins(facts: Sequence[ImageFacts], same: Callable[[int, int], bool]) -> list[Twin]:
    """Copies by their key; where the bytes differ, `same` compares the pixels themselves."""
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for place, one in enumerate(facts):
        known = one.look
        key = (known.key, known.tiny, one.width, one.height) if known else (one.digest,)
        groups[key].append(place)
    found = []
    for places in groups.values():
        firsts: list[int] = []
        for place in places:
            first = next((f for f in firsts if _equal(facts, f, place, same)), None)
            if first is None:
                firsts.append(place)
            else:
                found.append(Twin(first, place, exact=True))
    return found


def _equal(
    facts: Sequence[ImageFacts], first: int, other: int, same: Callable[[int, int], bool]
) -> bool:
    return facts[first].digest == facts[other].digest or same(first, other)


def near_twins(prints: Sequence[Fingerprint]) -> list[Twin]:
    """Each image with an earlier one that it nearly equals, if there is one."""
    if len(prints) < 2:
        return []
    tiny = np.frombuffer(b"".join(bytes.fromhex(one.tiny) for one in prints), np.uint8)
    tiny = tiny.reshape(-1, GRID, GRID)
    plain = _hashes([one.dhash for one in prints])
    mirrored = _hashes([one.mirrored for one in prints])
    telling = np.concatenate([part.std((1, 2)) for part in _parts(tiny)]) >= FLAT
    partner = np.full(len(prints), -1)
    for hashes, pictures in (
        (plain, tiny),
        (mirrored, tiny[:, :, ::-1]),
        (_upside_down(plain), tiny[:, ::-1]),
        (_upside_down(mirrored), tiny[:, ::-1, ::-1]),
    ):
        for other, first in _close(plain, hashes, telling, partner):
            for a, b in zip(_parts(other), _parts(first), strict=True):
                fit = _alike(tiny[a], pictures[b])
                partner[a[fit]] = b[fit]
    return [Twin(int(p), i, exact=False) for i, p in enumerate(partner.tolist()) if p >= 0]


def _hashes(texts: Sequence[str]) -> np.ndarray:
    return np.array([int(text, 16) for text in texts], np.uint64)


def _upside_down(hashes: np.ndarray) -> np.ndarray:
    """The rows of a hash are its bytes."""
    return hashes.byteswap()


def _parts(values: np.ndarray) -> list[np.ndarray]:
    """A few thousand at a time: pictures as real numbers take a kilobyte each."""
    return np.array_split(values, -(-len(values) // 4096))


def _close(
    hashes: np.ndarray, others: np.ndarray, telling: np.ndarray, partner: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of a place and an earlier one whose hashes differ in few bits.

    Each round takes the next candidate of all places at once; those that have a partner drop out.
    """
    places = np.flatnonzero(telling)
    for low in _BANDS:
        mask = np.uint64((1 << min(13, 64 - low)) - 1)
        keys, wanted = (hashes >> np.uint64(low)) & mask, (others >> np.uint64(low)) & mask
        theirs = places[np.argsort(wanted[places], kind="stable")]
        bucket = wanted[theirs]
        at, end = (np.searchsorted(bucket, keys, side) for side in ("left", "right"))
        end = np.minimum(end, at + MOST_COMPARED)
        left = places
        while left.size:
            left = left[(at[left] < end[left]) & (partner[left] < 0)]
            candidates = theirs[at[left]]
            earlier = candidates < left  # they rise: none of the later ones is
            left, candidates = left[earlier], candidates[earlier]
            near = np.bitwise_count(hashes[left] ^ others[candidates]) <= FARTHEST
            if near.any():
                yield left[near], candidates[near]
            at[left] += 1


def _alike(pictures: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Whether two stacks of small pictures hardly differ, apart from brightness and contrast."""
    apart = np.abs(_normal(pictures) - _normal(others)).mean((1, 2))
    return np.asarray(apart <= UNLIKE)


def _normal(pictures: np.ndarray) -> np.ndarray:
    grey = pictures.astype(np.float32)
    grey -= grey.mean((1, 2), keepdims=True)
    return np.asarray(grey / np.maximum(grey.std((1, 2), keepdims=True), 1.0))
