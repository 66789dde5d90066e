"""Draw docs/architecture.svg: the path of a model, the path of a frame, and the floors of lc_trt.

The floors are computed from the imports in the checkout.

python tools/draw_architecture.py docs/architecture.svg
"""

from __future__ import annotations

import ast
import sys
from html import escape
from pathlib import Path

from lc_trt.utils.files import atomic_write

ROOT = Path(__file__).parents[1] / "lc_trt"
WIDTH, TOP, LOW = 1120, 66, 350  # pixels: width of the picture, y of its first two lanes
HOUSE = 640  # y of the floors
FLOOR = 46  # pixels per floor
INK, SOFT, LINE = "#1f2933", "#52606d", "#7b8794"
MODEL, ENGINE, FRAME = "#e3f0fb", "#fff3d6", "#e4f5e9"  # fills: model side, engine, frame side
FLOORS = {
    **dict.fromkeys(("model", "training", "ir", "compiler", "trt", "quantization"), MODEL),
    **dict.fromkeys(("backends", "builder", "bundle"), ENGINE),
    **dict.fromkeys(("runtime", "video"), FRAME),
}
STAGES = ("#2f9e63", "#e0a100", "#c8452f")  # easy, moderate, hard pixels


def text(x: float, y: float, words: str, size: int = 14, colour: str = INK, extra: str = "") -> str:
    """One centred line of text."""
    style = f'font-size="{size}" fill="{colour}" {extra}'.rstrip()
    return f'<text x="{x:g}" y="{y:g}" {style}>{escape(words)}</text>'


def box(x: float, y: float, w: float, h: float, fill: str, lines: list[str], where: str) -> str:
    """A box with a bold first line, plain lines, and the location of its code at the bottom."""
    middle = x + w / 2
    parts = [
        f'<rect x="{x:g}" y="{y:g}" width="{w:g}" height="{h:g}" rx="10" fill="{fill}" '
        f'stroke="{LINE}"/>',
        text(middle, y + 26, lines[0], 15, INK, 'font-weight="600"'),
    ]
    parts += [text(middle, y + 48 + 18 * i, line, 13, SOFT) for i, line in enumerate(lines[1:])]
    if where:
        parts.append(text(middle, y + h - 12, where, 12, SOFT, 'font-family="monospace"'))
    return "\n".join(parts)


def arrow(*points: tuple[float, float], label: str = "", colour: str = LINE) -> str:
    """An arrow through points, with a label over its first segment."""
    path = " L".join(f"{x:g},{y:g}" for x, y in points)
    head = "head" + colour.strip("#")
    drawn = (
        f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2" '
        f'marker-end="url(#{head})"/>'
    )
    if not label:
        return drawn
    (x0, y0), (x1, y1) = points[:2]
    return drawn + text((x0 + x1) / 2, (y0 + y1) / 2 - 8, label, 12, SOFT)


def heading(y: float, words: str) -> str:
    """Heading of a lane, left-aligned."""
    return text(40, y, words, 18, INK, 'font-weight="700" text-anchor="start"')


def stage_boxes(y: float) -> list[str]:
    """The engine with its three stages and early exits."""
    x, w, gap = 356, 120, 34
    parts = [
        f'<rect x="330" y="{y:g}" width="480" height="196" rx="12" fill="{ENGINE}" '
        f'stroke="{LINE}"/>',
        text(570, y + 26, "engine: one pass", 15, INK, 'font-weight="600"'),
    ]
    names = ("all pixels", "moderate and hard", "hard")
    for i, (colour, name) in enumerate(zip(STAGES, names, strict=True)):
        left = x + i * (w + gap)
        parts += [
            f'<rect x="{left:g}" y="{y + 42:g}" width="{w}" height="56" rx="8" fill="white" '
            f'stroke="{colour}" stroke-width="2"/>',
            text(left + w / 2, y + 66, f"stage {i + 1}", 14),
            text(left + w / 2, y + 86, name, 12, SOFT),
            arrow((left + w / 2, y + 98), (left + w / 2, y + 136), colour=colour),
        ]
        if i:
            parts.append(arrow((left - gap, y + 70), (left - 3, y + 70)))
    parts += [
        f'<rect x="{x}" y="{y + 138:g}" width="{3 * w + 2 * gap}" height="26" rx="6" fill="white" '
        f'stroke="{LINE}"/>',
        text(570, y + 156, "labels, stages, confidence: each pixel from its exit stage", 12),
        text(400, y + 122, "confident", 12, SOFT, 'text-anchor="end"'),
        text(554, y + 122, "confident", 12, SOFT, 'text-anchor="end"'),
        text(570, y + 185, "lc_trt/runtime/engines", 12, SOFT, 'font-family="monospace"'),
    ]
    return parts


