"""The folder of a prepared logo: logo, textures or the look of veils, and a picture to look at."""

from __future__ import annotations

import io
import json
import os
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage

from medlocker.errors import MedlockerError, OutputExistsError
from medlocker.files import check_output_folder, replacing_folder
from medlocker.logo import LEARNED_FILE, LOGO_FILE, LearnedLogo, Logo, load_learned, render
from medlocker.prepare._veilpicture import veil_picture
from medlocker.preparedveil import VEIL_FILE, PreparedVeil, is_prepared_veil, load_prepared_veil
from medlocker.release import Inputs

PICTURE_FILE, VEIL_PICTURE_FILE = "textures.png", "veil.png"
_SIDE_PX = 192
_MOST_SHOWN = 12


def check_folder(out: Path, *, overwrite: bool) -> None:
    """Refuse an output that exists.

    Raises:
        OutputExistsError: If it does and must not be replaced, or is no folder made by ``prepare``.
    """
    check_output_folder(out, overwrite=overwrite, ours=_is_ours, what="a prepared logo")


def check_apart(out: Path, inputs: Inputs) -> None:
    """Refuse an output that lies inside the input folder, or that inputs lie in.

    Raises:
        OutputExistsError: If it does.
    """
    target, root = Path(os.path.realpath(out)), Path(os.path.realpath(inputs.root))
    if inputs.walked and target.is_relative_to(root):
        raise OutputExistsError(
            f"the output {out.name} lies inside the input folder", hint="choose an output elsewhere"
        )
    if any(Path(os.path.realpath(item.path)).is_relative_to(target) for item in inputs.items):
        raise OutputExistsError(f"an input lies inside the output {out.name}")


def write_learned(learned: LearnedLogo, out: Path, *, overwrite: bool = False) -> None:
    """Write a learned logo's folder whole or not at all.

    Raises:
        OutputExistsError: See :func:`check_folder`.
        WriteError: If the system refuses.
    """
    _write(out, learned.logo, LEARNED_FILE, learned.to_json(), PICTURE_FILE, _picture(learned), overwrite)


def write_veil(prepared: PreparedVeil, out: Path, *, overwrite: bool = False) -> None:
    """Write a prepared veil's folder whole or not at all.

    Raises:
        OutputExistsError: See :func:`check_folder`.
        WriteError: If the system refuses.
    """
    picture = veil_picture(prepared)
    _write(out, prepared.logo, VEIL_FILE, prepared.to_json(), VEIL_PICTURE_FILE, picture, overwrite)


def _write(
    out: Path, logo: Logo, name: str, value: object, picture_name: str, picture: bytes, overwrite: bool
) -> None:
    text = json.dumps(value, indent=1, sort_keys=True) + "\n"
    with replacing_folder(out, check=lambda: check_folder(out, overwrite=overwrite)) as folder:
        (folder / LOGO_FILE).write_bytes(logo.to_png())
        (folder / picture_name).write_bytes(picture)
        (folder / name).write_text(text, encoding="utf-8")


def _is_ours(folder: Path) -> bool:
    """Tell whether a folder holds a prepared logo and nothing else: only such a one may be replaced."""
    entries = list(folder.iterdir())
    is_veil = is_prepared_veil(folder)
    own = {VEIL_FILE, VEIL_PICTURE_FILE} if is_veil else {LEARNED_FILE, PICTURE_FILE}
    if {entry.name for entry in entries} - {LOGO_FILE, *own}:
        return False
    if any(entry.is_symlink() or not entry.is_file() for entry in entries):
        return False
    try:
        if is_veil:
            load_prepared_veil(folder)
        else:
            load_learned(folder)
    except MedlockerError:
        return False
    return True


def _picture(learned: LearnedLogo) -> bytes:
    """Draw the plain logo and the textured ones side by side on white."""
    shown = ["", *list(learned.textures.values())[:_MOST_SHOWN]]
    tiles = []
    for overlay in shown:
        raster = render(learned.logo, _SIDE_PX, overlay=overlay)
        tile = np.full((_SIDE_PX + 8, _SIDE_PX + 8, 3), 255, np.uint8)
        share = raster.coverage[..., None] / 255
        h, w = raster.coverage.shape
        tile[4 : 4 + h, 4 : 4 + w] = np.round(raster.color * share + 255 * (1 - share)).astype(np.uint8)
        tiles.append(tile)
    stream = io.BytesIO()
    PillowImage.fromarray(np.concatenate(tiles, axis=1)).save(stream, "PNG")
    return stream.getvalue()
