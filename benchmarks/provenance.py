"""What it costs that marked files say where they come from: processor time as a ratio to marking, and bytes.

    python benchmarks/provenance.py [--rounds 15]

One picture as a file of each format gets a veil, with and without an XMP packet or DICOM elements, and with
content credentials, each read again; then the marks come off. The kinds take turns, and the median of the
rounds counts: all in one run, in one thread.
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import cv2
from PIL import Image as Pillow

from _tables import table
from medlocker.certificates import ContentCredentials, SigningKey
from medlocker.formats import layer_between, mark_file, read_image, unmark_file, with_layers, without_layers
from medlocker.logo import builtin_logo
from medlocker.provenance import Provenance
from medlocker.veil import Veil
from medlocker.veilstyle import DEFAULT_STYLE
from readers import dicom_file, picture

LOGO = builtin_logo()
TOLD = Provenance("ab" * 16)


def files() -> dict[str, bytes]:
    """Return files of several formats and sizes."""
    found = {}
    for side in (224, 2048):
        colors = picture(side)
        for kind in ("PNG", "JPEG", "TIFF"):
            stream = io.BytesIO()
            Pillow.fromarray(colors).save(stream, kind)
            found[f"{kind}, {side} px"] = stream.getvalue()
    grey = picture(512)[..., 0].astype("u2") * 257
    found["DICOM, 512 px"] = dicom_file(grey)
    return found


def veil_for(data: bytes) -> Veil:
    """Return the shipped style's veil for a picture."""
    image = read_image(data, name="x")
    return DEFAULT_STYLE.draw(LOGO, width=image.width, height=image.height, key=bytes(range(16)))


def mark(
    data: bytes, veil: Veil, told: Provenance | None, signer: ContentCredentials | None
) -> tuple[bytes, bytes, str]:
    """Read, mark, read again; return file, residual and method as they are sealed."""
    image = read_image(data, name="x")
    made = mark_file(image, [veil], logo=LOGO, provenance=told)
    read_image(made.data, name="x")
    file, layers = made.data, made.layers
    if signer is not None:
        signed = signer.embed(file, kind=image.format)
        if signed is None:
            signer.detach(file)
        else:
            layer = layer_between(file, signed)
            read_image(signed, name="x")
            file, layers = signed, (*layers, *(() if layer is None else (layer,)))
    method, residual = with_layers(made.method, made.residual, layers)
    return file, residual, method


def restore(file: bytes, residual: bytes, method: str, veil: Veil) -> bytes:
    """Take all off and read what comes out."""
    plain, method, residual = without_layers(file, method=method, residual=residual)
    back = unmark_file(read_image(plain, name="x"), [veil], logo=LOGO, residual=residual, method=method)
    read_image(back, name="x")
    return back


def seconds(work: Callable[[], object]) -> float:
    """Return how much processor time something takes."""
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    signer = ContentCredentials(SigningKey(bytes(range(32))), TOLD)
    kinds: dict[str, tuple[Provenance | None, ContentCredentials | None]] = {
        "none": (None, None),
        "standard": (TOLD, None),
        "c2pa": (TOLD, signer),
    }
    rows = []
    for name, data in files().items():
        veil = veil_for(data)
        made = {kind: mark(data, veil, *how) for kind, how in kinds.items()}
        marking: dict[str, list[float]] = {kind: [] for kind in kinds}
        restoring: dict[str, list[float]] = {kind: [] for kind in kinds}
        for _ in range(options.rounds):
            for kind, how in kinds.items():
                marking[kind].append(seconds(partial(mark, data, veil, *how)))
                restoring[kind].append(seconds(partial(restore, *made[kind], veil)))
        middle = {kind: median(times) for kind, times in marking.items()}
        back = {kind: median(times) for kind, times in restoring.items()}
        more = {kind: len(made[kind][0]) - len(made["none"][0]) for kind in kinds}
        rows.append(
            [name, f"{middle['none'] * 1000:.1f} ms"]
            + [f"{middle[kind] / middle['none']:.2f}" for kind in ("standard", "c2pa")]
            + [f"{back[kind] / back['none']:.2f}" for kind in ("standard", "c2pa")]
            + [f"{more['standard']}", f"{more['c2pa']}"]
        )
    head = ["file", "marking alone", "standard", "c2pa"]
    head += ["restoring, standard", "restoring, c2pa", "bytes, standard", "bytes, c2pa"]
    print(table(head, rows))


if __name__ == "__main__":
    main()
