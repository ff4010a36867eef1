"""The XMP packet (ISO 16684-1) that a marked picture gets, and what a found one says of this program."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from medlocker.provenance import PROGRAM, SOURCE_TYPE, Provenance

_SPACES: Mapping[str, str] = MappingProxyType(
    {
        "dc": "http://purl.org/dc/elements/1.1/",
        "xmp": "http://ns.adobe.com/xap/1.0/",
        "xmpMM": "http://ns.adobe.com/xap/1.0/mm/",
        "stEvt": "http://ns.adobe.com/xap/1.0/sType/ResourceEvent#",
        "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    }
)
_RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_START = '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
_END = '<?xpacket end="r"?>'
MOST_BYTES = 4096
"""Of a packet of this program."""

_FOUND = re.compile(
    rb"<xmp:CreatorTool>" + PROGRAM.encode("ascii") + rb" ([0-9A-Za-z.+!-]{1,64})</xmp:CreatorTool>"
    rb".*?<rdf:li>urn:medlocker:release:([0-9a-f]{32})</rdf:li>",
    re.DOTALL,
)


def build_packet(provenance: Provenance) -> bytes:
    """Return the packet: UTF-8, the same whenever it is made."""
    spaces = "\n".join(f'  xmlns:{name}="{uri}"' for name, uri in _SPACES.items())
    text = f"""{_START}
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="{provenance.program}">
<rdf:RDF xmlns:rdf="{_RDF}">
 <rdf:Description rdf:about=""
{spaces}>
  <xmp:CreatorTool>{provenance.program}</xmp:CreatorTool>
  <Iptc4xmpExt:DigitalSourceType>{SOURCE_TYPE}</Iptc4xmpExt:DigitalSourceType>
  <dc:description><rdf:Alt><rdf:li xml:lang="x-default">{provenance.description}</rdf:li></rdf:Alt>\
</dc:description>
  <dc:relation><rdf:Bag><rdf:li>{provenance.urn}</rdf:li></rdf:Bag></dc:relation>
  <xmpMM:History><rdf:Seq><rdf:li rdf:parseType="Resource">
   <stEvt:action>edited</stEvt:action>
   <stEvt:softwareAgent>{provenance.program}</stEvt:softwareAgent>
   <stEvt:changed>/</stEvt:changed>
  </rdf:li></rdf:Seq></xmpMM:History>
 </rdf:Description>
</rdf:RDF>
</x:xmpmeta>
{_END}"""
    return text.encode("utf-8")


def read_packet(packet: bytes) -> Provenance | None:
    """Return what a packet says, None if this program did not write it; **anybody can write one**."""
    if len(packet) > MOST_BYTES:
        return None
    found = _FOUND.search(packet)
    if found is None:
        return None
    version, release = (group.decode("ascii") for group in found.groups())
    provenance = Provenance(release, version)
    return provenance if build_packet(provenance) == packet else None