def imports() -> dict[str, set[str]]:
    """Imported packages by package (folder or module) of lc_trt."""
    imported: dict[str, set[str]] = {}
    for path in ROOT.rglob("*.py"):
        part = path.relative_to(ROOT).with_suffix("").parts[0]
        if part.startswith("__"):
            continue
        others = imported.setdefault(part, set())
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("lc_trt."):
                others.add(str(node.module).split(".")[1])
    return {part: others - {part} for part, others in imported.items()}


def floors() -> list[list[str]]:
    """Packages of lc_trt by floor, ground first: each is just above all that it imports."""
    imported = imports()
    height: dict[str, int] = {}
    while len(height) < len(imported):
        ready = [p for p in imported if p not in height and imported[p] <= set(height)]
        if not ready:
            raise SystemExit(f"circular imports: {sorted(set(imported) - set(height))}")
        height |= {p: 1 + max((height[q] for q in imported[p]), default=-1) for p in ready}
    return [
        sorted(p for p in height if height[p] == level) for level in range(1 + max(height.values()))
    ]


def house(y: float, levels: list[list[str]]) -> list[str]:
    """One row of boxes per floor, the ground at the bottom."""
    parts = []
    for i, names in enumerate(reversed(levels)):
        top, width = y + FLOOR * i, (WIDTH - 80 - 12 * (len(names) - 1)) / len(names)
        for j, name in enumerate(names):
            left = 40 + j * (width + 12)
            fill = FLOORS.get(name, "white")
            label = f"{name}.py" if (ROOT / f"{name}.py").is_file() else name
            parts += [
                f'<rect x="{left:g}" y="{top:g}" width="{width:g}" height="{FLOOR - 10}" rx="6" '
                f'fill="{fill}" stroke="{LINE}"/>',
                text(left + width / 2, top + 23, label, 14, INK, 'font-family="monospace"'),
            ]
    return parts


def draw() -> str:
    """The picture as SVG."""
    top, low, levels = TOP, LOW, floors()
    height = HOUSE + FLOOR * len(levels) + 20
    heads = "".join(
        f'<marker id="head{c.strip("#")}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" '
        f'markerHeight="7" orient="auto"><path d="M0,0 L10,5 L0,10 z" fill="{c}"/></marker>'
        for c in (LINE, *STAGES)
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" font-family="Helvetica, Arial, sans-serif" '
        'text-anchor="middle" role="img" '
        'aria-label="The path of a model, the path of a frame, and the floors of the package">',
        f"<defs>{heads}</defs>",
        f'<rect width="{WIDTH}" height="{height}" fill="white"/>',
        heading(46, "The path of a model"),
        box(40, top, 200, 120, MODEL,
            ["PyTorch", "irnet, irnet-small,", "inception-resnet-v2"], "model, training"),
        arrow((240, top + 60), (318, top + 60), label="export"),
        box(320, top, 210, 120, MODEL,
            ["cascade ONNX", "region operators as", "functions, rho an input"], "ir"),
        arrow((530, top + 60), (608, top + 60), label="build"),
        box(610, top, 200, 120, MODEL,
            ["passes, verification", "lowered for its backend,", "compared with the source"],
            "backends, builder"),
        arrow((810, top + 60), (878, top + 60)),
        box(880, top, 200, 120, ENGINE,
            ["bundle NAME.lct/", "manifest.json,", "model.onnx, source.onnx"], "bundle"),
        arrow((980, top + 120), (980, 250), (570, 250), (570, low - 3)),
        text(775, 242, "load: checks hashes and versions", 12, SOFT),
        heading(low - 24, "The path of a frame"),
        box(40, low + 38, 120, 120, FRAME, ["source", "image, folder,", "video, webcam"], "video"),
        arrow((160, low + 98), (188, low + 98)),
        box(190, low + 38, 112, 120, FRAME, ["resize", "to the size", "of the engine"], "runtime"),
        arrow((302, low + 98), (328, low + 98)),
        *stage_boxes(low),
        arrow((810, low + 98), (836, low + 98)),
        box(838, low + 38, 108, 120, FRAME, ["result", "at the frame's", "size"], "runtime"),
        arrow((946, low + 98), (970, low + 98)),
        box(972, low + 38, 118, 120, FRAME, ["view, sink", "what to draw,", "what to write"],
            "runtime, video"),
        text(560, low + 230, "Stages 2 and 3 compute only the pixels of their regions. "
             "The thresholds, rho, can change with every frame.", 13, SOFT),
        heading(HOUSE - 22, "The floors of lc_trt: imports go down"),
        *house(HOUSE, levels),
        "</svg>",
    ]  # fmt: skip
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/draw_architecture.py OUT.svg")
    atomic_write(Path(sys.argv[1]), draw().encode(), "choose another file")
