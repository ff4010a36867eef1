"""XML from strangers: no document type, so no entities; limits of size and depth."""

from __future__ import annotations

from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

MAX_XML_BYTES = 1 << 24
_MAX_DEPTH = 64


class _Refused(Exception):
    """Something that annotations have no need of."""


def parse_xml(data: bytes) -> Element | None:
    """Return the root of a document, None if it is damaged or declares a document type.

    Args:
        data: At most :data:`MAX_XML_BYTES`.
    """
    builder = TreeBuilder()
    parser = expat.ParserCreate()
    depth = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _MAX_DEPTH:
            raise _Refused
        builder.start(tag, attributes)

    def end(tag: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(tag)

    def refuse(*_: object) -> None:
        raise _Refused

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler = builder.data
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(data, True)
        return builder.close()
    except (_Refused, expat.ExpatError, ValueError, LookupError, AssertionError):
        return None
