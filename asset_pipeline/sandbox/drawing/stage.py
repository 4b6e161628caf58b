"""What a scene is given to work with, and the background that all begin from."""

from __future__ import annotations

import random
from dataclasses import dataclass

from PIL import Image

from asset_pipeline.sandbox.drawing.canvas import Canvas, Colour, Pen, mix, oval
from asset_pipeline.sandbox.drawing.palette import Palette
from asset_pipeline.sandbox.drawing.subjects import Subject

_GRID = 12  # a gradient is worked out on so few points a side, and scaled up


@dataclass(frozen=True, slots=True)
class Stage:
    """One picture in the making.

    Args:
        canvas: The picture.
        palette: Its colours.
        rng: Its chances, all from the seed.
        subjects: What to show, the first before all.
        words: The prompt's words, lower case.
        title: The prompt.
    """

    canvas: Canvas
    palette: Palette
    rng: random.Random
    subjects: list[Subject]
    words: frozenset[str]
    title: str

    @property
    def width(self) -> int:
        """Pixels across."""
        return self.canvas.width

    @property
    def height(self) -> int:
        """Pixels down."""
        return self.canvas.height

    @property
    def unit(self) -> int:
        """The shorter side: what things are measured by."""
        return min(self.width, self.height)

    def subject(self, x: float, y: float, size: float, *, which: int = 0, turn: float = 0) -> None:
        """Draw a subject around a point, ``size`` pixels to its edge."""
        self.subjects[which](Pen(self.canvas, x, y, size, turn), self.palette)

    def shaded(self, thing: Subject, x: float, y: float, size: float) -> None:
        """Draw something that stands on a surface, with its soft shadow."""
        ink = self.palette.ink
        self.canvas.glow(x + size * 0.1, y + size, size * 1.15, size * 0.24, ink, 0.5)
        thing(Pen(self.canvas, x, y, size), self.palette)

    def disc(self, x: float, y: float, r: float, colour: Colour, alpha: float = 1.0) -> None:
        """Fill a circle."""
        self.canvas.fill(oval(x, y, r, r), colour, alpha)

    def ring(self, x: float, y: float, r: float, width: float, colour: Colour) -> None:
        """Draw a circle's line: a disc ring, cheaper than a closed line of that length."""
        outer, inner = (
            oval(x, y, r + width / 2, r + width / 2),
            oval(x, y, r - width / 2, r - width / 2),
        )
        self.canvas.fill([*outer, *reversed(inner)], colour)


def gradient(width: int, height: int, palette: Palette, rng: random.Random) -> Image.Image:
    """Return the background: from sky to haze along a tilted line, lit around one point."""
    tilt = rng.uniform(-0.35, 0.35)
    light_x, light_y = rng.uniform(0.2, 0.8), rng.uniform(0.1, 0.6)
    glow = mix(palette.haze, palette.paper, 0.55)
    cells = bytearray()
    for row in range(_GRID):
        for column in range(_GRID):
            x, y = column / (_GRID - 1), row / (_GRID - 1)
            share = min(1.0, max(0.0, y + tilt * (x - 0.5)))
            near = max(0.0, 1 - ((x - light_x) ** 2 + (y - light_y) ** 2) * 2.2)
            cells.extend(mix(mix(palette.sky, palette.haze, share), glow, near * near * 0.4))
    small = Image.frombytes("RGB", (_GRID, _GRID), bytes(cells))
    return small.resize((width, height), Image.Resampling.BICUBIC)
