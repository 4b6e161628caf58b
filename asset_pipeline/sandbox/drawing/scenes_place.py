"""Scenes with a place in them: landscapes, seas, towns, and things on a table."""

from __future__ import annotations

import math

from asset_pipeline.sandbox.drawing import subjects_desk as desk
from asset_pipeline.sandbox.drawing import subjects_life as life
from asset_pipeline.sandbox.drawing import subjects_out as out
from asset_pipeline.sandbox.drawing.canvas import Pen, Point, mix, oval
from asset_pipeline.sandbox.drawing.stage import Stage

# What one finds on tables.
_PROPS = (
    desk.book, desk.cup, desk.candle, desk.bottle, desk.lamp, desk.bell, desk.envelope,
    life.apple, life.flower, life.leaf, life.mushroom,
)  # fmt: skip
_ALOFT = (out.moon, out.sun, out.star, out.rocket, life.butterfly)
# Words that call for water, for houses, for conifers and peaks.
_SEA = (
    "sea ocean ship boat sail sailing harbour harbor lake beach coast river water wave lighthouse"
)
_TOWN = "city town street skyline urban downtown office metropolis"
_COLD = "mountain mountains alps snow winter alpine pine forest hiking"


def landscape(stage: Stage) -> None:
    """Sky, sun or moon, ridges behind each other, and the subject in front."""
    _sky(stage)
    if _speaks_of(stage, _SEA):
        _sea(stage)
    elif _speaks_of(stage, _TOWN):
        _town(stage)
    else:
        _hills(stage)


def still_life(stage: Stage) -> None:
    """Things on a table before a wall with a window or a round of light."""
    c, rng, w, h, u = stage.palette, stage.rng, stage.width, stage.height, stage.unit
    edge = h * rng.uniform(0.66, 0.74)
    middle = w * rng.uniform(0.42, 0.58)
    if rng.random() < 0.5:  # noqa: PLR2004 -- half of the rooms have no window
        stage.disc(middle, edge - u * 0.3, u * 0.4, c.ground, 0.9)
        stage.ring(middle, edge - u * 0.3, u * 0.43, u * 0.008, c.accent)
    else:
        _window(stage, middle, edge)
    table = mix(c.second, c.ink, 0.35)
    stage.canvas.fill([(0, edge), (w, edge), (w, h), (0, h)], table)
    stage.canvas.fill(
        [(0, edge), (w, edge), (w, edge + u * 0.02), (0, edge + u * 0.02)], mix(table, c.paper, 0.3)
    )
    for _ in range(5):
        y, x = rng.uniform(edge + u * 0.05, h), rng.uniform(-0.2, 0.9) * w
        stage.canvas.stroke([(x, y), (x + w * rng.uniform(0.15, 0.4), y)], u * 0.004, c.ink, 0.25)
    size = u * rng.uniform(0.25, 0.29)
    floor = edge + u * 0.07
    side = rng.choice((-1, 1))
    props = [thing for thing in rng.sample(_PROPS, 4) if thing is not stage.subjects[0]]
    for prop, place, small in ((props[0], side, 0.55), (props[1], -side, 0.45)):
        x = middle + place * size * 1.75
        if size * 0.6 < x < w - size * 0.6:
            stage.shaded(prop, x, floor - small * size, small * size)
    stage.shaded(stage.subjects[0], middle, floor + u * 0.03 - size, size)


def _speaks_of(stage: Stage, words: str) -> bool:
    return not stage.words.isdisjoint(words.split())


