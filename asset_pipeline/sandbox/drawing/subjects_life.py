"""Living things: each drawn in the square from -1 to 1, standing on y = 1."""

from __future__ import annotations

from asset_pipeline.sandbox.drawing.canvas import Pen, mix, oval, smooth
from asset_pipeline.sandbox.drawing.palette import Palette


def tree(pen: Pen, c: Palette) -> None:
    """A round leafy tree."""
    trunk = [
        (-0.12, 1),
        (-0.07, 0.2),
        (-0.3, -0.1),
        (0, 0.06),
        (0.28, -0.14),
        (0.08, 0.2),
        (0.13, 1),
    ]
    pen.fill(trunk, mix(c.ink, c.accent, 0.3))
    for x, y, r in ((-0.42, -0.06, 0.42), (0.42, -0.04, 0.4), (0, -0.46, 0.54), (0, 0.0, 0.42)):
        pen.disc(x, y, r, c.main)
    for x, y, r in ((-0.46, -0.18, 0.24), (0.3, -0.2, 0.22), (-0.12, -0.62, 0.32)):
        pen.disc(x, y, r, c.second)
    for x, y in ((-0.3, 0.1), (0.2, -0.5), (0.5, 0.08), (-0.1, -0.2), (-0.56, -0.1)):
        pen.disc(x, y, 0.055, c.accent)


def pine(pen: Pen, c: Palette) -> None:
    """A pine tree."""
    pen.box(-0.09, 0.6, 0.09, 1, mix(c.ink, c.accent, 0.25))
    for level, (top, width) in enumerate(((-0.98, 0.42), (-0.6, 0.58), (-0.16, 0.72))):
        low = top + 0.9 - level * 0.02
        pen.fill([(0, top), (width, low), (-width, low)], c.main)
        pen.fill([(0, top), (-width, low), (-width * 0.1, low)], mix(c.main, c.paper, 0.16))


def leaf(pen: Pen, c: Palette) -> None:
    """A single leaf with its veins."""
    right = smooth([(0, -0.98), (0.5, -0.5), (0.58, 0.1), (0, 0.72)], closed=False)
    pen.fill([*right, (0, -0.98)], c.main)
    pen.fill([*((-x, y) for x, y in right), (0, -0.98)], c.second)
    pen.line(smooth([(0, -0.85), (0.02, 0.2), (0.02, 0.7), (0.14, 1)], closed=False), 0.055, c.ink)
    for y in (-0.5, -0.2, 0.1, 0.36):
        reach = 0.4 - abs(y + 0.05) * 0.32
        for side in (-1, 1):
            pen.line([(0.01, y), (side * reach, y - 0.2)], 0.025, mix(c.ink, c.main, 0.4))


def flower(pen: Pen, c: Palette) -> None:
    """A flower on its stem."""
    green = mix(c.second, (70, 130, 80), 0.55)
    pen.line(smooth([(0, -0.2), (0.06, 0.4), (0, 1)], closed=False), 0.075, green)
    for side in (-1, 1):
        blade = [(0.02, 0.75), (side * 0.3, 0.42), (side * 0.58, 0.34), (side * 0.34, 0.66)]
        pen.fill(smooth(blade), green)
    for step in range(8):
        x, y = oval(0, -0.38, 0.36, 0.36, step * 45)[0]
        pen.disc(x, y, 0.23, c.main if step % 2 else mix(c.main, c.paper, 0.28))
    pen.disc(0, -0.38, 0.21, c.accent)
    pen.disc(-0.04, -0.42, 0.09, mix(c.accent, c.paper, 0.5))


def bird(pen: Pen, c: Palette) -> None:
    """A small bird on a twig."""
    pen.line(
        smooth([(-0.95, 0.86), (0, 0.78), (0.95, 0.9)], closed=False),
        0.07,
        mix(c.ink, c.accent, 0.3),
    )
    pen.fill([(0.36, 0.3), (0.98, 0.56), (0.88, 0.72), (0.26, 0.52)], mix(c.main, c.ink, 0.25))
    pen.fill(
        smooth(
            [
                (-0.62, -0.3),
                (-0.3, -0.62),
                (0.06, -0.34),
                (0.52, 0.24),
                (0.36, 0.62),
                (-0.2, 0.66),
                (-0.56, 0.24),
            ]
        ),
        c.main,
    )
    pen.fill(
        smooth([(-0.5, 0.0), (-0.2, 0.14), (0.04, 0.56), (-0.26, 0.6), (-0.52, 0.24)]), c.accent
    )
    pen.fill(
        smooth([(-0.06, -0.1), (0.36, 0.06), (0.62, 0.44), (0.2, 0.42), (-0.06, 0.2)]),
        mix(c.main, c.ink, 0.3),
    )
    pen.fill([(-0.6, -0.34), (-0.9, -0.2), (-0.6, -0.14)], mix(c.accent, c.ink, 0.2))
    pen.disc(-0.36, -0.34, 0.075, c.ink)
    pen.disc(-0.38, -0.36, 0.025, c.paper)
    for x in (-0.1, 0.1):
        pen.line([(x, 0.62), (x, 0.8)], 0.04, c.ink)


