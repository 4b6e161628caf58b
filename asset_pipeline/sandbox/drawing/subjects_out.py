"""Things of the open air: each drawn in the square from -1 to 1, standing on y = 1."""

from __future__ import annotations

import math

from asset_pipeline.sandbox.drawing.canvas import Pen, Point, mix, oval, smooth
from asset_pipeline.sandbox.drawing.palette import Palette


def house(pen: Pen, c: Palette) -> None:
    """A house with a chimney and lit windows."""
    pen.box(0.34, -0.92, 0.56, -0.3, mix(c.accent, c.ink, 0.35))
    pen.box(-0.72, -0.12, 0.72, 1, c.paper)
    pen.box(-0.72, -0.12, -0.1, 1, mix(c.paper, c.second, 0.16))
    pen.fill([(-0.98, -0.06), (0, -0.92), (0.98, -0.06)], c.main)
    pen.fill(
        [(-0.98, -0.06), (0, -0.92), (0.12, -0.82), (-0.74, -0.06)], mix(c.main, c.paper, 0.18)
    )
    pen.box(-0.16, 0.4, 0.2, 1, c.accent)
    pen.disc(0.12, 0.72, 0.03, c.paper)
    for x in (-0.42, 0.46):
        pen.box(x - 0.17, 0.12, x + 0.17, 0.48, mix(c.accent, c.paper, 0.45))
        pen.line([(x, 0.12), (x, 0.48)], 0.035, c.main)
        pen.line([(x - 0.17, 0.3), (x + 0.17, 0.3)], 0.035, c.main)
    pen.disc(0, -0.42, 0.13, mix(c.accent, c.paper, 0.45))


def mountain(pen: Pen, c: Palette) -> None:
    """Two peaks with snow."""
    pen.fill([(-0.1, 1), (0.5, -0.3), (1, 1)], c.second)
    pen.fill([(0.5, -0.3), (0.66, 0.1), (0.5, 0.0), (0.38, 0.16), (0.3, 0.14)], c.paper)
    pen.fill([(-1, 1), (-0.25, -0.9), (0.6, 1)], c.main)
    pen.fill([(-0.25, -0.9), (0.6, 1), (0.0, 1), (-0.14, -0.1)], mix(c.main, c.ink, 0.28))
    cap = [(-0.25, -0.9), (0.03, -0.28), (-0.1, -0.42), (-0.24, -0.2), (-0.36, -0.4), (-0.5, -0.26)]
    pen.fill(cap, c.paper)


def sun(pen: Pen, c: Palette) -> None:
    """A sun with rays."""
    for step in range(12):
        inner, outer = oval(0, 0, 0.66, 0.66, step * 30)[0], oval(0, 0, 0.96, 0.96, step * 30)[0]
        pen.line([inner, outer], 0.1, c.accent)
    pen.disc(0, 0, 0.54, c.accent)
    pen.disc(-0.06, -0.06, 0.4, mix(c.accent, c.paper, 0.3))


def moon(pen: Pen, c: Palette) -> None:
    """A crescent and two stars."""
    outer = oval(-0.05, 0, 0.85, 0.85, 55, 305)
    inner = oval(0.28, 0, 0.7, 0.74, 285, 75)
    pen.fill([*outer, *inner], c.accent)
    for x, y, r in ((0.5, -0.3, 0.2), (0.66, 0.32, 0.12)):
        pen.fill(_star(x, y, r), c.accent)


def star(pen: Pen, c: Palette) -> None:
    """A five-pointed star in facets."""
    points = _star(0, 0.06, 1)
    pen.fill(points, c.accent)
    for step in range(0, 10, 2):
        pen.fill([(0, 0.06), points[step], points[step + 1]], mix(c.accent, c.paper, 0.35))


