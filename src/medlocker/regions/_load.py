"""Opening a regions source of whatever kind."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

from medlocker.errors import InputError
from medlocker.regions._coco import read_coco
from medlocker.regions._csv import read_csv
from medlocker.regions._dicomseg import DicomSegmentations, find_segmentations, is_segmentation
from medlocker.regions._maskfolder import MASK_SUFFIXES, MaskFolder
from medlocker.regions._regions import Regions, Source
from medlocker.regions._table import wanting
from medlocker.regions._yolo import CLASSES_FILE, read_yolo

MAX_MARGIN_PX = 65_535

_PEEK_BYTES = 64
_NOTES = ("readme", "license", "licence", "notes", "copying", "changelog")


def load_regions(
    path: Path,
    *,
    margin_px: int = 0,
    min_area_px: int = 1,
    only: Collection[str] | None = None,
    exclude: Collection[str] = (),
    images: Mapping[str, Path] | None = None,
) -> Regions:
    """Open keep-out regions; what the path holds decides the kind.

    - A folder of mask images: every connected part (8 neighbours) of what is not 0 becomes a box. A mask
      belongs to the image with the same relative path, else to the one with the same relative path after
      one folder of the mask's is left out (``EX/IDRiD_01.png``: a folder per lesion type), else to the one
      with the same stem in any folder; suffixes of the files are ignored. In each step the mask's stem may
      go on after the image's with ``_``, ``-``, ``.`` or a space (``IDRiD_01_EX.tif``, ``x_mask.png``),
      or have ``mask_`` or the like before it, but an equal stem goes first. All masks of an image are
      united. The kind is that continuation, unless
      it says only ``mask``, ``segmentation`` or the like, else the folder, else ``mask``. Masks are read
      when their image is asked for.
    - A CSV file ``image,region,x,y,width,height``, pixels. Fractions grow outwards to whole pixels.
    - COCO JSON with images, annotations and categories.
    - DICOM segmentations, one or a folder of them; whose each frame is tell the identifiers and places of
      DICOM images. The kinds are ``segment-1``, ``segment-2``.
    - A folder of YOLO text files, ``class cx cy w h`` or polygons, in shares of the image's sides.

    Give all images' names to :meth:`Regions.among` before asking, so that no entry is taken for two.

    Args:
        path: The file or folder.
        margin_px: Added on every side of every box, 0 to 65535.
        min_area_px: Regions of fewer pixels (of the connected part, or of the box in a table) are left out.
        only: Kinds to use, default all.
        exclude: Kinds to leave out, for instance ``optic_disc``.
        images: Where each image lies, by its name: DICOM segmentations need it, and masks that lie beside
            the images.

    Raises:
        InputError: If the path is none of these, a row is wrong, or a kind does not occur.
    """
    if not 0 <= margin_px <= MAX_MARGIN_PX:
        raise InputError(f"expected a margin of 0 to {MAX_MARGIN_PX} px, got {margin_px}")
    if min_area_px < 1:
        raise InputError(f"expected a smallest area of at least 1 px, got {min_area_px}")
    if isinstance(only, str) or isinstance(exclude, str):
        raise InputError("expected a list of kinds of regions, got a single text")
    source = _open_segmentations(path, images or {}) or (
        _open_folder(path, images or {}) if path.is_dir() else _open_file(path)
    )
    for kind in sorted({*(only or ()), *exclude}):
        if not source.check_kind(kind):
            known = ", ".join(sorted(source.kinds)) or "none"
            raise InputError(
                f"regions {path.name}: expected a kind of region that occurs ({known}), got {kind!r:.80}",
                subject=path.name,
            )
    return Regions(source, margin_px, min_area_px, wanting(only, exclude))


def _open_segmentations(path: Path, images: Mapping[str, Path]) -> DicomSegmentations | None:
    if path.is_file():
        return DicomSegmentations(path.parent, (path.name,), images) if is_segmentation(path) else None
    found = find_segmentations(path, sorted(_files_below(path))) if path.is_dir() else []
    return DicomSegmentations(path, found, images) if found else None


def _open_file(path: Path) -> Source:
    if not path.is_file():
        raise InputError(f"regions {path.name}: expected a file or folder that exists", subject=path.name)
    try:
        with path.open("rb") as stream:
            start = stream.read(_PEEK_BYTES)
    except OSError as error:
        raise InputError(
            f"regions {path.name}: {(error.strerror or 'cannot be read').lower()}", subject=path.name
        ) from error
    start = start.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.startswith((b"{", b"[")):
        return read_coco(path)
    if b"\0" in start or start.startswith((b"\x89PNG", b"\xff\xd8\xff")):
        raise InputError(
            f"regions {path.name}: expected CSV or COCO JSON, got a binary file",
            subject=path.name,
            hint="masks are given as a folder",
        )
    return read_csv(path)


def _open_folder(path: Path, images: Mapping[str, Path]) -> Source:
    pictures = {os.path.realpath(image) for image in images.values()}
    masks: list[str] = []
    texts: list[str] = []
    for name in _files_below(path):
        if pictures and os.path.realpath(path / name) in pictures:
            continue  # masks may lie beside the pictures
        if name.lower().endswith(MASK_SUFFIXES):
            masks.append(name)
        elif name.lower().endswith(".txt") and name != CLASSES_FILE and not _is_note(name):
            texts.append(name)
    if masks and texts:
        raise InputError(
            f"regions {path.name}: expected either masks or YOLO text files, got both "
            f"({min(masks)}, {min(texts)})",
            subject=path.name,
            hint="give the folder that holds only one of them",
        )
    if texts:
        return read_yolo(path, sorted(texts))
    if masks:
        return MaskFolder(path, masks)
    raise InputError(
        f"regions {path.name}: expected a folder of masks or YOLO text files, got none in it",
        subject=path.name,
    )


def _files_below(path: Path) -> list[str]:
    def fail(error: OSError) -> None:
        # a folder passed over would be lesions passed over
        raise InputError(
            f"regions {path.name}: {(error.strerror or 'cannot be read').lower()}", subject=path.name
        ) from error

    found = []
    for folder, subfolders, files in os.walk(path, onerror=fail):
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        below = Path(folder).relative_to(path)
        found += [(below / name).as_posix() for name in files if not name.startswith(".")]
    return found


def _is_note(name: str) -> bool:
    return PurePosixPath(name).stem.lower().startswith(_NOTES)
