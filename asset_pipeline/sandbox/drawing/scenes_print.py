"""Scenes without a place: covers, emblems, patterns, portraits and collages."""

from __future__ import annotations

import math

from asset_pipeline.sandbox.drawing.canvas import Pen, mix, oval, smooth
from asset_pipeline.sandbox.drawing.stage import Stage


def cover(stage: Stage) -> None:
    """A printed cover page: frame, emblem, title and rules."""
    c, rng, w, h, u = stage.palette, stage.rng, stage.width, stage.height, stage.unit
    wide = w > h * 1.15
    page_w, page_h = (w * 0.86, h * 0.82) if wide else (w * 0.78, h * 0.86)
    left, top = (w - page_w) / 2, (h - page_h) / 2 - u * 0.025
    page = [(left, top), (left + page_w, top), (left + page_w, top + page_h), (left, top + page_h)]
    stage.canvas.glow(w / 2, h / 2 + u * 0.03, page_w * 0.72, page_h * 0.72, c.ink, 0.55)
    deep = rng.random() < 0.5  # noqa: PLR2004 -- dark covers and light ones
    sheet, words = (mix(c.main, c.ink, 0.35), c.paper) if deep else (c.paper, c.ink)
    stage.canvas.fill(page, sheet)
    for inset, width in ((0.035, 0.007), (0.055, 0.003)):
        i = u * inset
        frame = [
            (left + i, top + i),
            (left + page_w - i, top + i),
            (left + page_w - i, top + page_h - i),
            (left + i, top + page_h - i),
        ]
        stage.canvas.stroke([*frame, frame[0]], u * width, c.accent)
    for x in (left + u * 0.045, left + page_w - u * 0.045):
        for y in (top + u * 0.045, top + page_h - u * 0.045):
            stage.canvas.fill(oval(x, y, u * 0.022, u * 0.022, 0, 270)[::12], c.accent)
    x, y = (left + page_w * 0.3, top + page_h / 2) if wide else (w / 2, top + page_h * 0.34)
    r = min(page_h * 0.3, page_w * 0.2) if wide else min(page_w * 0.27, page_h * 0.21)
    stage.disc(x, y, r * 1.12, c.ground)
    stage.ring(x, y, r * 1.2, u * 0.006, c.accent)
    stage.subject(x, y, r * 0.74)
    lines = _title_lines(stage.title)
    room = page_w * (0.4 if wide else 0.76)
    size = min(room / max(6, *map(len, lines)) * 1.8, u * 0.068)
    at_x, at_y = left + page_w * 0.54, top + page_h * 0.5 - size * len(lines) * 0.6
    if not wide:
        at_x, at_y = w / 2, top + page_h * 0.76 - size * len(lines) * 0.62
    anchor = "lm" if wide else "mm"
    for line in lines:
        stage.canvas.text((at_x, at_y), line, size, words, anchor)
        at_y += size * 1.25
    reach = u * 0.14
    start = at_x if wide else at_x - reach
    stage.canvas.stroke([(start, at_y), (start + 2 * reach, at_y)], u * 0.006, c.accent)
    stage.disc(start + reach, at_y, u * 0.011, c.accent)


def emblem(stage: Stage) -> None:
    """A badge with rays around it."""
    c, rng, w, h, u = stage.palette, stage.rng, stage.width, stage.height, stage.unit
    x, y, r = w / 2, h * 0.48, u * 0.33
    reach, rays = math.hypot(w, h), rng.choice((12, 16, 20))
    for ray in range(rays):
        angle, half = 360 / rays * ray, 90 / rays
        a = oval(x, y, reach, reach, angle - half, angle + half)
        stage.canvas.fill([(x, y), *a], c.paper, 0.1 if c.dark else 0.28)
    stage.canvas.glow(x, y + u * 0.04, r * 1.5, r * 1.5, c.ink, 0.45)
    teeth, style = rng.choice((24, 32, 40)), rng.randrange(3)
    if style == 0:
        edge = [
            oval(x, y, r * k, r * k, 180 / teeth * step)[0]
            for step, k in enumerate((1.16, 1.08) * teeth)
        ]
        stage.canvas.fill(edge, c.main)
    else:
        stage.disc(x, y, r * 1.13, c.main)
    stage.disc(x, y, r * 1.02, c.accent)
    stage.disc(x, y, r * 0.98, c.ground)
    if style:
        for step in range(28):
            px, py = oval(x, y, r * 1.075, r * 1.075, step * 360 / 28)[0]
            stage.disc(px, py, r * 0.022, mix(c.accent, c.paper, 0.4))
    if style == 2:  # noqa: PLR2004 -- one style of three
        _laurel(stage, x, y, r)
    stage.ring(x, y, r * 0.9, u * 0.004, mix(c.second, c.ground, 0.3))
    stage.subject(x, y, r * 0.64)