def ship(pen: Pen, c: Palette) -> None:
    """A sailing ship on a wave."""
    pen.line([(0.02, -0.98), (0.02, 0.5)], 0.055, c.ink)
    pen.fill(
        [*smooth([(-0.06, -0.9), (-0.5, -0.3), (-0.78, 0.28)], closed=False), (-0.06, 0.3)], c.paper
    )
    pen.fill(
        [*smooth([(0.1, -0.82), (0.52, -0.3), (0.66, 0.28)], closed=False), (0.1, 0.3)],
        mix(c.paper, c.accent, 0.55),
    )
    pen.fill([(0.02, -1), (0.34, -0.92), (0.02, -0.82)], c.accent)
    hull = [
        (-0.92, 0.44),
        (0.96, 0.44),
        *smooth([(0.8, 0.72), (0.5, 0.88), (-0.5, 0.88), (-0.76, 0.7)], closed=False),
    ]
    pen.fill(hull, c.main)
    pen.line([(-0.88, 0.54), (0.9, 0.54)], 0.05, c.accent)
    wave: list[Point] = [(x / 10, 0.92 + 0.05 * math.sin(x * 1.4)) for x in range(-10, 11)]
    pen.line(smooth(wave, closed=False), 0.07, c.second)


def rocket(pen: Pen, c: Palette) -> None:
    """A rocket taking off."""
    pen.fill(smooth([(-0.2, 0.5), (0.2, 0.5), (0.12, 0.8), (0, 1), (-0.12, 0.8)]), c.accent)
    for side in (-1, 1):
        pen.fill(
            [(side * 0.26, 0.0), (side * 0.66, 0.44), (side * 0.6, 0.66), (side * 0.2, 0.46)],
            c.accent,
        )
    body = smooth([(0, -0.98), (0.3, -0.5), (0.34, 0.1), (0.2, 0.54)], closed=False)
    pen.fill([*body, *((-x, y) for x, y in reversed(body))], c.paper)
    nose = [(x, y) for x, y in body if y < -0.48]  # noqa: PLR2004 -- where the nose ends
    pen.fill([*nose, *((-x, y) for x, y in reversed(nose))], c.main)
    pen.disc(0, -0.16, 0.17, c.main)
    pen.disc(0, -0.16, 0.11, mix(c.second, c.paper, 0.5))


def heart(pen: Pen, c: Palette) -> None:
    """A heart."""
    half = smooth(
        [(0, -0.48), (0.3, -0.84), (0.76, -0.72), (0.9, -0.24), (0.6, 0.34), (0, 0.92)],
        closed=False,
    )
    pen.fill([*half, *((-x, y) for x, y in reversed(half))], c.accent)
    pen.line(
        smooth([(-0.66, -0.3), (-0.6, -0.54), (-0.4, -0.64)], closed=False),
        0.1,
        mix(c.accent, c.paper, 0.55),
    )


def tower(pen: Pen, c: Palette) -> None:
    """A lighthouse."""
    pen.fill([(-0.24, -0.5), (0.24, -0.5), (0.42, 1), (-0.42, 1)], c.paper)
    for top in (-0.28, 0.22, 0.72):
        a, b = 0.24 + (top + 0.5) * 0.12, 0.24 + (top + 0.75) * 0.12
        pen.fill([(-a, top), (a, top), (b, top + 0.25), (-b, top + 0.25)], c.accent)
    pen.box(-0.32, -0.56, 0.32, -0.48, c.ink)
    pen.box(-0.17, -0.8, 0.17, -0.54, mix(c.accent, c.paper, 0.7))
    pen.fill([(-0.25, -0.78), (0, -1), (0.25, -0.78)], c.main)
    for side in (-1, 1):
        pen.fill([(side * 0.18, -0.7), (side * 1, -0.92), (side * 1, -0.5)], c.paper, 0.45)


def _star(x: float, y: float, r: float) -> list[Point]:
    return [
        oval(x, y, radius, radius, -90 + step * 36)[0]
        for step, radius in enumerate((r, r * 0.42) * 5)
    ]
