"""Things that people make: each drawn in the square from -1 to 1, standing on y = 1."""

from __future__ import annotations

from asset_pipeline.sandbox.drawing.canvas import Pen, mix, oval, smooth
from asset_pipeline.sandbox.drawing.palette import Palette


def document(pen: Pen, c: Palette) -> None:
    """A sheet with a folded corner, lines of text and a wax seal."""
    sheet = [(-0.68, -1), (0.32, -1), (0.72, -0.6), (0.72, 1), (-0.68, 1)]
    pen.fill([(x + 0.07, y + 0.05) for x, y in sheet], c.ink, 0.18)
    pen.fill(sheet, c.paper)
    pen.fill([(0.32, -1), (0.72, -0.6), (0.32, -0.6)], mix(c.paper, c.second, 0.45))
    pen.box(-0.48, -0.72, 0.12, -0.58, c.main)
    for row in range(6):
        y = -0.38 + row * 0.17
        pen.line(
            [(-0.46, y), (0.5 - 0.22 * (row in (2, 5)), y)], 0.045, mix(c.second, c.paper, 0.3)
        )
    pen.line(
        smooth([(-0.44, 0.78), (-0.3, 0.66), (-0.2, 0.84), (-0.02, 0.72)], closed=False),
        0.04,
        c.ink,
    )
    pen.disc(0.42, 0.66, 0.2, c.accent)
    pen.disc(0.42, 0.66, 0.12, mix(c.accent, c.paper, 0.35))


def book(pen: Pen, c: Palette) -> None:
    """An open book."""
    for side in (-1, 1):
        cover = [(0, -0.35), (side * 0.98, -0.5), (side * 0.98, 0.66), (0, 0.82)]
        pen.fill(cover, c.main)
        page = smooth([(0, -0.36), (side * 0.4, -0.6), (side * 0.88, -0.56)], closed=False)
        foot = smooth([(side * 0.88, 0.5), (side * 0.4, 0.46), (0, 0.7)], closed=False)
        pen.fill([*page, *foot], c.paper if side < 0 else mix(c.paper, c.haze, 0.25))
        for row in range(5):
            y = -0.3 + row * 0.17
            pen.line(
                [(side * 0.14, y + 0.02), (side * 0.74, y - 0.1)],
                0.035,
                mix(c.second, c.paper, 0.35),
            )
    pen.fill([(0.3, -0.56), (0.44, -0.58), (0.44, 0.1), (0.37, 0.0), (0.3, 0.1)], c.accent)


def cup(pen: Pen, c: Palette) -> None:
    """A cup on its saucer, steaming."""
    pen.disc(0, 0.84, 0.92, mix(c.second, c.paper, 0.25), 0.16)
    pen.disc(0, 0.8, 0.6, mix(c.second, c.ink, 0.2), 0.09)
    pen.line(oval(0.62, 0.18, 0.3, 0.3, -95, 110), 0.12, c.main)
    bowl = [(-0.68, -0.2), *smooth([(-0.66, 0.1), (-0.5, 0.6), (-0.28, 0.8)], closed=False)]
    pen.fill([*bowl, *((-x, y) for x, y in reversed(bowl))], c.main)
    pen.fill(
        [*((x * 0.98, y) for x, y in bowl), (-0.1, 0.8), (-0.42, -0.2)], mix(c.main, c.paper, 0.18)
    )
    pen.disc(0, -0.2, 0.68, mix(c.main, c.ink, 0.25), 0.16)
    pen.disc(0, -0.19, 0.6, mix(c.accent, c.ink, 0.25), 0.12)
    for x in (-0.28, 0.02, 0.32):
        steam = [(x, -0.42), (x + 0.09, -0.58), (x - 0.06, -0.76), (x + 0.05, -0.96)]
        pen.line(smooth(steam, closed=False), 0.06, c.paper, 0.75)


def key(pen: Pen, c: Palette) -> None:
    """An old key, upright."""
    pen.line(oval(0, -0.58, 0.32, 0.32), 0.16, c.accent)
    pen.line(oval(0, -0.58, 0.32, 0.32, 150, 250), 0.06, mix(c.accent, c.paper, 0.5))
    pen.box(-0.09, -0.25, 0.09, 0.98, c.accent)
    pen.box(-0.17, -0.2, 0.17, -0.08, mix(c.accent, c.ink, 0.25))
    pen.box(0.08, 0.5, 0.44, 0.64, c.accent)
    pen.box(0.08, 0.78, 0.36, 0.94, c.accent)
    pen.box(-0.09, -0.08, -0.03, 0.98, mix(c.accent, c.paper, 0.35))