def pattern(stage: Stage) -> None:
    """The subject repeated on tiles, its companion between."""
    c, rng, w, h, u = stage.palette, stage.rng, stage.width, stage.height, stage.unit
    cell = u / rng.choice((3, 4))
    turned = rng.random() < 0.5  # noqa: PLR2004 -- half of them dance
    tones = (c.ground, mix(c.haze, c.paper, 0.25), mix(c.second, c.paper, 0.45))
    for row in range(math.ceil(h / cell)):
        for column in range(math.ceil(w / cell)):
            box = (
                round(column * cell),
                round(row * cell),
                round((column + 1) * cell),
                round((row + 1) * cell),
            )
            stage.canvas.image.paste(tones[(row + column * 2) % 3], box)
            x, y = (column + 0.5) * cell, (row + 0.5) * cell
            turn = rng.uniform(-18, 18) if turned else 0
            stage.subject(x, y, cell * 0.34, which=0 if (row + column) % 2 == 0 else 1, turn=turn)
    for row in range(math.ceil(h / cell) + 1):
        for column in range(math.ceil(w / cell) + 1):
            x, y, r = column * cell, row * cell, cell * 0.085
            stage.canvas.fill([(x, y - r), (x + r, y), (x, y + r), (x - r, y)], c.accent)


def portrait(stage: Stage) -> None:
    """A person in a flat style, before an arch."""
    c, rng, w, h, u = stage.palette, stage.rng, stage.width, stage.height, stage.unit
    x, top = w * rng.uniform(0.46, 0.54), h * 0.5 - u * 0.36
    arch = [
        *oval(x, top + u * 0.34, u * 0.38, u * 0.38, 180, 360),
        (x + u * 0.38, h),
        (x - u * 0.38, h),
    ]
    stage.canvas.fill(arch, c.ground)
    for side in (-1, 1):
        stage.subject(x + side * u * 0.3, top + u * 0.22, u * 0.07, which=1, turn=side * 12)
    skin = rng.choice(((241, 205, 176), (224, 172, 130), (173, 117, 78), (115, 74, 50)))
    hair = mix(
        rng.choice(((40, 28, 24), (92, 56, 34), (188, 140, 84), (130, 128, 130))), c.ink, 0.2
    )
    pen = Pen(stage.canvas, x, h - u * 0.42, u * 0.42)
    long, bun = rng.random() < 0.5, rng.random() < 0.4  # noqa: PLR2004 -- hair as it falls
    if long:
        pen.fill(
            smooth(
                [(-0.36, -0.4), (0, -0.86), (0.36, -0.4), (0.44, 0.26), (0, 0.34), (-0.44, 0.26)]
            ),
            hair,
        )
    if bun:
        pen.disc(0.04, -0.86, 0.15, hair)
    pen.fill(
        smooth([(-0.86, 1.1), (-0.74, 0.5), (-0.3, 0.28), (0.3, 0.28), (0.74, 0.5), (0.86, 1.1)]),
        c.main,
    )
    pen.fill(
        [(-0.14, 0.0), (0.14, 0.0), (0.17, 0.36), (0, 0.5), (-0.17, 0.36)], mix(skin, c.ink, 0.14)
    )
    for side in (-1, 1):
        pen.fill(
            [(side * 0.17, 0.27), (side * 0.38, 0.36), (side * 0.08, 0.74), (0, 0.5)],
            mix(c.main, c.paper, 0.75),
        )
    pen.disc(0, -0.26, 0.29, skin, 0.36)
    for side in (-1, 1):
        pen.disc(side * 0.29, -0.24, 0.05, mix(skin, c.ink, 0.08), 0.08)
        pen.line(oval(side * 0.12, -0.27, 0.05, 0.03, 200, 340), 0.022, c.ink)
        pen.line(oval(side * 0.12, -0.36, 0.07, 0.03, 210, 330), 0.018, hair)
        pen.disc(side * 0.17, -0.14, 0.055, mix(skin, (226, 96, 96), 0.28))
    pen.line([(0, -0.24), (0.025, -0.15), (-0.01, -0.14)], 0.016, mix(skin, c.ink, 0.3))
    pen.line(oval(0, -0.1, 0.09, 0.06, 25, 155), 0.022, mix((190, 70, 70), c.ink, 0.15))
    fringe = [
        (-0.31, -0.24),
        (-0.3, -0.5),
        (0, -0.68),
        (0.3, -0.5),
        (0.31, -0.24),
        (0.2, -0.44),
        (rng.uniform(-0.15, 0.1), -0.48),
    ]
    pen.fill(smooth(fringe), hair)
    stage.subject(x + u * 0.19, h - u * 0.14, u * 0.045)