def cat(pen: Pen, c: Palette) -> None:
    """A sitting cat from behind its tail."""
    pen.line(
        smooth([(0.44, 0.88), (0.88, 0.7), (0.86, 0.2), (0.68, 0.06)], closed=False), 0.14, c.main
    )
    pen.fill(
        smooth(
            [(0, -0.2), (0.4, 0.1), (0.54, 0.7), (0.4, 1), (-0.4, 1), (-0.54, 0.7), (-0.4, 0.1)]
        ),
        c.main,
    )
    for side in (-1, 1):
        pen.fill([(side * 0.44, -0.98), (side * 0.46, -0.4), (side * 0.06, -0.66)], c.main)
        pen.fill([(side * 0.38, -0.84), (side * 0.38, -0.54), (side * 0.18, -0.66)], c.accent)
    pen.disc(0, -0.38, 0.48, c.main, 0.4)
    pen.disc(0, 0.5, 0.28, mix(c.main, c.paper, 0.5), 0.38)
    for side in (-1, 1):
        pen.disc(side * 0.19, -0.42, 0.1, c.paper)
        pen.disc(side * 0.18, -0.41, 0.055, c.ink)
        pen.line([(side * 0.16, -0.22), (side * 0.62, -0.28)], 0.015, c.paper)
    pen.fill([(-0.06, -0.28), (0.06, -0.28), (0, -0.21)], c.accent)


def fish(pen: Pen, c: Palette) -> None:
    """A fish with bubbles."""
    pen.fill([(0.46, 0), (0.98, -0.42), (0.84, 0), (0.98, 0.42)], c.accent)
    pen.fill(
        smooth([(-0.86, 0.02), (-0.4, -0.42), (0.16, -0.36), (0.6, 0), (0.16, 0.38), (-0.4, 0.44)]),
        c.main,
    )
    pen.fill(smooth([(-0.3, -0.42), (0.0, -0.74), (0.3, -0.3)]), c.accent)
    for x in (-0.2, 0.06, 0.32):
        pen.line(oval(x - 0.12, 0, 0.14, 0.26, -70, 70), 0.04, c.second)
    pen.disc(-0.54, -0.1, 0.1, c.paper)
    pen.disc(-0.56, -0.1, 0.05, c.ink)
    for x, y, r in ((-0.88, -0.4, 0.06), (-0.8, -0.66, 0.09), (-0.92, -0.86, 0.05)):
        pen.line(oval(x, y, r, r), 0.025, c.paper)


def mushroom(pen: Pen, c: Palette) -> None:
    """A toadstool."""
    pen.fill(smooth([(-0.2, 0.0), (0.2, 0.0), (0.3, 0.9), (0, 1), (-0.3, 0.9)]), c.paper)
    pen.fill(
        [
            *oval(0, 0.06, 0.9, 0.92, 180, 360),
            *smooth([(0.9, 0.06), (0, 0.24), (-0.9, 0.06)], closed=False),
        ],
        c.accent,
    )
    for x, y, r in (
        (-0.45, -0.2, 0.13),
        (0.05, -0.5, 0.17),
        (0.5, -0.22, 0.12),
        (-0.08, -0.06, 0.09),
    ):
        pen.disc(x, y, r, c.paper)


def apple(pen: Pen, c: Palette) -> None:
    """An apple with a leaf."""
    pen.fill(
        smooth(
            [
                (0, -0.38),
                (0.42, -0.52),
                (0.8, -0.1),
                (0.6, 0.66),
                (0.2, 0.94),
                (0, 0.86),
                (-0.2, 0.94),
                (-0.6, 0.66),
                (-0.8, -0.1),
                (-0.42, -0.52),
            ]
        ),
        c.accent,
    )
    pen.fill(
        smooth([(-0.5, -0.3), (-0.3, -0.36), (-0.46, 0.3), (-0.6, 0.1)]),
        mix(c.accent, c.paper, 0.45),
    )
    pen.line(smooth([(0, -0.38), (0.02, -0.7), (0.14, -0.9)], closed=False), 0.07, c.ink)
    pen.fill(smooth([(0.06, -0.6), (0.34, -0.94), (0.64, -0.84), (0.4, -0.6)]), c.main)


def butterfly(pen: Pen, c: Palette) -> None:
    """A butterfly."""
    for side in (-1, 1):
        upper = [
            (0, -0.1),
            (side * 0.4, -0.82),
            (side * 0.94, -0.72),
            (side * 0.8, -0.1),
            (side * 0.1, 0.08),
        ]
        lower = [
            (0, 0),
            (side * 0.62, 0.08),
            (side * 0.72, 0.56),
            (side * 0.4, 0.86),
            (side * 0.08, 0.3),
        ]
        pen.fill(smooth(lower), c.second)
        pen.fill(smooth(upper), c.main)
        pen.disc(side * 0.58, -0.46, 0.17, c.accent)
        pen.disc(side * 0.44, 0.42, 0.12, c.paper)
        pen.line(
            smooth([(0, -0.4), (side * 0.12, -0.66), (side * 0.3, -0.84)], closed=False),
            0.03,
            c.ink,
        )
    pen.disc(0, 0.06, 0.075, c.ink, 0.5)
