"""Text on images: lines and tags that are readable on any background; numpy and cv2 only."""

from dataclasses import dataclass

import cv2
import numpy as np

from automl.tasks.palette import ink_on

Rect = tuple[int, int, int, int]
"""x0, y0, x1, y1 in pixels; the far side is not part of it."""


@dataclass(frozen=True)
class Lettering:
    """A font at one size; made per drawing, since a font face is not shared between threads."""

    face: "cv2.FontFace"
    size: int
    room: int
    """Pixels that a tag may take in its width."""
    sparing: bool = False
    """Whether names are left out where they would cover too much, as in a thumbnail."""

    @staticmethod
    def on(canvas: np.ndarray, *, thumbnail: bool = False) -> "Lettering":
        """Text in proportion to the drawing, 13 px at least; a thumbnail's is twice as large."""
        height, width = canvas.shape[:2]
        size = max(13, max(height, width) // (22 if thumbnail else 48))
        room = round(width * 0.55) if thumbnail else width - size
        return Lettering(cv2.FontFace("sans"), size, max(room, size), thumbnail)

    def width(self, text: str) -> int:
        """Pixels that the text takes."""
        return int(cv2.getTextSize((0, 0), text, (0, 0), self.face, self.size, 500)[2])

    @property
    def height(self) -> int:
        """Pixels from the top of a line to the next."""
        return round(self.size * 1.45)

    def fit(self, text: str, width: int, tail: str = "") -> str:
        """The text and its tail; the text is cut with an ellipsis where both are too wide."""
        if self.width(text + tail) <= width:
            return text + tail
        low, high = 0, len(text)
        while low < high:
            middle = (low + high + 1) // 2
            if self.width(text[:middle].rstrip() + "…" + tail) <= width:
                low = middle
            else:
                high = middle - 1
        return text[:low].rstrip() + "…" + tail

    def put(self, canvas: np.ndarray, text: str, at: tuple[int, int], ink: tuple[int, ...]) -> None:
        """Writes a line whose top left corner is `at`."""
        baseline = at[1] + round(self.height * 0.74)
        cv2.putText(canvas, text, (at[0], baseline), ink, self.face, self.size, 500)


def tag_size(text: str, letters: Lettering) -> tuple[int, int]:
    """Width and height of a filled label."""
    return letters.width(text) + letters.size // 2 + 2, letters.height


def put_tag(
    canvas: np.ndarray, text: str, rect: Rect, colour: np.ndarray, letters: Lettering
) -> None:
    """A filled label; black or white text, whichever is read better."""
    fill = tuple(int(c) for c in colour)
    cv2.rectangle(canvas, rect[:2], (rect[2] - 1, rect[3] - 1), fill, cv2.FILLED)
    letters.put(canvas, text, (rect[0] + letters.size // 4 + 1, rect[1]), ink_on(colour))


def inside(rect: Rect, canvas: np.ndarray) -> Rect:
    """The rectangle moved into the canvas, as far as it fits."""
    height, width = canvas.shape[:2]
    dx = max(0, -rect[0]) if rect[0] < 0 else min(0, width - rect[2])
    dy = max(0, -rect[1]) if rect[1] < 0 else min(0, height - rect[3])
    x, y = max(0, rect[0] + dx), max(0, rect[1] + dy)
    return (x, y, x + rect[2] - rect[0], y + rect[3] - rect[1])


def overlap(one: Rect, other: Rect) -> bool:
    """Whether the two share a pixel."""
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
