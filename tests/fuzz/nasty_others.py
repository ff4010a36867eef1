"""Nasty models, cards, logos, tables, lists and statements."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable

from nasty_parts import field, onnx_model, onnx_node, onnx_value, png, png_header, png_pixels, zeros

MADE: dict[str, Callable[[], bytes]] = {}
"""Each file's maker by its path."""

CARD = {"input": {"height": 24, "width": 24, "layout": "NHWC"}, "output": "logits"}
"""Fits the model that the tests put beside the cards."""


def _file(name: str) -> Callable[[Callable[[], bytes]], Callable[[], bytes]]:
    def keep(make: Callable[[], bytes]) -> Callable[[], bytes]:
        MADE[name] = make
        return make

    return keep


def _all(folder: str, suffix: str, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        MADE[f"{folder}/{name}{suffix}"] = lambda data=data: data  # type: ignore[misc]


# ---------------------------------------------------------------------------------------------------- models

_FLATTEN = onnx_node("Flatten", ["image"], ["answer"])
_ADDED = [onnx_node("Flatten", ["image"], ["flat"]), onnx_node("Add", ["flat", "weights"], ["answer"])]


def _external(location: str, *, count: int = 192) -> bytes:
    """Weights that lie in another file."""
    told = b"".join(
        field(13, field(1, key) + field(2, value))
        for key, value in (("location", location), ("length", str(4 * count)))
    )
    return onnx_model(
        _ADDED, tensors=[field(1, count) + field(2, 1) + field(8, "weights") + told + field(14, 1)]
    )


def _tensor(dims: tuple[int, ...], raw: bytes) -> bytes:
    return b"".join(field(1, dim) for dim in dims) + field(2, 1) + field(8, "weights") + field(9, raw)


_all(
    "models",
    ".onnx",
    {
        "empty": b"",
        "garbage": b"\xff" * 1000,
        "data-in-passwd": _external("../../../../../../../../etc/passwd"),
        "data-at-an-absolute-path": _external("/etc/passwd"),
        "data-of-a-device": _external("/dev/zero"),
        "data-beside-that-is-missing": _external("missing.bin"),
        "tensor-of-a-terabyte": onnx_model(_ADDED, tensors=[_tensor((1 << 38,), b"")]),
        "tensor-of-sizes-that-overflow": onnx_model(_ADDED, tensors=[_tensor((1 << 32, 1 << 32), b"\0" * 4)]),
        "tensor-of-a-negative-size": onnx_model(_ADDED, tensors=[_tensor(((1 << 64) - 1,), b"\0" * 4)]),
        "circle": onnx_model(
            [onnx_node("Add", ["image", "b"], ["a"]), onnx_node("Add", ["image", "a"], ["b"])]
        ),
        "no-output": onnx_model([_FLATTEN], outputs=[]),
        "no-input": onnx_model([_FLATTEN], inputs=[]),
        "no-node": onnx_model([]),
        "operator-of-nobody": onnx_model([onnx_node("Evil", ["image"], ["answer"], domain="evil")]),
        "input-of-sides-of-a-million": onnx_model(
            [_FLATTEN],
            inputs=[onnx_value("image", (1, 3, 1_000_000, 1_000_000))],
            outputs=[onnx_value("answer", ())],
        ),
        "batch-of-a-billion": onnx_model(
            [_FLATTEN],
            inputs=[onnx_value("image", (1_000_000_000, 3, 8, 8))],
            outputs=[onnx_value("answer", ())],
        ),
        "name-that-is-no-text": onnx_model(
            [field(1, b"\xff\xfe") + field(2, "answer") + field(4, "Flatten")]
        ),
        "answer-of-a-terabyte": onnx_model(
            [
                onnx_node("Flatten", ["image"], ["flat"]),
                onnx_node("ConstantOfShape", ["weights"], ["big"]),
                onnx_node("Add", ["flat", "big"], ["answer"]),
            ],
            tensors=[
                field(1, 2)
                + field(2, 7)
                + field(8, "weights")
                + field(9, ((1 << 20).to_bytes(8, "little")) * 2)
            ],
            outputs=[onnx_value("answer", ())],
        ),
    },
)

# ----------------------------------------------------------------------------------------------------- cards


def _card(**changes: object) -> bytes:
    return json.dumps(CARD | {"input": {**CARD["input"], **changes}}).encode("ascii")  # type: ignore[dict-item]


_all(
    "cards",
    ".card.json",
    {
        "mean-of-nan": _card(mean=[float("nan")] * 3),
        "mean-of-1e308": _card(mean=[1e308] * 3),
        "range-of-1e308": _card(range=[-1e308, 1e308]),
        "range-of-infinity": _card(range=[0, float("inf")]),
        "std-of-1e-308": _card(std=[1e-308] * 3),
        "mean-of-four-hundred-digits": _card(mean=[10**400] * 3),
        "height-of-five-thousand-digits": _card().replace(b'"height": 24', b'"height": ' + b"9" * 5000),
        "sides-of-4096": _card(height=4096, width=4096),
        "deep": b"[" * 100_000,
        "array": b"[]",
        "class-of-half-a-character": json.dumps(
            CARD | {"classes": ["\ud800", "\x1b[31m", "x" * 100_000]}
        ).encode("ascii"),
        "classes-that-are-lists": json.dumps(CARD | {"classes": [["a"], {}], "output": ["logits"]}).encode(
            "ascii"
        ),
    },
)

# ----------------------------------------------------------------------------------------------------- logos


TEXTURE = base64.b64encode(zlib.compress(bytes((1, 1, 0, 0, 0)))).decode("ascii")


def _learned(**changes: object) -> bytes:
    value = {
        "kind": "medlocker learned logo",
        "version": 1,
        "levels": 8,
        "grey": False,
        "textures": {"*": ""},
    }
    return json.dumps(value | {"facts": {}} | changes).encode("ascii")


_all(
    "logos",
    ".png",
    {
        "sides-of-65535": png(png_header(65535, 65535, color=6), png_pixels()),
        "bomb": png(png_header(4096, 4096, color=6), (b"IDAT", zeros(1 << 28))),
        "text-bomb": png(png_header(32, 32), *[(b"zTXt", b"a\0\0" + zeros(1 << 24))] * 40, png_pixels()),
    },
)
_all(
    "learned",
    "/learned.json",
    {
        "bomb": _learned(textures={"*": base64.b64encode(zeros(1 << 28)).decode("ascii")}),
        "deep": b'{"facts":' * 50_000,
        "almost-too-deep": _learned(textures={"*": TEXTURE}).replace(
            b'"facts": {}', b'"facts": {"a": ' + b"[" * 900 + b"]" * 900 + b"}"
        ),
        "numbers-that-are-none": _learned(levels=float("nan")),
    },
)

# ---------------------------------------------------------------------------------------------------- tables


@_file("labels/line-of-100-megabytes.csv")
def _line() -> bytes:
    return b"image,grade\n" + b"ab," * 33_000_000


@_file("labels/row-of-lines.csv")
def _row() -> bytes:
    """One row to a CSV reader, as every line ends inside a quoted cell."""
    return b'image,grade\n"' + b'a\n","' * 6_000_000 + b'"\n'


@_file("regions/line-of-100-megabytes.csv")
def _regions_line() -> bytes:
    return b"image,region,x,y,width,height\n" + b"ab," * 33_000_000


@_file("regions/row-of-lines.csv")
def _regions_row() -> bytes:
    return b'image,region,x,y,width,height\n"' + b'a\n","' * 6_000_000 + b'"\n'


_REGION = b"image,region,x,y,width,height\n"


def _coco(**box: object) -> bytes:
    annotation = {"image_id": 1, "category_id": 1, **box}
    images, categories = [{"id": 1, "file_name": "good.png"}], [{"id": 1, "name": "EX"}]
    return json.dumps({"images": images, "annotations": [annotation], "categories": categories}).encode(
        "ascii"
    )


_all(
    "labels",
    ".csv",
    {
        "zeros": bytes(1000),
        "no-text": b"\xff\xfe" * 100,
        "cell-of-a-megabyte": b"image,grade\n" + b"a" * (1 << 20) + b",1\n",
    },
)
_all(
    "regions",
    ".csv",
    {
        "numbers-that-are-none": _REGION + b"good.png,EX,nan,0,1,1\n",
        "numbers-without-end": _REGION + b"good.png,EX,1e308,1e308,1e308,1e308\n",
        "zeros": bytes(1000),
    },
)
_all(
    "regions",
    ".json",
    {
        "deep": b"[" * 100_000,
        "box-of-nan": _coco(bbox=[float("nan"), 0, 1, 1]),
        "box-of-four-hundred-digits": _coco(bbox=[10**400, 0, 1, 1]),
        "polygon-in-a-polygon": _coco(segmentation=[[[1, 2], [3, 4]]]),
        "id-of-a-list": _coco(image_id=[1]),
    },
)
_all(
    "yolo",
    "/good.txt",
    {
        "numbers-without-end": b"0 1e308 1e308 1e308 1e308\n",
        "zeros": bytes(64),
        "class-of-a-hundred-digits": b"9" * 100 + b" 0 0 1 1\n",
    },
)

# ----------------------------------------------------------------------------------------- lists, statements

_all(
    "lists",
    ".txt",
    {
        "name-of-five-thousand": b"a" * 5000 + b".png\n",
        "thousand-that-are-missing": b"".join(b"%d.png\n" % i for i in range(1000)),
        "zero-byte": b"a\0.png\n",
        "devices": b"/dev/zero\n/dev/stdin\n",
        "itself": b"itself.txt\n",
        "control-characters": b"a\x1b[31m.png\n",
        "no-text": b"\xff\xfe.png\n",
    },
)


def _statement(predicate: object, *, raw: bytes | None = None) -> bytes:
    payload = raw or json.dumps({"predicate": predicate}).encode("ascii")
    return json.dumps({"payload": base64.b64encode(payload).decode("ascii")}).encode("ascii")


_all(
    "statements",
    ".dsse.json",
    {
        "deep": b'{"payload":' * 50_000,
        "almost-too-deep": _statement(0, raw=b'{"predicate":{"a":' + b"[" * 900 + b"]" * 900 + b"}}"),
        "half-a-character": _statement({"tool": "\ud800\x1b[31m"}),
        "numbers-that-are-none": _statement({"images": float("nan")}),
        "predicate-of-nothing": _statement(None),
        "payload-of-a-number": b'{"payload": 1}',
        "zeros": bytes(1000),
    },
)
