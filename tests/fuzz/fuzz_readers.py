"""Every reader of foreign bytes, as a function that may raise medlocker's own errors and no others."""

from __future__ import annotations

import base64
import ctypes
import importlib
import json
import os
import tempfile
import time
import zlib
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, replace
from functools import cache
from io import StringIO
from pathlib import Path
from typing import Any

import fuzz_seeds as seeds
import numpy as np

from medlocker.certificates import (
    Identity,
    Ledger,
    SealedRecord,
    SigningKey,
    VerifyKey,
    load_identity,
    load_recipient,
    load_signing_key,
    load_verify_key,
    open_record,
)
from medlocker.certificates._dsse import PAYLOAD_TYPE, pae
from medlocker.certificates._grantfile import GrantedIdentities
from medlocker.certificates._index import find_line, parse_shard
from medlocker.certificates._ownergrant import parse_owner_grant
from medlocker.certificates._record import MAGIC, padded_length
from medlocker.certificates._statement import read_statement
from medlocker.classifiers import load_classifier
from medlocker.classifiers.card import load_card
from medlocker.cli.inspect import inspect
from medlocker.errors import MedlockerError
from medlocker.formats import encode_frames, encode_image, mark_file, metadata_digest, read_image, unmark_file
from medlocker.formats.jpeg import read_coefficients
from medlocker.formats.jpeg._coefficients import write_coefficients
from medlocker.geometry import Box
from medlocker.images import content_digest
from medlocker.labels import class_indices, load_labels
from medlocker.logo import LEARNED_FILE, LOGO_FILE, builtin_logo, load_learned, load_logo
from medlocker.mark import Mark
from medlocker.regions import load_regions, load_segmenter
from medlocker.regions._masks import read_mask
from medlocker.release import find_inputs
from medlocker.restore import restore_image

VECTORS = Path(__file__).parent.parent / "vectors"
LOGO = builtin_logo()
SIZE = (24, 16)
MARK = Mark(1, 1, 8, 40000)


@dataclass(frozen=True)
class Reader:
    """One reader under attack.

    Args:
        read: Takes damaged bytes.
        seeds: Sound files, made when they are first needed.
        structure: How they are taken apart; see ``fuzz_mutations``.
    """

    read: Callable[[bytes, Path], object]
    seeds: Callable[[], list[bytes]]
    structure: str = ""


def _image(data: bytes, _: Path) -> None:
    """Read, digest, write again; then put a mark on: that reads coefficients and changes DICOM headers."""
    image = read_image(data, name="image")
    content_digest(image)
    metadata_digest(image)
    if image.format == "jpeg":
        again = write_coefficients(*read_coefficients(data))
    elif image.frames is None:
        again = encode_image(image, image.pixels)
    else:
        again = encode_frames(image, (image.frames[i] for i in range(len(image.frames))))
    assert content_digest(read_image(again, name="again")) == content_digest(image)
    if min(image.width, image.height) >= 12:
        mark_file(image, [MARK], logo=LOGO)


def _mask(data: bytes, folder: Path) -> None:
    read_mask(_put(folder, "mask.png", data), name="mask.png", width=SIZE[0], height=SIZE[1])


