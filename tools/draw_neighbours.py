"""Draw docs/exact-regions.svg: what a region convolution reads outside the region, in three forms.

python tools/draw_neighbours.py docs/exact-regions.svg
"""

from __future__ import annotations

import math
import sys
from html import escape
from pathlib import Path

from lc_trt.utils.files import atomic_write

SIDE = 34  # pixels per cell
COLUMNS, ROWS = 9, 6
GAP, TOP, LEFT = 36, 70, 20
WIDTH = 2 * LEFT + 3 * COLUMNS * SIDE + 2 * GAP
HEIGHT = TOP + ROWS * SIDE + 46
INK, SOFT, LINE = "#1f2933", "#52606d", "#b8c2cc"
REGION, WINDOW = "#c8452f", "#1f2933"
CENTRE = (4, 2)  # column and row of the cell that is computed, at the border of the region
SPANS = ((0, 3), (0, 4), (0, 5), (0, 5), (0, 4), (0, 2))  # columns of the region, by row
FORMS = {
    "exact": ("exact", "outside: the dense map's own value", "the whole network's result"),
    "zeros": ("zeros, as published", "outside: 0", "an edge that is not there"),
    "stand_in": ("stand-ins", "outside: a 1x1 convolution of a cheaper map", "an estimate"),
}


def value(x: int, y: int) -> float:
    """The dense map at a cell, 0 to 1."""
    return 0.5 + 0.28 * math.sin(0.9 * x + 0.4 * y) + 0.2 * math.cos(1.7 * y - 0.6 * x)


def estimate(x: int, y: int) -> float:
    """The stand-in at a cell: the slow part of the map."""
    return 0.5 + 0.28 * math.sin(0.9 * x + 0.4 * y)


def inside(x: int, y: int) -> bool:
    """Whether a cell is in the region."""
    first, last = SPANS[y]
    return first <= x < last


def shade(level: float) -> str:
    """A blue for a level of 0 (white) to 1."""
    level = min(1.0, max(0.0, level))
    red, green, blue = (round(255 + level * (full - 255)) for full in (47, 111, 168))
    return f"#{red:02x}{green:02x}{blue:02x}"


def text(x: float, y: float, words: str, size: int, colour: str, extra: str = "") -> str:
    """One line of text, centred."""
    style = f'font-size="{size}" fill="{colour}" {extra}'.rstrip()
    return f'<text x="{x:g}" y="{y:g}" {style}>{escape(words)}</text>'


def cell(left: float, x: int, y: int, form: str) -> str:
    """A cell of a panel, with the level that a convolution reads there."""
    at = (left + x * SIDE, TOP + y * SIDE)
    if inside(x, y) or form == "exact":
        level = value(x, y)
    else:
        level = estimate(x, y) if form == "stand_in" else 0.0
    drawn = (
        f'<rect x="{at[0]:g}" y="{at[1]:g}" width="{SIDE}" height="{SIDE}" '
        f'fill="{shade(level)}" stroke="{LINE}"/>'
    )
    if form == "zeros" and not inside(x, y):
        drawn += text(at[0] + SIDE / 2, at[1] + SIDE / 2 + 5, "0", 13, SOFT)
    return drawn


def border(left: float) -> str:
    """The edges between the region and what is outside."""
    parts = []
    for y in range(ROWS):
        for x in range(COLUMNS):
            if not inside(x, y):
                continue
            x0, y0 = left + x * SIDE, TOP + y * SIDE
            if not inside(x + 1, y):
                parts.append(f"M{x0 + SIDE:g},{y0:g} v{SIDE}")
            if y + 1 < ROWS and not inside(x, y + 1):
                parts.append(f"M{x0:g},{y0 + SIDE:g} h{SIDE}")
            if y > 0 and not inside(x, y - 1):
                parts.append(f"M{x0:g},{y0:g} h{SIDE}")
    path = " ".join(parts)
    return f'<path d="{path}" fill="none" stroke="{REGION}" stroke-width="3"/>'


def panel(number: int, form: str) -> list[str]:
    """One form: map, region, the window of a cell at the border, and words."""
    left = LEFT + number * (COLUMNS * SIDE + GAP)
    middle = left + COLUMNS * SIDE / 2
    title, outside, effect = FORMS[form]
    parts = [
        text(middle, 28, title, 17, INK, 'font-weight="600"'),
        text(middle, 52, outside, 13, SOFT),
    ]
    parts += [cell(left, x, y, form) for y in range(ROWS) for x in range(COLUMNS)]
    parts.append(border(left))
    x, y = left + CENTRE[0] * SIDE, TOP + CENTRE[1] * SIDE
    parts.append(
        f'<rect x="{x - SIDE:g}" y="{y - SIDE:g}" width="{3 * SIDE}" height="{3 * SIDE}" '
        f'fill="none" stroke="{WINDOW}" stroke-width="3"/>'
    )
    parts.append(f'<circle cx="{x + SIDE / 2:g}" cy="{y + SIDE / 2:g}" r="5" fill="{WINDOW}"/>')
    bottom = TOP + ROWS * SIDE
    parts.append(text(middle, bottom + 26, f"at the dot: {effect}", 13, INK))
    return parts


def draw() -> str:
    """The whole picture as SVG."""
    parts = [part for i, form in enumerate(FORMS) for part in panel(i, form)]
    body = "\n".join(parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
        f'font-family="system-ui, sans-serif" text-anchor="middle">\n'
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>\n{body}\n</svg>\n'
    )


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/draw_neighbours.py FILE.svg")
    atomic_write(Path(sys.argv[1]), draw().encode(), "choose another file")
