"""Sound files of every kind that medlocker reads, written by the project's other test helpers."""

from __future__ import annotations

import io
import json
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import tifffile
from nifti_samples import RGB
from nifti_samples import nifti as made_nifti
from numpy.typing import NDArray
from PIL import Image as Pillow
from pydicom import uid
from test_dicom_segmentations import image as slice_image
from test_dicom_segmentations import segmentation as made_segmentation

import dicom_samples
from dicom_samples import NATIVE, PACKED, Sample
from jpeg_pictures import FILES as JPEGS
from jpeg_pictures import jpeg
from medlocker.logo import pack_overlay
from onnx_models import make_onnx, make_segmenter
from pictures import KINDS, make_image
from runs import picture

EXIF = Pillow.Exif()
EXIF[0x0112] = 6
EXIF.get_ifd(0x8825)[2] = (1.0, 2.0, 3.0)


def _noise(*shape: int, dtype: str = "u1") -> NDArray[Any]:
    return np.random.default_rng(0).integers(0, np.iinfo(dtype).max + 1, shape).astype(dtype)


@cache
def png() -> list[bytes]:
    """Every kind, both depths, packed palettes, interlaced by hand, with EXIF."""
    found = []
    for kind in KINDS:
        image = make_image(kind, height=20, width=24)
        channels = image.pixels[..., 0] if image.pixels.shape[2] == 1 else image.pixels
        stream = io.BytesIO()
        made = Pillow.fromarray(channels)
        if kind == "palette" and image.palette is not None:
            made = made.convert("P")
            made.putpalette(image.palette.tobytes())
        made.save(stream, "PNG", exif=EXIF, dpi=(72, 72))
        found.append(stream.getvalue())
    stream = io.BytesIO()
    Pillow.fromarray(_noise(20, 24, dtype="u2")).save(stream, "PNG")
    stream2 = io.BytesIO()
    Pillow.fromarray(_noise(20, 24)).convert("P").quantize(4).save(stream2, "PNG", bits=2)
    return [*found, stream.getvalue(), stream2.getvalue()]


@cache
def tiff() -> list[bytes]:
    """Strips, tiles, planes, all compressions, both orders, BigTIFF, pages, palettes."""
    found = []
    for order in ("<", ">"):
        for big in (False, True):
            for options in (
                {"photometric": "rgb"},
                {"photometric": "rgb", "compression": "lzw", "predictor": True, "rowsperstrip": 3},
                {"photometric": "rgb", "compression": "deflate", "tile": (16, 16)},
                {"photometric": "rgb", "compression": "packbits"},
            ):
                stream = io.BytesIO()
                tifffile.imwrite(
                    stream,
                    _noise(20, 24, 3),
                    byteorder=order,
                    bigtiff=big,
                    metadata=None,
                    **options,
                )
                found.append(stream.getvalue())
            stream = io.BytesIO()
            tifffile.imwrite(
                stream,
                _noise(4, 20, 24, dtype="u2"),
                byteorder=order,
                bigtiff=big,
                photometric="minisblack",
            )
            found.append(stream.getvalue())
    stream = io.BytesIO()
    tifffile.imwrite(stream, _noise(3, 20, 24), planarconfig="separate", photometric="rgb")
    found.append(stream.getvalue())
    for mode in ("P", "L", "RGBA"):
        found.append(picture("TIFF", size=20, mode=mode, exif=EXIF))
    return found


@cache
def bmp() -> list[bytes]:
    """All depths that are read."""
    return [picture("BMP", size=20, mode=mode) for mode in ("L", "P", "RGB", "RGBA")]


@cache
def jpegs() -> list[bytes]:
    """Every sampling and coding, with EXIF and more."""
    plain = [jpeg(20, 24, exif=EXIF, icc_profile=b"icc" * 60, progressive=p) for p in (False, True)]
    return [*JPEGS.values(), *plain, jpeg(40, 40, comment=b"x", restart_marker_rows=1)]