def _sky(stage: Stage) -> None:
    c, rng, w, h, u = stage.palette, stage.rng, stage.width, stage.height, stage.unit
    x, y, r = w * rng.uniform(0.15, 0.85), h * rng.uniform(0.14, 0.34), u * rng.uniform(0.06, 0.11)
    light = c.accent if c.dark else mix(c.accent, c.paper, 0.45)
    stage.canvas.glow(x, y, r * 4, r * 4, mix(light, c.paper, 0.5), 0.75)
    if stage.subjects[0] not in (out.sun, out.moon):
        stage.disc(x, y, r, light)
    if c.dark:
        for _ in range(45):
            stage.disc(
                rng.uniform(0, w),
                rng.uniform(0, h * 0.55),
                u * rng.uniform(0.001, 0.004),
                c.paper,
                0.8,
            )
    for _ in range(rng.randint(2, 4)):
        _cloud(
            stage, w * rng.uniform(0, 1), h * rng.uniform(0.08, 0.36), u * rng.uniform(0.05, 0.1)
        )


def _cloud(stage: Stage, x: float, y: float, r: float) -> None:
    alpha = 0.22 if stage.palette.dark else 0.7
    puffs = ((-1.5, 0.4), (-0.8, 0.65), (0.1, 0.9), (0.9, 0.6), (1.5, 0.35))
    stage.canvas.cluster(
        [(x + shift * r, y - size * r * 0.6, size * r * 0.75) for shift, size in puffs],
        stage.palette.paper,
        alpha,
    )


def _ridge(stage: Stage, level: float, swing: float, *, jagged: bool) -> list[Point]:
    """Return a skyline across the picture, ``swing`` pixels about ``level``."""
    rng, w = stage.rng, stage.width
    waves = [
        (rng.uniform(0.6, 1.4) * 2**octave, rng.uniform(0, 7), 0.6**octave) for octave in range(3)
    ]
    points: list[Point] = []
    count = 26 if jagged else 48
    for step in range(count + 1):
        x = step / count
        y = sum(size * math.sin(rate * 3 * x + phase) for rate, phase, size in waves)
        if jagged:
            y += rng.uniform(-0.7, 0.7)
        points.append((x * w, level + y * swing * 0.6))
    return points


def _hills(stage: Stage) -> None:
    c, rng, w, h, u = stage.palette, stage.rng, stage.width, stage.height, stage.unit
    cold = _speaks_of(stage, _COLD) or rng.random() < 0.3  # noqa: PLR2004 -- one in three
    tones = [
        mix(c.haze, c.second, 0.4),
        mix(c.second, c.main, 0.35),
        c.main,
        mix(c.main, c.ink, 0.45),
    ]
    front: list[Point] = []
    for layer, tone in enumerate(tones):
        level = h * (0.5 + 0.115 * layer)
        jagged = cold and layer < 2  # noqa: PLR2004 -- only the far ones
        front = _ridge(stage, level, u * (0.11 if jagged else 0.06), jagged=jagged)
        stage.canvas.fill([*front, (w, h), (0, h)], tone)
        if layer == 2:  # noqa: PLR2004 -- on the last ridge but one
            size = u * rng.uniform(0.2, 0.25)
            x, y = front[round(len(front) * rng.uniform(0.3, 0.66))]
            _stand(stage, x, y + size * 0.25, size)
    grove = life.pine if cold else life.tree
    for _ in range(rng.randint(3, 6)):
        x, y = front[rng.randrange(len(front))]
        size = u * rng.uniform(0.05, 0.1)
        grove(Pen(stage.canvas, x, y - size * 0.75, size), c)


def _stand(stage: Stage, x: float, ground: float, size: float) -> None:
    """Set the subject on the ground; what belongs in the air stays there."""
    if stage.subjects[0] in _ALOFT:
        stage.subject(x, stage.height * 0.3, size * 0.9)
    else:
        stage.shaded(stage.subjects[0], x, ground - size, size)


