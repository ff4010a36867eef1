"""A second reader, written from docs/FORMAT.md alone, in plain Python numbers; slow, and shares no code."""

from __future__ import annotations

import hashlib
import io
import math
import zlib
from typing import Any

from PIL import Image as Pillow

Grid = list[list[int]]


def undo(
    marked: list[list[list[int]]], bits: int, marks: list[dict[str, Any]], logo: bytes, residual: bytes
) -> None:
    """Take the marks of section 8 off in place; `marked` is rows of pixels of colour samples."""
    channels = len(marked[0][0])
    top = (1 << bits) - 1
    touched: set[tuple[int, int]] = set()
    picture = read_logo(logo)
    for mark in reversed(marks):
        color, weight = render(picture, mark)
        for j, row in enumerate(weight):
            for i, m in enumerate(row):
                if m:
                    pixel = marked[mark["y"] + j][mark["x"] + i]
                    touched.add((mark["y"] + j, mark["x"] + i))
                    fitted = fit(color[j][i], channels, bits)
                    rest = 65535 - m
                    for c in range(channels):
                        estimate = (pixel[c] * 65535 - fitted[c] * m + rest // 2) // max(rest, 1)
                        pixel[c] = min(max(estimate, 0), top) if rest else 0
    planes = zlib.decompress(residual)
    places = [(y, x, c) for y, x in sorted(touched) for c in range(channels)]
    assert len(planes) == len(places) * bits // 8
    for number, (y, x, c) in enumerate(places):
        difference = planes[number] + (256 * planes[len(places) + number] if bits == 16 else 0)
        marked[y][x][c] = (marked[y][x][c] + difference) & top


def read_logo(png: bytes) -> list[list[tuple[int, ...]]]:
    picture = Pillow.open(io.BytesIO(png))
    flat = [tuple(picture.getpixel((x, y))) for y in range(picture.height) for x in range(picture.width)]  # type: ignore[arg-type]
    return [flat[start : start + picture.width] for start in range(0, len(flat), picture.width)]


def fit(color: tuple[int, ...], channels: int, bits: int) -> tuple[int, ...]:
    if channels == 1:
        color = ((299 * color[0] + 587 * color[1] + 114 * color[2] + 500) // 1000,)
    return color if bits == 8 else tuple(257 * sample for sample in color)


def render(
    logo: list[list[tuple[int, ...]]], mark: dict[str, Any]
) -> tuple[list[list[tuple[int, ...]]], Grid]:
    """Colour and blend weight of every output pixel."""
    height, width = len(logo), len(logo[0])
    size, longer, key = mark["size_px"], max(height, width), bytes.fromhex(mark["key"])
    w = max((width * size * 2 + longer) // (2 * longer), 1)
    h = max((height * size * 2 + longer) // (2 * longer), 1)
    turn = 2 * math.pi * mark["rotation"] / 65536
    cos, sin = round(math.cos(turn) * 65536), round(math.sin(turn) * 65536)
    out_w = (abs(cos) * w + abs(sin) * h + 65535) >> 16
    out_h = (abs(sin) * w + abs(cos) * h + 65535) >> 16

    by_x, by_y = max(width // w, 1), max(height // h, 1)
    source = shrink(logo, by_x, by_y)

    def noise(purpose: str, cell: int) -> Grid:
        return value_noise(key, purpose, out_h, out_w, cell)

    zero = [[0] * out_w for _ in range(out_h)]
    cell = max(max(out_h, out_w) // 8, 2)
    reach = mark["warp_256"] << 8
    warp_x, warp_y = (noise("warp-x", cell), noise("warp-y", cell)) if reach else (zero, zero)
    textures = [
        (
            noise(f"texture-fine-{name}", 1),
            noise(f"texture-coarse-{name}", 4),
            noise(f"texture-wide-{name}", cell),
        )
        if mark["texture"]
        else (zero, zero, zero)
        for name in "rgb"
    ]
    strokes, threshold = zero, -1
    if mark["opaque_permille"]:
        strokes = noise("strokes", max(max(out_h, out_w) // 6, 2))
        order = sorted(abs(value) for row in strokes for value in row)
        threshold = order[max(mark["opaque_permille"] * len(order) // 1000 - 1, 0)]

    colors, weights = [], []
    for j in range(out_h):
        color_row, weight_row = [], []
        for i in range(out_w):
            a, b = 2 * i + 1 - out_w, 2 * j + 1 - out_h
            x = (a * cos - b * sin) // 2 + 32768 * w + warp_x[j][i] * reach // 32768
            y = (a * sin + b * cos) // 2 + 32768 * h + warp_y[j][i] * reach // 32768
            red, green, blue, alpha = bilinear(source, x * width // (w * by_x), y * height // (h * by_y))
            coverage = (alpha + 127) // 255
            color = []
            for sample, (fine, coarse, wide) in zip((red, green, blue), textures, strict=True):
                change = 50 * fine[j][i] + 80 * coarse[j][i] + 100 * wide[j][i]
                change = change * mark["texture"] // 1891900
                straight = min(max((sample * 255 + alpha // 2) // max(alpha, 1), 0), 255)
                color.append(min(max(straight + change, 0), 255) if coverage else 0)
            solid = threshold >= 0 and coverage == 255 and abs(strokes[j][i]) <= threshold
            color_row.append(tuple(color))
            weight_row.append(65535 if solid else (coverage * mark["opacity"] + 127) // 255)
        colors.append(color_row)
        weights.append(weight_row)
    return colors, weights


def shrink(logo: list[list[tuple[int, ...]]], by_x: int, by_y: int) -> list[list[tuple[int, ...]]]:
    height, width = len(logo), len(logo[0])

    def premultiplied(y: int, x: int) -> tuple[int, ...]:
        if y >= height or x >= width:
            return (0, 0, 0, 0)
        r, g, b, a = logo[y][x]
        return (r * a, g * a, b * a, a * 255)

    rows = []
    for top in range(0, height, by_y):
        row = []
        for left in range(0, width, by_x):
            block = [premultiplied(top + v, left + u) for v in range(by_y) for u in range(by_x)]
            row.append(
                tuple((sum(p[k] for p in block) + by_x * by_y // 2) // (by_x * by_y) for k in range(4))
            )
        rows.append(row)
    return rows


def bilinear(source: list[list[tuple[int, ...]]], x: int, y: int) -> tuple[int, ...]:
    left, fx = divmod(x - 32768, 65536)
    top, fy = divmod(y - 32768, 65536)

    def at(v: int, u: int, k: int) -> int:
        return source[v][u][k] if 0 <= v < len(source) and 0 <= u < len(source[0]) else 0

    def along(v: int, k: int) -> int:
        return (at(v, left, k) * (65536 - fx) + at(v, left + 1, k) * fx + 32768) >> 16

    return tuple((along(top, k) * (65536 - fy) + along(top + 1, k) * fy + 32768) >> 16 for k in range(4))


def value_noise(key: bytes, purpose: str, height: int, width: int, cell: int) -> Grid:
    rows, cols = height // cell + 2, width // cell + 2
    stream = hashlib.shake_256(b"medlocker/v1/" + purpose.encode() + b"\0" + key).digest(2 * rows * cols)

    def lattice(r: int, c: int) -> int:
        place = 2 * (r * cols + c)
        return int.from_bytes(stream[place : place + 2], "little") - 32768

    grid = []
    for j in range(height):
        r, fr = divmod(j, cell)
        row = []
        for i in range(width):
            c, fc = divmod(i, cell)
            upper = lattice(r, c) * (cell - fc) + lattice(r, c + 1) * fc
            lower = lattice(r + 1, c) * (cell - fc) + lattice(r + 1, c + 1) * fc
            row.append((upper * (cell - fr) + lower * fr) // (cell * cell))
        grid.append(row)
    return grid