def collage(stage: Stage) -> None:
    """Quarter circles, stripes and dots on a grid, the subject in a frame among them."""
    c, rng, w, h, u = stage.palette, stage.rng, stage.width, stage.height, stage.unit
    cell = u / 4
    columns, rows = math.ceil(w / cell), math.ceil(h / cell)
    left, top = (w - columns * cell) / 2, (h - rows * cell) / 2
    tones = [c.main, c.second, c.accent, c.paper, c.haze, mix(c.main, c.ink, 0.5)]
    for row in range(rows):
        for column in range(columns):
            _collage_cell(stage, left + column * cell, top + row * cell, cell, rng.sample(tones, 2))
    half = cell
    x = left + cell * rng.randint(1, max(1, columns - 1))
    y = top + cell * rng.randint(1, max(1, rows - 1))
    x, y = min(max(x, half), w - half), min(max(y, half), h - half * 1.1)
    stage.canvas.fill(
        [(x - half, y - half), (x + half, y - half), (x + half, y + half), (x - half, y + half)],
        c.ground,
    )
    stage.disc(x, y, half * 0.86, mix(c.ground, c.haze, 0.45))
    stage.subject(x, y, half * 0.68)


def _collage_cell(
    stage: Stage, x: float, y: float, cell: float, tones: list[tuple[int, int, int]]
) -> None:
    rng, canvas = stage.rng, stage.canvas
    ground, figure = tones
    canvas.image.paste(ground, (round(x), round(y), round(x + cell), round(y + cell)))
    match rng.randrange(6):
        case 0:
            corner = rng.randrange(4)
            cx, cy = x + cell * (corner in (1, 2)), y + cell * (corner in (2, 3))
            canvas.fill(
                [(cx, cy), *oval(cx, cy, cell, cell, corner * 90, corner * 90 + 90)], figure
            )
        case 1:
            canvas.fill(oval(x + cell / 2, y + cell / 2, cell * 0.34, cell * 0.34), figure)
        case 2:
            canvas.fill(oval(x + cell / 2, y + cell, cell / 2, cell / 2, 180, 360), figure)
            canvas.fill(oval(x + cell / 2, y + cell / 2, cell / 2, cell / 2, 180, 360), figure)
        case 3:
            for stripe in range(4):
                low = y + cell * (stripe + 0.25) / 4
                canvas.image.paste(
                    figure, (round(x), round(low), round(x + cell), round(low + cell / 8))
                )
        case 4:
            canvas.fill([(x, y), (x + cell, y), (x, y + cell)], figure)
        case _:
            for dot in range(9):
                px, py = x + cell * (dot % 3 * 2 + 1) / 6, y + cell * (dot // 3 * 2 + 1) / 6
                canvas.fill(oval(px, py, cell * 0.07, cell * 0.07), figure)


def _laurel(stage: Stage, x: float, y: float, r: float) -> None:
    green = mix(stage.palette.second, stage.palette.ground, 0.25)
    for side in (-1, 1):
        for step in range(9):
            angle = 90 + side * (16 + step * 14)
            px, py = oval(x, y, r * 0.8, r * 0.8, angle)[0]
            pen = Pen(
                stage.canvas, px, py, r * 0.085, angle + (90 if side > 0 else -90) - side * 35
            )
            pen.fill(smooth([(0, -0.4), (1, 0), (0, 0.4), (-1, 0)]), green)


def _title_lines(title: str) -> list[str]:
    """Return up to three lines of the prompt's first words."""
    lines: list[str] = [""]
    for word in title.replace(",", " ").split()[:9]:
        if lines[-1] and len(lines[-1]) + len(word) > 13:  # noqa: PLR2004 -- letters in a line
            if len(lines) == 3:  # noqa: PLR2004 -- lines on a cover
                break
            lines.append("")
        lines[-1] = f"{lines[-1]} {word[:18]}".strip()
    return lines
