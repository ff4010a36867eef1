"""Opening a regions source of whatever kind."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

from medlocker.errors import InputError
from medlocker.regions._annotated import ANNOTATION_SUFFIXES, foreign_xml, read_annotations, read_xml
from medlocker.regions._csv import read_csv
from medlocker.regions._dicomseg import DicomSegmentations, dicom_kind, find_segmentations, is_segmentation
from medlocker.regions._json import read_json
from medlocker.regions._maskfolder import MASK_SUFFIXES, MaskFolder
from medlocker.regions._regions import Regions, Source
from medlocker.regions._table import wanting
from medlocker.regions._yolo import CLASSES_FILE, read_yolo
from medlocker.regions.names import without_suffix

MAX_MARGIN_PX = 65_535

_PEEK_BYTES = 64
_LOOKED_AT = 100
"""Files of a folder that a refusal looks into."""
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
    - COCO JSON with images, annotations and categories; JSON of the VGG Image Annotator (VIA).
    - A folder of LabelMe JSON or Pascal VOC XML files, one for each image, or one such file.
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
        return read_json(path)
    if start.startswith((b"<?xml", b"<annotation")):
        return read_xml(path)
    if kind := dicom_kind(path):
        raise _of_kind(path.name, kind)
    if b"\0" in start or start.startswith((b"\x89PNG", b"\xff\xd8\xff")):
        raise InputError(
            f"regions {path.name}: expected CSV or COCO JSON, got a binary file",
            subject=path.name,
            hint="masks are given as a folder",
        )
    return read_csv(path)


def _open_folder(path: Path, images: Mapping[str, Path]) -> Source:
    pictures = {os.path.realpath(image) for image in images.values()}
    names = [
        name for name in _files_below(path) if not pictures or os.path.realpath(path / name) not in pictures
    ]  # masks may lie beside the pictures
    written = sorted(name for name in names if name.lower().endswith(ANNOTATION_SUFFIXES))
    annotated = read_annotations(path, written)
    stems = annotated.stems  # an annotated picture may lie beside its file: it is no mask
    masks = [
        name for name in names if name.lower().endswith(MASK_SUFFIXES) and without_suffix(name) not in stems
    ]
    texts = [
        name
        for name in names
        if name.lower().endswith(".txt") and name != CLASSES_FILE and not _is_note(name)
    ]
    of_stem = [name for name in written if name.rpartition(".")[0] in stems]
    found = (("masks", masks), ("YOLO text files", texts), ("LabelMe or VOC files", of_stem))
    kinds = [(kind, min(some)) for kind, some in found if some]
    if len(kinds) > 1:
        (first, one), (second, other) = kinds[:2]
        raise InputError(
            f"regions {path.name}: expected either {first} or {second}, got both ({one}, {other})",
            subject=path.name,
            hint="give the folder that holds only one of them",
        )
    if of_stem:
        return annotated.table()
    if texts:
        return read_yolo(path, sorted(texts))
    if masks:
        return MaskFolder(path, masks)
    raise _nothing_in(path, names, written)


def _nothing_in(path: Path, names: list[str], written: list[str]) -> InputError:
    """Return the refusal of a folder without regions, which says what is there instead."""
    if written and written[0].lower().endswith(".xml"):
        return foreign_xml(path / written[0], written[0])
    for name in sorted(names)[:_LOOKED_AT]:
        if kind := dicom_kind(path / name):
            return _of_kind(name, kind)
    return InputError(
        f"regions {path.name}: expected a folder of masks or YOLO text files, got none in it",
        subject=path.name,
        hint=f"give the file itself: {written[0]}" if written else "",
    )


def _of_kind(name: str, kind: str) -> InputError:
    return InputError(
        f"regions {name}: expected DICOM SEG, masks or tables, got {kind}",
        subject=name,
        hint="convert its contours to DICOM SEG or masks, for instance with 3D Slicer or dcmrtstruct2nii"
        if "RT structure" in kind
        else "",
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
