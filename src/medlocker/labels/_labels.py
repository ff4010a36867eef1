"""The labels of one file, and finding that of an image."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import takewhile

from medlocker.errors import InputError
from medlocker.regions.names import normal_name, split_name, without_suffix


@dataclass(frozen=True, eq=False)
class Labels:
    """The labels of one file.

    Args:
        file: Name of the file, for messages.
        column: The column that was read, empty if each class has one.
        rows: From name as written (forward slashes) to label, in the file's order.
        digest: SHA-256 of the column's name and all rows.
        notes: What was assumed in reading, one sentence each.
        lines: From label to the line that has it first; may be empty.
        columns: Of a one-hot table, the classes in the order of its columns; else empty.
    """

    file: str
    column: str
    rows: Mapping[str, str]
    digest: str
    notes: tuple[str, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict)
    columns: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def distinct(self) -> tuple[str, ...]:
        """All different labels: numbers by value, else alphabetical."""
        return order_classes(set(self.rows.values()))

    def for_name(self, relative_name: str) -> str | None:
        """Return the label of an image, or None if it has none.

        The name is looked up as a whole relative path, then as a file name, then without the image's ending,
        then in capitals or not. Of several rows with that file name those count whose folders agree furthest,
        read from the end: a table may be written from another folder than the images are given from.

        Args:
            relative_name: Path inside the data set, forward slashes.

        Raises:
            InputError: If several rows fit equally well and disagree.
        """
        found = self._rows_for(relative_name)
        labels = {self.rows[name] for name in found}
        if len(labels) > 1:
            raise InputError(
                f"labels {self.file}: several rows may mean {relative_name} and they disagree: "
                f"{found[0]} and {found[1]}",
                hint="write the relative path of each image in the first column",
            )
        return labels.pop() if labels else None

    def _rows_for(self, relative_name: str) -> list[str]:
        name = normal_name(relative_name)
        if name in self.rows:
            return [name]
        own = split_name(name)[1]
        stem = without_suffix(own)
        for key in (("file", own), ("stem", stem), ("folded", stem.casefold())):
            if found := self._by[key[0]].get(key[1]):
                return found if len(found) < 2 else self._that_agree(found, name, key)
        return []

    def _that_agree(self, rows: list[str], name: str, key: tuple[str, str]) -> list[str]:
        """Return those rows whose folders agree with an image's furthest, read from the end, in their order.

        Args:
            rows: One of the lists below, which is sorted once.
            key: Of the list.
        """
        ordered = self._ordered.get(key)
        if ordered is None:
            ordered = sorted((_folders(row), at) for at, row in enumerate(rows))
            self._ordered[key] = ordered
        own = _folders(name)
        place = bisect_left(ordered, (own,))
        beside = ordered[max(place - 1, 0) : place + 1]  # none agrees further than what sorts next to it
        shared = own[: max(_count_alike(own, folders) for folders, _ in beside)]
        first = bisect_left(ordered, (shared,))
        following = (ordered[place] for place in range(first, len(ordered)))
        alike = takewhile(lambda one: one[0][: len(shared)] == shared, following)
        return [rows[at] for at in sorted(at for _, at in alike)]

    @cached_property
    def _ordered(self) -> dict[tuple[str, str], list[tuple[tuple[str, ...], int]]]:
        return {}

    @cached_property
    def _by(self) -> Mapping[str, Mapping[str, list[str]]]:
        """Rows by file name, by stem, and by stem in capitals or not."""
        files = [(split_name(name)[1], name) for name in self.rows]
        return {
            "file": _grouped(files),
            "stem": _grouped((without_suffix(file), name) for file, name in files),
            "folded": _grouped((without_suffix(file).casefold(), name) for file, name in files),
        }

    def missing(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the images that have no label, in their order."""
        return tuple(name for name in names if self.for_name(name) is None)

    def unknown(self, names: Iterable[str]) -> tuple[str, ...]:
        """Return the rows that none of these images matches, in the file's order."""
        used = {row for name in names for row in self._rows_for(name)}
        return tuple(row for row in self.rows if row not in used)


def _grouped(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for key, name in pairs:
        found.setdefault(key, []).append(name)
    return found


def _folders(path: str) -> tuple[str, ...]:
    """Return a path's folders, counted from the file upwards."""
    return tuple(split_name(path)[0].split("/")[::-1])


def _count_alike(one: Sequence[str], other: Sequence[str]) -> int:
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
    return sum(1 for _ in alike)


def order_classes(labels: Collection[str]) -> tuple[str, ...]:
    """Return labels in the order of a model's outputs: numbers by value, else alphabetical."""
    if all(whole_number(label) is not None for label in labels):
        return tuple(sorted(labels, key=lambda label: (whole_number(label) or 0, label)))
    return tuple(sorted(labels))


def whole_number(text: str) -> int | None:
    """Return the whole number that a label writes, also as ``2.0`` (a table with gaps), else None."""
    whole, _, fraction = text.partition(".")
    if len(whole) > 9 or not whole.isascii() or not whole.isdigit() or fraction.strip("0"):
        return None
    return int(whole)