def scales(pen: Pen, c: Palette) -> None:
    """The scales of justice."""
    pen.fill([(-0.5, 1), (0.5, 1), (0.32, 0.86), (-0.32, 0.86)], c.main)
    pen.fill([(-0.07, -0.7), (0.07, -0.7), (0.11, 0.88), (-0.11, 0.88)], c.main)
    pen.disc(0, -0.82, 0.13, c.accent)
    pen.line([(-0.8, -0.5), (0, -0.62), (0.8, -0.5)], 0.09, c.main)
    for side in (-1, 1):
        x = side * 0.78
        for edge in (-0.27, 0.27):
            pen.line([(x, -0.5), (x + edge, 0.16)], 0.025, c.second)
        pen.fill(oval(x, 0.15, 0.32, 0.24, 0, 180), c.accent)
        pen.line([(x - 0.32, 0.15), (x + 0.32, 0.15)], 0.05, mix(c.accent, c.paper, 0.4))


def envelope(pen: Pen, c: Palette) -> None:
    """A sealed letter."""
    pen.box(-0.95, -0.55, 0.95, 0.7, mix(c.paper, c.second, 0.2))
    pen.fill([(-0.95, 0.7), (0, -0.05), (0.95, 0.7)], mix(c.paper, c.second, 0.08))
    pen.fill([(-0.95, -0.55), (0, 0.22), (0.95, -0.55)], mix(c.paper, c.second, 0.35))
    pen.line([(-0.95, -0.55), (0, 0.22), (0.95, -0.55)], 0.03, mix(c.second, c.ink, 0.2))
    pen.disc(0, 0.18, 0.22, c.accent)
    pen.line(oval(0, 0.18, 0.13, 0.13), 0.03, mix(c.accent, c.paper, 0.45))


def lamp(pen: Pen, c: Palette) -> None:
    """A table lamp, lit."""
    pen.fill([(-0.8, 0.9), (0.8, 0.9), (0.5, -0.1), (-0.5, -0.1)], mix(c.paper, c.accent, 0.3), 0.3)
    pen.disc(0, 0.92, 0.46, c.main, 0.1)
    pen.box(-0.06, -0.1, 0.06, 0.9, c.main)
    pen.fill([(-0.34, -0.95), (0.34, -0.95), (0.66, -0.08), (-0.66, -0.08)], c.accent)
    pen.fill(
        [(-0.34, -0.95), (-0.1, -0.95), (-0.26, -0.08), (-0.66, -0.08)], mix(c.accent, c.paper, 0.3)
    )


def clock(pen: Pen, c: Palette) -> None:
    """A round clock at ten past ten."""
    pen.disc(0, 0, 0.96, c.main)
    pen.disc(0, 0, 0.8, c.paper)
    for hour in range(12):
        inner, outer = oval(0, 0, 0.66, 0.66, hour * 30)[0], oval(0, 0, 0.74, 0.74, hour * 30)[0]
        pen.line([inner, outer], 0.07 if hour % 3 == 0 else 0.035, c.ink)
    pen.line([(0, 0), (-0.36, -0.24)], 0.09, c.ink)
    pen.line([(0, 0), (0.44, -0.38)], 0.06, c.ink)
    pen.line([(0, 0.1), (0.02, -0.62)], 0.025, c.accent)
    pen.disc(0, 0, 0.08, c.accent)


def bottle(pen: Pen, c: Palette) -> None:
    """A bottle with a label."""
    side = [
        (-0.13, -0.95),
        (-0.13, -0.5),
        *smooth([(-0.14, -0.45), (-0.4, -0.15), (-0.42, 0.1)], closed=False),
        (-0.42, 0.98),
    ]
    pen.fill([*side, *((-x, y) for x, y in reversed(side))], c.main)
    pen.box(-0.34, 0.0, -0.26, 0.9, mix(c.main, c.paper, 0.4))
    pen.box(-0.42, 0.25, 0.42, 0.75, c.paper)
    pen.disc(0, 0.5, 0.15, c.accent)
    pen.box(-0.16, -1.0, 0.16, -0.8, c.accent)


def candle(pen: Pen, c: Palette) -> None:
    """A burning candle."""
    pen.disc(0, 0.9, 0.6, c.main, 0.12)
    pen.line(oval(0.56, 0.8, 0.16, 0.14), 0.06, c.main)
    pen.box(-0.25, -0.3, 0.25, 0.9, c.paper)
    pen.box(-0.25, -0.3, -0.1, 0.9, mix(c.paper, c.second, 0.25))
    pen.disc(0, -0.3, 0.25, mix(c.paper, c.accent, 0.25), 0.07)
    pen.line([(0, -0.32), (0, -0.46)], 0.04, c.ink)
    pen.fill(smooth([(0, -1), (0.17, -0.62), (0, -0.4), (-0.17, -0.62)]), c.accent)
    pen.fill(smooth([(0, -0.76), (0.08, -0.58), (0, -0.44), (-0.08, -0.58)]), c.paper)