def _put(folder: Path, name: str, data: bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def _asked(source: Path, images: dict[str, Path] | None = None) -> None:
    regions = load_regions(source, images=images or {}).among(["eye.png", "folder/b.png"])
    for name in ("eye.png", "folder/b.png"):
        boxes = regions.boxes_for(name, width=SIZE[0], height=SIZE[1])
        assert all(box.overlaps(Box(0, 0, *SIZE)) for box in boxes)


def _csv(data: bytes, folder: Path) -> None:
    _asked(_put(folder, "regions.csv", data))


def _coco(data: bytes, folder: Path) -> None:
    _asked(_put(folder, "regions.json", data))


def _yolo(data: bytes, folder: Path) -> None:
    _put(folder, "yolo/classes.txt", b"EX\nHE\n")
    _asked(_put(folder, "yolo/eye.txt", data).parent)


def _segmentation(data: bytes, folder: Path) -> None:
    image = _put(folder, "image.dcm", seeds.image_slice())
    _asked(_put(folder, "regions.dcm", data), {"eye.png": image})


def _labels(data: bytes, folder: Path) -> None:
    labels = load_labels(_put(folder, "labels.csv", data))
    labels.for_name("folder/b.png")
    class_indices(labels, ("0", "1", "2"))


def _list(data: bytes, folder: Path) -> None:
    find_inputs(_put(folder, "list.txt", data))


def _card(data: bytes, folder: Path) -> None:
    load_card(_put(folder, "model.card.json", data))


def _model(data: bytes, folder: Path) -> None:
    """The model alone, then with a card that fits the sound one."""
    path = _put(folder, "model.onnx", data)
    _inspect(path)


def _converted_models() -> list[bytes]:
    importlib.import_module("onnx2torch")  # a gigabyte that no file asked for
    return seeds.models()[0]


def _carded_model(data: bytes, folder: Path) -> None:
    """A sound model with a damaged card."""
    _put(folder, "model.onnx", seeds.models()[0][0])
    _put(folder, "model.card.json", data)
    classifier = load_classifier(folder / "model.onnx", features=True)
    canvas = np.zeros((1, classifier.height, classifier.width, classifier.channels), np.float32)
    assert len(classifier.logits(canvas)) == 1


def _segmenter(data: bytes, folder: Path) -> None:
    _put(folder, "segmenter/model.card.json", seeds.segmenters()[1][0])
    load_segmenter(_put(folder, "segmenter/model.onnx", data).parent)


def _segmenter_card(data: bytes, folder: Path) -> None:
    _put(folder, "segmenter/model.card.json", data)
    found = load_segmenter(_put(folder, "segmenter/model.onnx", seeds.segmenters()[0][0]).parent)
    if found.card.side_px < 512:  # else it is a large picture that is looked at, as the card says
        found.find(np.zeros((60, 50, 3), np.uint8))


def _logo(data: bytes, _: Path) -> None:
    load_logo(data, name="logo")


def _learned(data: bytes, folder: Path) -> None:
    _put(folder, f"learned/{LOGO_FILE}", LOGO.to_png())
    learned = load_learned(_put(folder, f"learned/{LEARNED_FILE}", data).parent)
    assert learned.digest
    _inspect(folder / "learned")


def _inspect(path: Path) -> None:
    with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
        inspect(path, json=False)
        inspect(path, json=True)


# --------------------------------------------------------------------------------------------- certificates


@cache
def _vector(name: str) -> dict[str, Any]:
    return dict(json.loads((VECTORS / f"{name}.json").read_bytes()))


@cache
def _owner() -> SigningKey:
    return SigningKey.from_pem(_vector("key/sign-key")["private_pem"].encode("ascii"), what="key")


def _data(*names: str) -> Callable[[], list[bytes]]:
    return lambda: [base64.b64decode(_vector(name)["data"]) for name in names]


def _envelope(data: bytes, folder: Path) -> None:
    """What lies in a release that anybody may have changed."""
    _inspect(_put(folder, "release/certificate/statement.dsse.json", data).parent.parent)
    read_statement(data, owner=_owner().public)


def _payload(data: bytes, folder: Path) -> None:
    """What a dishonest owner signs."""
    signature = base64.b64encode(_owner().sign(pae(PAYLOAD_TYPE, data))).decode("ascii")
    envelope = {
        "payloadType": PAYLOAD_TYPE,
        "payload": base64.b64encode(data).decode("ascii"),
        "signatures": [{"keyid": "", "sig": signature}],
    }
    _envelope(json.dumps(envelope).encode(), folder)


def _payloads() -> list[bytes]:
    return [base64.b64decode(json.loads(data)["payload"]) for data in _data("statement/good")()]


def _canonical(text: bytes) -> bytes:
    """JSON in its one form where that is possible, so that damage reaches the rules behind that check."""
    try:
        value = json.loads(text)
        return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii")
    except (ValueError, RecursionError):
        return text


def _index(data: bytes, _: Path) -> None:
    lines = b"\n".join(_canonical(line) for line in data.split(b"\n"))
    find_line(lines, shard=0, index=1)
    parse_shard(lines, shard=0)


def _record(data: bytes, _: Path) -> None:
    """What a dishonest owner seals: read, then carried out on the sound marked file."""
    _carried_out(data, "good")


def _veil_record(data: bytes, _: Path) -> None:
    """The same for a veil, whose parameters may ask for a lot of work."""
    _carried_out(data, "veil-png")


def _carried_out(data: bytes, name: str) -> None:
    residual = _sound_record(name).residual
    line = _canonical(data)
    body = MAGIC + line + b"\n" + residual
    record = SealedRecord.from_bytes(body.ljust(padded_length(len(body)), b"\0"), what="record")
    _restored(record, name)


def _restored(record: SealedRecord, name: str) -> None:
    vector = _vector(f"restore/{name}")
    logo = load_logo(base64.b64decode(vector["logo"]), name="logo")
    restore_image(base64.b64decode(vector["file"]), record, logo=logo)


@cache
def _sound_record(name: str) -> SealedRecord:
    vector = _vector(f"restore/{name}")
    identity = Identity.from_secrets([vector["identity"]], what="x")
    return open_record(base64.b64decode(vector["blob"]), [identity], what="r")


def _line(record: SealedRecord) -> bytes:
    return record.to_bytes().split(b"\n", 2)[1]


def _records() -> list[bytes]:
    record = _sound_record("good")
    others = [replace(record, method=method) for method in ("jpeg-dct-v1", "pixels-v1")]
    return [_line(one) for one in (record, *others)]


def _residual(data: bytes, _: Path) -> None:
    """A residual that does not fit, in a record that does."""
    _restored(replace(_sound_record("good"), residual=data), "good")


def _veil_residual(data: bytes, _: Path) -> None:
    """The same for a veil."""
    _restored(replace(_sound_record("veil-png"), residual=data), "veil-png")


def _jpeg_residual(data: bytes, _: Path) -> None:
    """The same for coefficients."""
    marked = _marked_jpeg()[0]
    unmark_file(read_image(marked, name="image"), [MARK], logo=LOGO, residual=data, method="jpeg-dct-v1")


@cache
def _marked_jpeg() -> tuple[bytes, bytes]:
    made = mark_file(read_image(seeds.jpegs()[-2], name="image"), [MARK], logo=LOGO)
    return made.data, made.residual


def _planes() -> list[bytes]:
    """What the residual of a JPEG holds, before it is compressed."""
    return [zlib.decompress(_marked_jpeg()[1])]


def _packed_jpeg_residual(data: bytes, folder: Path) -> None:
    _jpeg_residual(zlib.compress(data), folder)


def _seal(data: bytes, _: Path) -> None:
    open_record(
        data, [Identity.from_secrets([_vector("sealed/whole-identity")["identity"]], what="x")], what="seal"
    )


def _grant(data: bytes, _: Path) -> None:
    GrantedIdentities.from_bytes(data, what="grant")


def _secret(data: bytes, _: Path) -> None:
    parse_owner_grant(data, owner=VerifyKey(bytes.fromhex(_vector("secret/good")["owner"])))


def _keys(data: bytes, folder: Path) -> None:
    path = _put(folder, "owner.sign.key", data)
    failed = 0
    for load in (load_signing_key, load_verify_key, load_recipient, load_identity):
        try:
            load(path)
        except MedlockerError:
            failed += 1
    assert failed >= 3, failed  # no file is two kinds of key


def _key_files() -> list[bytes]:
    sign, age = _vector("key/sign-key"), _vector("key/age-key")
    texts = (sign["private_pem"], sign["public_pem"], f"# made\n{age['identity']}\n", f"{age['recipient']}\n")
    return [text.encode("ascii") for text in texts]


def _ledger(data: bytes, folder: Path) -> None:
    with Ledger(_put(folder, "owner.ledger.sqlite", data), _owner()) as ledger:
        len(ledger)
        ledger.check("00" * 32, release="11" * 16)
        ledger.record("00" * 32, release="11" * 16, marked="22" * 32)


@cache
def _ledgers() -> list[bytes]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "x.sqlite")
        with Ledger(path, _owner()) as ledger:
            ledger.record("00" * 32, release="11" * 16, marked="22" * 32)
        return [path.read_bytes()]