@cache
def dicom() -> list[bytes]:
    """Every transfer syntax, colour model, several frames, windows and look-up tables."""
    samples = [
        Sample(_noise(2, 40, 44, channels), "RGB" if channels == 3 else "MONOCHROME2", syntax=syntax)
        for syntax in (*NATIVE, *PACKED, uid.DeflatedExplicitVRLittleEndian)
        for channels in (1, 3)
    ]
    grey = Sample(_noise(1, 12, 14, 1, dtype="u2") & np.uint16(4095), stored=12, signed=True)
    grey.elements = {
        "WindowCenter": "40",
        "WindowWidth": "400",
        "RescaleSlope": "2",
        "RescaleIntercept": "-1",
    }
    table = Sample(_noise(1, 12, 14, 1))
    item = pydicom.Dataset()
    item.LUTDescriptor, item.LUTData = [256, 0, 16], (np.arange(256) * 256).astype("<u2").tobytes()
    table.elements = {name: pydicom.Sequence([item]) for name in ("VOILUTSequence", "ModalityLUTSequence")}
    palette, segmented = (Sample(_noise(1, 12, 14, 1), "PALETTE COLOR") for _ in range(2))
    run = np.array([0, 2, 0, 255, 1, 254, 65535], "<u2").tobytes()
    for name in ("Red", "Green", "Blue"):
        for one in (palette, segmented):
            one.elements[f"{name}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        palette.elements[f"{name}PaletteColorLookupTableData"] = bytes(512)
        segmented.elements[f"Segmented{name}PaletteColorLookupTableData"] = run
    found = [dicom_samples.write(one) for one in (*samples, grey, table, palette, segmented)]
    found.append(dicom_samples.jpeg([_noise(16, 16, 3), _noise(16, 16, 3)], "YBR_FULL_422"))
    found.append(dicom_samples.jpeg([_noise(16, 16, 1)], "MONOCHROME2"))
    return found


@cache
def nifti() -> list[bytes]:
    """Both versions and orders, plain and gzipped, signed, coloured, scaled."""
    voxels = _noise(10, 11, 3, dtype="u2")
    colors = _noise(10, 11, 3, 3).view(RGB)[..., 0]
    return [
        made_nifti(voxels),
        made_nifti(voxels.astype("<i2"), version=2, order=">", slope=2, inter=-5, calibration=(3, 900)),
        made_nifti(voxels.astype("u1"), packed=True, extension=b"text", trailing=b"behind"),
        made_nifti(colors, packed=True),
    ]


@cache
def segmentation() -> list[bytes]:
    """DICOM segmentations of one image, by reference and by place."""
    mask = np.zeros((16, 24), np.uint8)
    mask[2:5, 3:9] = 1
    return [
        made_segmentation([(mask, 1, told), (mask, 2, told)])
        for told in ({"uid": "1.2.3.0"}, {"place": [0, 0, 0]})
    ]


@cache
def image_slice() -> bytes:
    """The image that :func:`segmentation` is of."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "slice.dcm")
        slice_image(path, 0)
        return path.read_bytes()


@cache
def masks() -> list[bytes]:
    """Pictures of 24 x 16 of the kinds that masks come in."""
    mask = Pillow.fromarray(np.pad(np.full((4, 6), 255, np.uint8), ((3, 9), (5, 13))))
    found = []
    for kind, mode in (
        ("PNG", "1"),
        ("PNG", "L"),
        ("PNG", "P"),
        ("TIFF", "1"),
        ("TIFF", "L"),
        ("BMP", "L"),
        ("JPEG", "L"),
    ):
        stream = io.BytesIO()
        mask.convert(mode).save(stream, kind)
        found.append(stream.getvalue())
    return found


LABELS = (
    b'image,grade\neye.png,0\nfolder/b.png,1\n"c, d.png",2\n',
    b"image;x;y\na;1;2\nb;1.0;3\n",
    b"i\tl\nq\tz\n",
)
REGIONS = (
    b"image,region,x,y,width,height\neye.png,EX,1,2,3,4\neye.png,HE,2.5,2,3.25,4\n",
    b'\xef\xbb\xbfregion,image,x,y,width,height,more\r\nEX,eye,1,2,3,4,"a\nb"\r\n',
)
YOLO = (b"0 0.5 0.5 0.2 0.3\n1 0.1 0.1 0.2 0.1 0.2 0.3\n", b"3 0.5 0.5 0.2 0.3 0.9\n")
LISTS = (b"eye.png\nsub/eye.png\n# comment\n", b"\xef\xbb\xbf/a/b.png\r\n../c.png\n")
COCO = tuple(
    json.dumps(
        {
            "images": [
                {"id": 1, "file_name": "eye.png", "width": 24, "height": 16},
                {"id": "b", "file_name": "b.png"},
            ],
            "annotations": [{"image_id": 1, "category_id": 7, **shape}],
            "categories": [{"id": 7, "name": "EX"}],
        }
    ).encode()
    for shape in ({"bbox": [1, 2, 3, 4]}, {"segmentation": [[1, 1, 5, 1, 5, 5.5]]})
)


@cache
def models() -> tuple[list[bytes], list[bytes]]:
    """ONNX classifiers and their cards."""
    with tempfile.TemporaryDirectory() as folder:
        models, cards = [], []
        for number, options in enumerate(
            (
                {},
                {"softmax": True, "layout": "NCHW"},
                {"batch": 2},
                {"four_axes": True, "features_first": True},
            )
        ):
            tiny = make_onnx(Path(folder, f"{number}.onnx"), **options)  # type: ignore[arg-type]
            models.append(tiny.path.read_bytes())
            card = tiny.write_card(input={"mean": [0.5, 0.5, 0.5], "std": [1, 1, 2], "range": [0, 255]})
            del card["sha256"]
            cards.append(json.dumps(card).encode())
        return models, cards


@cache
def segmenters() -> tuple[list[bytes], list[bytes]]:
    """ONNX segmenters and their cards."""
    with tempfile.TemporaryDirectory() as folder:
        path = make_segmenter(Path(folder, "s", "model.onnx"))
        file = path if path.is_file() else path / "model.onnx"
        card = json.loads(file.with_name("model.card.json").read_bytes())
        del card["sha256"]
        return [file.read_bytes()], [json.dumps(card).encode()]


def learned() -> list[bytes]:
    """Descriptions of learned logos."""
    texture = pack_overlay(np.ones((4, 5, 3), np.int8))
    value = {
        "kind": "medlocker learned logo", "version": 1, "levels": 32, "grey": False,
        "textures": {"*": texture, "2": texture}, "facts": {"images": 7, "models": ["a"], "gain": 0.5},
    }  # fmt: skip
    return [json.dumps(value, indent=1).encode()]