def pen_nib(pen: Pen, c: Palette) -> None:
    """A fountain pen, writing."""
    pen.fill([(0.5, -1), (0.84, -0.76), (0.1, 0.3), (-0.22, 0.08)], c.main)
    pen.fill([(0.5, -1), (0.62, -0.92), (-0.1, 0.16), (-0.22, 0.08)], mix(c.main, c.paper, 0.25))
    pen.fill([(-0.22, 0.08), (0.1, 0.3), (-0.5, 0.72)], c.accent)
    pen.line([(-0.5, 0.72), (-0.1, 0.22)], 0.03, c.ink)
    tail = [(-0.5, 0.74), (-0.2, 0.92), (0.2, 0.72), (0.5, 0.92), (0.9, 0.78)]
    pen.line(smooth(tail, closed=False), 0.05, c.ink)


def crown(pen: Pen, c: Palette) -> None:
    """A crown."""
    pen.fill(
        [
            (-0.8, 0.6),
            (-0.92, -0.4),
            (-0.42, 0.1),
            (0, -0.7),
            (0.42, 0.1),
            (0.92, -0.4),
            (0.8, 0.6),
        ],
        c.accent,
    )
    pen.box(-0.8, 0.56, 0.8, 0.8, mix(c.accent, c.ink, 0.25))
    for x, y in ((-0.92, -0.46), (0, -0.78), (0.92, -0.46)):
        pen.disc(x, y, 0.1, c.main)
    for x in (-0.5, 0, 0.5):
        pen.disc(x, 0.68, 0.08, c.paper)


def bell(pen: Pen, c: Palette) -> None:
    """A bell."""
    side = [(-0.1, -0.82), *smooth([(-0.35, -0.6), (-0.48, 0.1), (-0.8, 0.56)], closed=False)]
    pen.disc(0, 0.68, 0.2, mix(c.accent, c.ink, 0.35))
    pen.disc(0, -0.86, 0.13, c.main)
    pen.fill([*side, *((-x, y) for x, y in reversed(side))], c.accent)
    pen.line([(-0.8, 0.58), (0.8, 0.58)], 0.12, mix(c.accent, c.ink, 0.2))
    pen.line(
        smooth([(-0.22, -0.5), (-0.33, 0), (-0.46, 0.36)], closed=False),
        0.07,
        mix(c.accent, c.paper, 0.5),
    )


def shield(pen: Pen, c: Palette) -> None:
    """A shield, parted."""
    edge = [(0, -0.95), (0.78, -0.72), *smooth([(0.78, -0.6), (0.7, 0.3), (0, 1)], closed=False)]
    whole = [*edge, *((-x, y) for x, y in reversed(edge))]
    pen.fill(whole, c.accent)
    pen.fill([(x * 0.86, y * 0.88) for x, y in whole], c.main)
    pen.fill([(x * 0.86, y * 0.88) for x, y in edge] + [(0, 0.88), (0, -0.84)], c.second)
    star = [oval(0, -0.05, r, r, -90 + step * 36)[0] for step, r in enumerate((0.4, 0.17) * 5)]
    pen.fill(star, c.paper)


def robot(pen: Pen, c: Palette) -> None:
    """A friendly robot."""
    pen.line([(0, -0.7), (0, -0.95)], 0.05, c.ink)
    pen.disc(0, -0.95, 0.09, c.accent)
    pen.fill(smooth([(-0.5, -0.68), (0.5, -0.68), (0.56, -0.05), (-0.56, -0.05)]), c.main)
    pen.box(-0.42, -0.55, 0.42, -0.18, c.ink)
    for x in (-0.2, 0.2):
        pen.disc(x, -0.37, 0.1, c.accent)
    pen.box(-0.44, 0.02, 0.44, 0.72, c.second)
    pen.box(-0.26, 0.16, 0.26, 0.46, c.paper)
    pen.disc(-0.1, 0.31, 0.07, c.accent)
    pen.line([(0.06, 0.31), (0.2, 0.31)], 0.05, c.main)
    for side in (-1, 1):
        pen.line([(side * 0.46, 0.14), (side * 0.74, 0.32), (side * 0.66, 0.6)], 0.11, c.main)
        pen.box(side * 0.24 - 0.1, 0.72, side * 0.24 + 0.1, 1, c.main)