def _texts(*texts: bytes) -> Callable[[], list[bytes]]:
    return lambda: list(texts)


READERS: dict[str, Reader] = {
    "png": Reader(_image, seeds.png, "png"),
    "tiff": Reader(_image, seeds.tiff, "tiff"),
    "bmp": Reader(_image, seeds.bmp),
    "jpeg": Reader(_image, seeds.jpegs, "jpeg"),
    "dicom": Reader(_image, seeds.dicom, "dicom"),
    "nifti": Reader(_image, seeds.nifti, "gzip"),
    "mask": Reader(_mask, seeds.masks, "png"),
    "regions-csv": Reader(_csv, _texts(*seeds.REGIONS), "text"),
    "coco": Reader(_coco, _texts(*seeds.COCO), "text"),
    "yolo": Reader(_yolo, _texts(*seeds.YOLO), "text"),
    "segmentation": Reader(_segmentation, seeds.segmentation, "dicom"),
    "labels": Reader(_labels, _texts(*seeds.LABELS), "text"),
    "list": Reader(_list, _texts(*seeds.LISTS), "text"),
    "card": Reader(_card, lambda: seeds.models()[1], "text"),
    "model": Reader(_model, _converted_models, "proto"),
    "carded-model": Reader(_carded_model, lambda: seeds.models()[1], "text"),
    "segmenter": Reader(_segmenter, lambda: seeds.segmenters()[0], "proto"),
    "segmenter-card": Reader(_segmenter_card, lambda: seeds.segmenters()[1], "text"),
    "logo": Reader(_logo, seeds.png, "png"),
    "learned": Reader(_learned, seeds.learned, "text"),
    "envelope": Reader(_envelope, _data("statement/good"), "text"),
    "payload": Reader(_payload, _payloads, "text"),
    "index": Reader(_index, _data("index/good"), "text"),
    "record": Reader(_record, _records, "text"),
    "veil-record": Reader(_veil_record, lambda: [_line(_sound_record("veil-png"))], "text"),
    "residual": Reader(_residual, lambda: [_sound_record("good").residual]),
    "veil-residual": Reader(_veil_residual, lambda: [_sound_record("veil-png").residual]),
    "jpeg-residual": Reader(_packed_jpeg_residual, _planes),
    "seal": Reader(_seal, lambda: [base64.b64decode(_vector("sealed/whole-identity")["blob"])], "text"),
    "grant": Reader(_grant, _data("grant/good-whole", "grant/good-images"), "text"),
    "secret": Reader(_secret, _data("secret/good"), "text"),
    "keys": Reader(_keys, _key_files, "text"),
    "ledger": Reader(_ledger, _ledgers),
}


def _busy(data: bytes, _: Path) -> None:
    end = time.process_time() + 2.2
    while time.process_time() < end:
        pass


MISBEHAVING: dict[str, Reader] = {
    "crash": Reader(lambda data, folder: ctypes.string_at(0), _texts(b"x")),
    "exit": Reader(lambda data, folder: os._exit(1), _texts(b"x")),
    "hang": Reader(lambda data, folder: time.sleep(600), _texts(b"x")),
    "hog": Reader(lambda data, folder: bytes(2 << 30), _texts(b"x")),
    "bug": Reader(lambda data, folder: 1 // 0, _texts(b"x")),
    "busy": Reader(_busy, _texts(b"x")),
}
"""Readers that do what none may, to see that it is noticed."""
