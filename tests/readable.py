"""What every page must have for who does not see it or has no mouse."""

from __future__ import annotations

from collections.abc import Mapping
from html.parser import HTMLParser

_VOID = frozenset({"img", "input", "meta", "br", "line", "rect", "circle", "path"})
_FIELDS = frozenset({"input", "select", "textarea"})


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.wrong: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.levels: list[int] = []
        self.labelled: set[str] = set()
        self.fields: list[tuple[bool, str | None]] = []
        self.open: list[str] = []
        self.mains = 0
        self.language: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.mains += tag == "main"
        if tag == "html":
            self.language = given.get("lang")
        if given.get("id"):
            self.ids.append(str(given["id"]))
        self.wrong += _unnamed(tag, given, inside=self.open)
        if tag == "label" and given.get("for"):
            self.labelled.add(str(given["for"]))
        if tag in _FIELDS and given.get("type") != "hidden":
            self.fields.append((bool(given.get("aria-label")) or "label" in self.open, given.get("id")))
        if tag == "a" and (given.get("href") or "").startswith("#"):
            self.links.append(str(given["href"])[1:])
        if tag in ("h1", "h2", "h3", "h4"):
            self.levels.append(int(tag[1]))
        if tag not in _VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        if tag in self.open:
            while self.open.pop() != tag:
                pass


def _unnamed(tag: str, given: Mapping[str, str | None], *, inside: list[str]) -> list[str]:
    """Return what an element lacks that says what it is."""
    name = given.get("aria-label")
    is_outer = tag == "svg" and "svg" not in inside
    lacks = {
        "picture without alt": tag == "img" and not given.get("alt"),
        f"{tag} with a role and without a name": given.get("role") in ("img", "group") and not name,
        f"{tag} takes the focus without a name": given.get("tabindex") == "0" and not name,
        "drawing that is neither named nor hidden": is_outer and not (name or given.get("aria-hidden")),
        "head of a table without scope": tag == "th" and "scope" not in given,
    }
    return [words for words, is_so in lacks.items() if is_so]


def barriers(page: str) -> list[str]:
    """Return what keeps somebody from reading a page; empty is right."""
    reader = _Reader()
    reader.feed(page)
    wrong = list(reader.wrong)
    if reader.language != "en":
        wrong.append("no language")
    if reader.mains != 1:
        wrong.append("not one main part")
    if reader.levels[:1] != [1] or reader.levels.count(1) != 1:
        wrong.append("not one first heading, at the front")
    wrong += [
        f"heading {low} is followed by {high}"
        for low, high in zip(reader.levels, reader.levels[1:], strict=False)
        if high > low + 1
    ]
    wrong += [f"id twice: {name}" for name in sorted(set(reader.ids)) if reader.ids.count(name) > 1]
    wrong += [f"link to nothing: #{name}" for name in sorted(set(reader.links) - set(reader.ids))]
    wrong += [
        "field without a label" for named, name in reader.fields if not named and name not in reader.labelled
    ]
    return wrong