def _sea(stage: Stage) -> None:
    c, rng, w, h, u = stage.palette, stage.rng, stage.width, stage.height, stage.unit
    horizon = h * rng.uniform(0.52, 0.6)
    far = _ridge(stage, horizon - u * 0.03, u * 0.05, jagged=False)
    stage.canvas.fill([*far, (w, horizon), (0, horizon)], mix(c.haze, c.second, 0.55))
    size, x = u * rng.uniform(0.22, 0.27), w * rng.uniform(0.32, 0.68)
    ashore = stage.subjects[0] is out.mountain
    if ashore:
        stage.subject(x, horizon - size * 1.3, size * 1.35)
    stage.canvas.fill([(0, horizon), (w, horizon), (w, h), (0, h)], mix(c.second, c.main, 0.3))
    if not ashore:
        stage.canvas.glow(x, horizon + size * 0.55, size * 1.4, size * 0.2, c.ink, 0.4)
        stage.subject(x, horizon + size * 0.5 - size * 0.9, size)
    for layer in range(4):
        level = horizon + (h - horizon) * (0.3 + 0.2 * layer)
        crest = [
            (w * step / 40, level + u * 0.012 * math.sin(step * 0.9 + layer * 2))
            for step in range(41)
        ]
        stage.canvas.fill([*crest, (w, h), (0, h)], mix(c.main, c.ink, 0.1 + 0.13 * layer), 0.75)
    for _ in range(14):
        x, y = rng.uniform(0, w), rng.uniform(horizon + u * 0.03, h)
        stage.canvas.stroke([(x, y), (x + u * rng.uniform(0.03, 0.1), y)], u * 0.005, c.paper, 0.4)


def _town(stage: Stage) -> None:
    c, rng, w, h, u = stage.palette, stage.rng, stage.width, stage.height, stage.unit
    for layer in range(3):
        tone = mix(mix(c.haze, c.second, 0.5), mix(c.main, c.ink, 0.4), layer / 2)
        x = -u * 0.02
        while x < w:
            wide, top = u * rng.uniform(0.08, 0.16), h * (rng.uniform(0.28, 0.55) + layer * 0.11)
            stage.canvas.fill([(x, top), (x + wide, top), (x + wide, h), (x, h)], tone)
            if layer:
                _windows(stage, x, top, wide)
            x += wide + u * rng.uniform(0, 0.02)
    stage.canvas.fill([(0, h * 0.86), (w, h * 0.86), (w, h), (0, h)], mix(c.ink, c.main, 0.25))
    _stand(stage, w * rng.uniform(0.35, 0.65), h * 0.9, u * 0.22)


def _windows(stage: Stage, x: float, top: float, wide: float) -> None:
    c, rng, u = stage.palette, stage.rng, stage.unit
    pane, gap = u * 0.016, u * 0.036
    y = top + gap * 0.6
    while y < min(stage.height * 0.84, top + gap * 9):
        left = x + gap * 0.45
        while left + pane < x + wide:
            if rng.random() < 0.45:  # noqa: PLR2004 -- not everybody is at home
                box = (round(left), round(y), round(left + pane), round(y + pane * 1.3))
                stage.canvas.image.paste(mix(c.accent, c.paper, 0.3), box)
            left += gap
        y += gap


def _window(stage: Stage, middle: float, edge: float) -> None:
    c, u = stage.palette, stage.unit
    half, top = u * 0.36, edge - u * 0.66
    arch = [
        *oval(middle, top + half * 0.6, half, half * 0.7, 180, 360),
        (middle + half, edge),
        (middle - half, edge),
    ]
    stage.canvas.fill(arch, c.ground)
    low = edge - u * 0.16
    hill = [
        (middle + half * (step / 10 - 1), low - u * 0.05 * math.sin(step * 0.35))
        for step in range(21)
    ]
    stage.canvas.fill(
        [*hill, (middle + half, edge), (middle - half, edge)], mix(c.ground, c.second, 0.6)
    )
    frame = mix(c.paper, c.second, 0.12)
    stage.canvas.stroke([(middle, top - half * 0.08), (middle, edge)], u * 0.012, frame)
    stage.canvas.stroke(
        [(middle - half, top + half * 0.75), (middle + half, top + half * 0.75)], u * 0.012, frame
    )
    stage.canvas.stroke([*arch, arch[0]], u * 0.018, frame)
