"""A second reader of veils, written from docs/FORMAT.md alone, in plain Python numbers; slow.

It takes copies of the logo and value noise from the second reader of marks, and nothing from the program.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from typing import Any

from format_reader import Grid, fit, read_logo, render, value_noise

Colours = list[list[tuple[int, ...]]]


def undo_veil(
    marked: list[list[list[int]]],
    bits: int,
    veil: dict[str, Any],
    logo: bytes,
    residual: bytes,
    *,
    shown: tuple[int, int] | None = None,
    inks: list[int] | None = None,
) -> None:
    """Take a veil alone off in place; `marked` is rows of pixels of colour samples."""
    height, width, channels = len(marked), len(marked[0]), len(marked[0][0])
    colors, weights = lattice(veil, read_logo(logo), height, width)
    keep_out(veil, weights)
    low, high = shown or (0, (1 << bits) - 1)
    choices = numbers_of(residual)
    for y in range(height):
        for x in range(width):
            m = weights[y][x]
            own = colors[y][x]
            color = fit(own, channels, bits) if inks is None else (inks[fit(own, 1, 8)[0]],)
            for c in range(channels):
                marked[y][x][c] = original(marked[y][x][c], color[c], m, low, high, shown, choices)
    rest = list(choices)
    assert len(rest) < 8
    assert not any(rest)


def numbers_of(residual: bytes) -> Any:
    assert residual[:1] in (b"\1", b"\2")
    data = residual[1:] if residual[:1] == b"\1" else zlib.decompress(residual[1:])
    return iter([byte >> 7 - k & 1 for byte in data for k in range(8)])


def original(
    sample: int, color: int, m: int, low: int, high: int, shown: tuple[int, int] | None, choices: Any
) -> int:
    def blend(i: int) -> int:
        return (i * (65535 - m) + color * m + 32767) // 65535

    if shown is not None and sample < blend(low):
        return sample - blend(low) + low
    if shown is not None and sample > blend(high):
        return sample - blend(high) + high
    rest, e = max(65535 - m, 1), 65535 * sample - color * m - 32767
    first, last = max(-(-e // rest), low), min((e + 65534) // rest, high)
    return first + int(next(choices)) if last > first else first


def numbers(key: bytes, purpose: str, count: int) -> list[int]:
    data = hashlib.shake_256(b"medlocker/v1/" + purpose.encode() + b"\0" + key).digest(2 * count)
    return [int.from_bytes(data[2 * k : 2 * k + 2], "little") for k in range(count)]


def lattice(veil: dict[str, Any], logo: Colours, height: int, width: int) -> tuple[Colours, Grid]:
    """Colour and weight of every pixel, nothing kept out yet."""
    g, key = veil["grain_px"], bytes.fromhex(veil["key"])
    w, h = -(-width // g), -(-height // g)
    period, size, warp = (veil["period_px"] << 16) // g, max(veil["size_px"] // g, 1), veil["warp_256"] // g
    if veil["mounted"]:
        logo = badge(logo)
    drawn = numbers(key, "stamps", 2 * veil["stamps"])
    known: dict[int, tuple[Colours, Grid]] = {}
    color: Colours = [[(0, 0, 0)] * w for _ in range(h)]
    coverage: Grid = [[0] * w for _ in range(h)]
    for left_of, top_of, which in places(veil, key, w, h, period, size, warp):
        if which not in known:
            known[which] = copy(veil, logo, key, which, drawn[2 * which : 2 * which + 2], size, warp)
        own_color, own = known[which]
        top, left = top_of - len(own) // 2, left_of - len(own[0]) // 2
        for j in range(max(-top, 0), min(len(own), h - top)):
            for i in range(max(-left, 0), min(len(own[0]), w - left)):
                if own[j][i] > coverage[top + j][left + i]:
                    coverage[top + j][left + i], color[top + j][left + i] = own[j][i], own_color[j][i]
    grounded = [[on_ground(veil, color[j][i], coverage[j][i]) for i in range(w)] for j in range(h)]
    colors = [[grounded[y // g][x // g][0] for x in range(width)] for y in range(height)]
    weights = [[grounded[y // g][x // g][1] for x in range(width)] for y in range(height)]
    return colors, weights


def copy(
    veil: dict[str, Any], logo: Colours, key: bytes, number: int, drawn: list[int], size: int, warp: int
) -> tuple[Colours, Grid]:
    turned, scaled = drawn
    mark = {
        "size_px": max(size * (1000 - veil["scale"] + (scaled * 2 * veil["scale"] >> 16)) // 1000, 1),
        "rotation": ((turned * 2 * veil["turn"] >> 16) - veil["turn"]) % 65536,
        "key": (key + number.to_bytes(2, "big")).hex(),
        "warp_256": warp,
        "texture": veil["texture"],
        "opaque_permille": 0,
        "opacity": 255,  # so that weights are coverages
    }
    colors, coverage = render(logo, mark)
    if veil["negatives"] and number % 2:
        colors = [
            [
                tuple(255 - c for c in color) if covered else color
                for color, covered in zip(color_row, row, strict=True)
            ]
            for color_row, row in zip(colors, coverage, strict=True)
        ]
    return colors, coverage


def places(
    veil: dict[str, Any], key: bytes, w: int, h: int, period: int, size: int, warp: int
) -> list[tuple[int, int, int]]:
    turn = 2 * math.pi * veil["angle"] / 65536
    cos, sin = round(math.cos(turn) * 65536), round(math.sin(turn) * 65536)
    reach = (((w + h) // 2 + 2 * size) << 16) // period + 2
    n = 2 * reach + 1
    chosen = numbers(key, "places", n * n)
    shifts = [value_noise(key, f"places-{name}", n, n, 2) for name in "xy"] if warp else []
    found = []
    for r in range(-reach, reach + 1):
        for c in range(-reach, reach + 1):
            shift = veil["stagger"] if r % 2 else 0
            u = ((c << 16) + veil["phase_x"] + shift) * period >> 16
            v = ((r << 16) + veil["phase_y"]) * period >> 16
            x, y = (u * cos - v * sin) >> 16, (u * sin + v * cos) >> 16
            if warp:
                x, y = (
                    value + shifts[k][r + reach][c + reach] * (warp << 8) // 32768
                    for k, value in enumerate((x, y))
                )
            which = chosen[(r + reach) * n + c + reach] * veil["stamps"] >> 16
            found.append(((x + (w << 15)) >> 16, (y + (h << 15)) >> 16, which))
    return found


def on_ground(veil: dict[str, Any], color: tuple[int, ...], coverage: int) -> tuple[tuple[int, ...], int]:
    ink, ground = coverage * veil["opacity"], (255 - coverage) * veil["ground"]
    whole = ink + ground
    if veil["ground"]:
        tint = tuple(veil["tint"] >> shift & 255 for shift in (16, 8, 0))
        color = tuple(
            (ink * c + ground * t + whole // 2) // max(whole, 1) for c, t in zip(color, tint, strict=True)
        )
    return color, (whole + 127) // 255


def keep_out(veil: dict[str, Any], weights: Grid) -> None:
    height, width, soft = len(weights), len(weights[0]), veil["soft_px"]
    boxes = [(a, b, w, h) for a, b, w, h in veil["keep_out"] if a < width and b < height]
    for y in range(height):
        for x in range(width):
            away = [max(a - x, x - a - w + 1, b - y, y - b - h + 1, 0) for a, b, w, h in boxes]
            distance = min(away, default=soft)
            if distance < soft:
                weights[y][x] = weights[y][x] * distance // soft


def badge(logo: Colours) -> Colours:
    height, width = len(logo), len(logo[0])
    longer = max(height, width)
    alpha = sum(pixel[3] for row in logo for pixel in row)
    light = sum(a * ((299 * r + 587 * g + 114 * b + 500) // 1000) for row in logo for r, g, b, a in row)
    dark, bright = (16, 32, 66), (250, 252, 255)
    ground, line = (dark, bright) if light // max(alpha, 1) >= 128 else (bright, dark)
    picture = [[line] * 256 for _ in range(256)]

    def put(color: tuple[int, ...], k: int, j: int, i: int) -> None:
        picture[j][i] = tuple(
            (d * (255 - k) + c * k + 127) // 255 for c, d in zip(color, picture[j][i], strict=True)
        )  # type: ignore[assignment]

    for radius, color in ((118, ground), (104, line), (97, ground)):
        for j, row in enumerate(disc(radius)):
            for i, k in enumerate(row):
                put(color, k, j, i)
    size = math.isqrt((184 * longer) ** 2 // (width**2 + height**2))
    mark = dict.fromkeys(("rotation", "warp_256", "texture", "opaque_permille"), 0)
    colors, coverage = render(logo, {**mark, "size_px": size, "key": "", "opacity": 255})
    top, left = (256 - len(colors)) // 2, (256 - len(colors[0])) // 2
    for j, row in enumerate(coverage):
        for i, k in enumerate(row):
            put(colors[j][i], k, top + j, left + i)
    return [
        [(*color, k) for color, k in zip(colour_row, row, strict=True)]
        for colour_row, row in zip(picture, disc(128), strict=True)
    ]


def disc(radius: int) -> Grid:
    most = (8 * radius) ** 2
    squares = [(2 * u - 1023) ** 2 for u in range(1024)]
    return [
        [
            sum(
                squares[u] + squares[v] <= most
                for u in range(4 * i, 4 * i + 4)
                for v in range(4 * j, 4 * j + 4)
            )
            * 255
            // 16
            for i in range(256)
        ]
        for j in range(256)
    ]
