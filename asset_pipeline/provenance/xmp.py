"""XMP packets: the properties of IPTC that say how a file came about, written and read.

A packet that is there already, a provider's for instance, is added to and never rewritten.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from html import unescape
from xml.sax.saxutils import escape, quoteattr

from asset_pipeline.disclosure.terminal import without_commands

SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
TRAINED: str = SOURCE_TYPES + "trainedAlgorithmicMedia"
"""What IPTC calls media that a trained model made; C2PA uses the same word."""

_NAMESPACES = {
    "Iptc4xmpExt": "http://iptc.org/std/Iptc4xmpExt/2008-02-29/",
    "photoshop": "http://ns.adobe.com/photoshop/1.0/",
    "dc": "http://purl.org/dc/elements/1.1/",
}
_SOURCE_TYPE = re.compile(
    r"DigitalSourceType\s*(?:=\s*[\"']|>\s*|\s+rdf:resource\s*=\s*[\"'])\s*([^\"'<>\s]+)"
)
_CREDIT = re.compile(r"photoshop:Credit(?:=\"([^\"]*)\"|>([^<]*)<)")
_SYSTEM = re.compile(r"AISystemUsed(?:=\"([^\"]*)\"|>([^<]*)<)")
_IDENTIFIER = re.compile(r"dc:identifier(?:=\"([^\"]*)\"|>([^<]*)<)")
_DESCRIPTION = re.compile(r"<dc:description>.*?<rdf:li[^>]*>([^<]*)<", re.DOTALL)
_END = "</rdf:RDF>"


@dataclass(frozen=True, slots=True)
class Properties:
    """What a packet says; empty where it says nothing."""

    digital_source_type: str = ""
    credit: str = ""
    description: str = ""
    system: str = ""
    identifier: str = ""


def packet(said: Properties) -> str:
    """Return a new packet."""
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f"{_described(said)}{_END}</x:xmpmeta>"
    )


def added_to(there: str, said: Properties) -> str:
    """Return a packet with what it lacks; one that names its source type is left as it is.

    One that isn't understood is replaced: it would keep readers from seeing anything.
    """
    if not there:
        return packet(said)
    if read(there).digital_source_type:
        return ""
    head, end, tail = there.rpartition(_END)
    return f"{head}{_described(said)}{end}{tail}" if end else packet(said)


def read(text: str) -> Properties:
    """Return what a packet says; whatever else it holds is passed over."""
    source_type = _SOURCE_TYPE.search(text)
    return Properties(
        digital_source_type=_plain(source_type[1]) if source_type else "",
        credit=_first(_CREDIT, text),
        description=_first(_DESCRIPTION, text),
        system=_first(_SYSTEM, text),
        identifier=_first(_IDENTIFIER, text),
    )


def _described(said: Properties) -> str:
    names = "".join(f' xmlns:{short}="{uri}"' for short, uri in _NAMESPACES.items())
    facts = {
        "Iptc4xmpExt:DigitalSourceType": said.digital_source_type,
        "Iptc4xmpExt:AISystemUsed": said.system,
        "photoshop:Credit": said.credit,
        "dc:identifier": said.identifier,
    }
    attributes = "".join(f" {name}={_attribute(text)}" for name, text in facts.items() if text)
    description = ""
    if said.description:
        text = escape(_writable(said.description))
        description = (
            f'<dc:description><rdf:Alt><rdf:li xml:lang="x-default">{text}'
            "</rdf:li></rdf:Alt></dc:description>"
        )
    return f'<rdf:Description rdf:about=""{names}{attributes}>{description}</rdf:Description>'


def _attribute(text: str) -> str:
    return quoteattr(_writable(text), {'"': "&quot;"})


def _writable(text: str) -> str:
    """Return text that XML can hold: without control codes and halves of pairs."""
    return without_commands(text).replace("\ufffe", "\ufffd").replace("\uffff", "\ufffd")


def _first(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.search(text)
    return "" if found is None else _plain(next((each for each in found.groups() if each), ""))


def _plain(text: str) -> str:
    return unescape(text).strip()
