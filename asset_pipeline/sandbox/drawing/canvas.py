"""Smooth shapes on a picture: each is drawn larger on a small mask, which is then scaled down.

Only a shape's own bounding box is touched, which is why a picture of a hundred shapes takes a few
dozen milliseconds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

Point = tuple[float, float]
Colour = tuple[int, int, int]

_SMALL = 200  # pixels; below it, the steps of a slanted edge show and the finer mask costs nothing


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Return ``one`` with a share of ``other``, 0 to 1."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def brightness(colour: Colour) -> float:
    """Return how light a colour looks, 0 to 255."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def oval(
    x: float, y: float, rx: float, ry: float, start: float = 0, end: float = 360
) -> list[Point]:
    """Return points along an ellipse, clockwise from 3 o'clock; angles in degrees."""
    count = max(6, round(abs(end - start) / 7.5))
    steps = [math.radians(start + (end - start) * step / count) for step in range(count + 1)]
    return [(x + rx * math.cos(angle), y + ry * math.sin(angle)) for angle in steps]


def smooth(points: Sequence[Point], *, closed: bool = True) -> list[Point]:
    """Return a rounded curve through the points (Catmull-Rom)."""
    count, steps = len(points), 7
    found: list[Point] = []
    for index in range(count if closed else count - 1):
        near = [
            points[(index + shift) % count if closed else min(max(index + shift, 0), count - 1)]
            for shift in (-1, 0, 1, 2)
        ]
        xs, ys = [x for x, _ in near], [y for _, y in near]
        found.extend((_bend(step / steps, xs), _bend(step / steps, ys)) for step in range(steps))
    return found if closed else [*found, points[-1]]


class Canvas:
    """A picture to draw on, in pixels from its upper left corner."""

    def __init__(self, image: Image.Image) -> None:
        self.image = image
        self.width, self.height = image.size

    def fill(self, points: Sequence[Point], colour: Colour, alpha: float = 1.0) -> None:
        """Fill a polygon."""

        def draw(pen: ImageDraw.ImageDraw, at: list[Point], _: int, level: int) -> None:
            pen.polygon(at, fill=level)

        self._stamp(points, 1, colour, alpha, draw)

    def cluster(
        self, discs: Sequence[tuple[float, float, float]], colour: Colour, alpha: float
    ) -> None:
        """Fill overlapping circles, each ``(x, y, radius)``, as one shape: no seams show."""

        def draw(pen: ImageDraw.ImageDraw, at: list[Point], _: int, level: int) -> None:
            for (left, top), (right, bottom) in zip(at[::2], at[1::2], strict=True):
                pen.ellipse((left, top, right, bottom), fill=level)

        corners = [point for x, y, r in discs for point in ((x - r, y - r), (x + r, y + r))]
        self._stamp(corners, 1, colour, alpha, draw)

    def stroke(
        self, points: Sequence[Point], width: float, colour: Colour, alpha: float = 1.0
    ) -> None:
        """Draw a line with round joints and ends, ``width`` pixels thick."""

        def draw(pen: ImageDraw.ImageDraw, at: list[Point], scale: int, level: int) -> None:
            thick = max(1, round(width * scale))
            pen.line(at, fill=level, width=thick, joint="curve")
            r = thick / 2 - 0.5
            for x, y in (at[0], at[-1]):
                pen.ellipse((x - r, y - r, x + r, y + r), fill=level)

        self._stamp(points, width / 2 + 1, colour, alpha, draw)

    def glow(self, x: float, y: float, rx: float, ry: float, colour: Colour, alpha: float) -> None:
        """Lay down an ellipse that fades towards its edge: light if it is pale, else shade."""
        box = (round(x - rx), round(y - ry), round(x + rx), round(y + ry))
        size = box[2] - box[0], box[3] - box[1]
        if min(size) > 0:
            fading = _fading(round(255 * alpha)).resize(size, Image.Resampling.BILINEAR)
            self.image.paste(colour, box, fading)

    def text(self, at: Point, words: str, size: float, colour: Colour, anchor: str = "lm") -> None:
        """Write a line of text, ``size`` pixels high, its anchor as Pillow names them."""
        pen = ImageDraw.Draw(self.image)
        pen.text(at, words, fill=colour, font=font(max(6, round(size))), anchor=anchor)

    def _stamp(
        self,
        points: Sequence[Point],
        margin: float,
        colour: Colour,
        alpha: float,
        draw: Callable[[ImageDraw.ImageDraw, list[Point], int, int], None],
    ) -> None:
        xs, ys = [x for x, _ in points], [y for _, y in points]
        left, top = max(0, math.floor(min(xs) - margin)), max(0, math.floor(min(ys) - margin))
        right = min(self.width, math.ceil(max(xs) + margin))
        bottom = min(self.height, math.ceil(max(ys) + margin))
        if right <= left or bottom <= top:
            return
        scale = 3 if max(right - left, bottom - top) < _SMALL else 2
        mask = Image.new("L", ((right - left) * scale, (bottom - top) * scale))
        at = [((x - left) * scale, (y - top) * scale) for x, y in points]
        draw(ImageDraw.Draw(mask), at, scale, round(255 * alpha))
        self.image.paste(colour, (left, top, right, bottom), mask.reduce(scale))


