"""A file of an annotation tool for each image: LabelMe JSON, Pascal VOC XML."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from medlocker.errors import InputError
from medlocker.files import read_limited
from medlocker.regions._labelme import is_labelme, labelme_notes
from medlocker.regions._shapes import ImageNotes
from medlocker.regions._table import Table, TableBuilder
from medlocker.regions._voc import is_voc, voc_notes
from medlocker.regions._xml import MAX_XML_BYTES, parse_xml
from medlocker.regions.names import normal_name, split_name, without_suffix

ANNOTATION_SUFFIXES = (".json", ".xml")
MAX_LABELME_BYTES = 1 << 28
"""The picture may be inside."""


class AnnotationFiles:
    """Reads files one by one, and remembers of which images they are.

    Args:
        root: Folder of the files.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._builder = TableBuilder()
        self._sizes: dict[str, tuple[int, int]] = {}
        self.stems: set[str] = set()
        """Relative paths of the files that are annotations, without their endings."""

    def add(self, name: str) -> bool:
        """Read one file; False if it is another kind of JSON or XML.

        It belongs to the image of the same relative path, endings left out, and to the one that it names
        itself: files are renamed, and a box too many is safe.

        Raises:
            InputError: Naming file and shape, if it cannot be read.
        """
        try:
            notes = _notes(self._root / name, name)
        except ValueError as error:
            raise InputError(f"regions {name}, {error}", subject=name) from error
        if notes is None:
            return False
        stem = name.rpartition(".")[0]
        self.stems.add(stem)
        folder = split_name(name)[0]
        said = split_name(normal_name(notes.image))[1]
        images = {stem, (f"{folder}/{said}" if folder else said)} if said else {stem}
        if said and without_suffix(said) == split_name(stem)[1]:
            images = {stem}
        for image in sorted(images):
            self._builder.add_image(image)
            if notes.size is not None:
                self._sizes[image] = notes.size
            for number, (kind, box) in enumerate(notes.rows, 1):
                try:
                    self._builder.add(image, kind, box, line=number)
                except ValueError as error:
                    raise InputError(f"{_place(stem, number)}: {error}", subject=name) from error
        return True

    def table(self) -> Table:
        """Return all regions."""
        return self._builder.build(_place, sizes=self._sizes)


def read_annotations(root: Path, names: Sequence[str]) -> AnnotationFiles:
    """Read those of some files that are LabelMe JSON or Pascal VOC XML."""
    files = AnnotationFiles(root)
    for name in names:
        files.add(name)
    return files


def read_xml(path: Path) -> Table:
    """Read one Pascal VOC file.

    Raises:
        InputError: If it is another kind of XML; CVAT's is called by its name.
    """
    files = AnnotationFiles(path.parent)
    if not files.add(path.name):
        raise foreign_xml(path, path.name)
    return files.table()


def foreign_xml(path: Path, name: str) -> InputError:
    """Return the refusal of XML that is not Pascal VOC's."""
    root = parse_xml(_data(path, most=MAX_XML_BYTES))
    is_cvat = root is not None and root.tag == "annotations" and root.find("image") is not None
    if is_cvat:
        return InputError(
            f"regions {name}: expected Pascal VOC XML, got CVAT XML",
            subject=name,
            hint="export the task from CVAT as COCO 1.0, Pascal VOC 1.1 or masks",
        )
    got = "damaged XML, or one with a document type" if root is None else f"XML of {root.tag!r:.40}"
    return InputError(f"regions {name}: expected Pascal VOC XML, got {got}", subject=name)


def _place(image: str, line: int) -> str:
    return f"regions {image}, shape {line}"


def _notes(path: Path, name: str) -> ImageNotes | None:
    """Return what a file says, None if it is of another kind; one that is damaged might hold lesions."""
    is_xml = name.lower().endswith(".xml")
    data = _data(path, most=MAX_XML_BYTES if is_xml else MAX_LABELME_BYTES)
    if is_xml:
        root = parse_xml(data)
        if root is None and b"<annotation" in data:
            raise foreign_xml(path, name)
        return voc_notes(root) if root is not None and is_voc(root) else None
    if b'"shapes"' not in data:
        return None
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise InputError(f"regions {name}: expected JSON", subject=name) from error
    return labelme_notes(content) if is_labelme(content) else None


def _data(path: Path, *, most: int) -> bytes:
    """Return a file's content, nothing of one that is too large for what is looked for."""
    with suppress(OSError):
        if path.stat().st_size > most:
            return b""
    return read_limited(path, max_bytes=most, what="regions")