class Pen:
    """Draws in a subject's own measure: -1 to 1 both ways, y downwards.

    Args:
        canvas: Where to.
        x: Pixels from the left to the subject's middle.
        y: Pixels from the top to the subject's middle.
        size: Pixels from its middle to its edge.
        turn: Degrees clockwise.
    """

    def __init__(self, canvas: Canvas, x: float, y: float, size: float, turn: float = 0) -> None:
        self._canvas, self._size = canvas, size
        cos, sin = math.cos(math.radians(turn)) * size, math.sin(math.radians(turn)) * size
        self._place: Callable[[Point], Point] = lambda point: (
            x + point[0] * cos - point[1] * sin,
            y + point[0] * sin + point[1] * cos,
        )

    def fill(self, points: Sequence[Point], colour: Colour, alpha: float = 1.0) -> None:
        """Fill a polygon."""
        self._canvas.fill([self._place(point) for point in points], colour, alpha)

    def line(
        self, points: Sequence[Point], width: float, colour: Colour, alpha: float = 1.0
    ) -> None:
        """Draw a round line; its width is in the subject's measure too."""
        placed = [self._place(point) for point in points]
        self._canvas.stroke(placed, max(1.0, width * self._size), colour, alpha)

    def disc(self, x: float, y: float, rx: float, colour: Colour, ry: float | None = None) -> None:
        """Fill an ellipse."""
        self.fill(oval(x, y, rx, rx if ry is None else ry), colour)

    def box(self, left: float, top: float, right: float, bottom: float, colour: Colour) -> None:
        """Fill a rectangle."""
        self.fill([(left, top), (right, top), (right, bottom), (left, bottom)], colour)


@lru_cache(maxsize=64)
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Return Pillow's built-in font, ``size`` pixels high: no system has to have any."""
    return ImageFont.load_default(size)


@lru_cache(maxsize=64)
def _fading(level: int) -> Image.Image:
    # Pillow's gradient is 0 in the middle and about 181 where the circle meets the square's side.
    edge = 181
    softened = [level * max(0.0, 1 - value / edge) ** 1.6 for value in range(256)]
    small = Image.radial_gradient("L").resize((64, 64), Image.Resampling.BILINEAR)
    return small.point([round(value) for value in softened])


def _bend(t: float, p: Sequence[float]) -> float:
    return 0.5 * (
        2 * p[1]
        + (p[2] - p[0]) * t
        + (2 * p[0] - 5 * p[1] + 4 * p[2] - p[3]) * t * t
        + (3 * p[1] - p[0] - 3 * p[2] + p[3]) * t * t * t
    )
