"""Readable names: a template and a clip become a path that is safe everywhere.

Whatever a collection is called and whatever a template says, the path is one that
:func:`asset_pipeline.stores.protocol.check_key` takes: relative, never climbing, never hidden.
"""

from __future__ import annotations

import re
import string
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.records import Clip
from asset_pipeline.stores.protocol import StoreError, check_key

DEFAULT_TEMPLATE = "{collection}/{prompt_id}-{variant}.{ext}"

MANIFEST_JSON = "manifest.json"
MANIFEST_CSV = "manifest.csv"
CHECKSUMS = "SHA256SUMS"
_RESERVED = {name.casefold() for name in (MANIFEST_JSON, MANIFEST_CSV, CHECKSUMS)}

_FIELDS = (
    "collection",
    "prompt_id",
    "variant",
    "kind",
    "model",
    "day",
    "clip_id",
    "sha256",
    "ext",
)
_ODD = re.compile(r"[^A-Za-z0-9._=-]+", re.ASCII)
_WIDTH = re.compile(r"0?[1-9]d?", re.ASCII)
_SEGMENT_LENGTH = 100

# Windows keeps these names for devices, whatever follows the first dot.
_DEVICES = {
    "con",
    "prn",
    "aux",
    "nul",
    *(f"{port}{n}" for port in ("com", "lpt") for n in range(10)),
}

_HINT = f"Build it from {', '.join(f'{{{name}}}' for name in _FIELDS)}, letters, digits and ._=-/"


class NamingError(AssetPipelineError):
    """A template gives unsafe names, or the same name twice."""


@dataclass(frozen=True, slots=True)
class NamedClip:
    """A clip and the path it is published under, relative to the target."""

    clip: Clip
    path: str


@dataclass(frozen=True, slots=True)
class Template:
    """A checked template; :meth:`parse` makes it."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Template:
        """Check a template.

        Fields are plain names; ``{variant:03}`` pads a number with zeros. Nothing of a value can
        be reached beyond itself: no attribute, index or conversion.

        Raises:
            NamingError: It has an unknown field, or literal text that is no part of a safe path.
        """
        try:
            parts = list(string.Formatter().parse(text))
        except ValueError as error:
            raise NamingError(f"The template {text!r} is wrong: {error}.", hint=_HINT) from None
        for _, field, spec, conversion in parts:
            if field is None:
                continue
            if field not in _FIELDS or conversion:
                raise NamingError(f"The template has no field {{{field}}}.", hint=_HINT)
            if spec and not (field == "variant" and _WIDTH.fullmatch(spec)):
                raise NamingError(
                    f"{{{field}:{spec}}} is no width.", hint="Only {variant:03} takes one."
                )
        if not any(field for _, field, _, _ in parts):
            raise NamingError(f"{text!r} gives every clip the same name.", hint=_HINT)
        template = cls(text)
        template.fill(dict.fromkeys(_FIELDS, "x") | {"variant": 1})
        return template

    def fill(self, values: Mapping[str, str | int]) -> str:
        """Return the path that a clip's values make.

        Raises:
            NamingError: The template's own text makes it one that can't be written to.
        """
        safe = {
            name: value if isinstance(value, int) else safe_segment(value)
            for name, value in values.items()
        }
        path = self.text.format_map(safe)
        path = "/".join(_no_device(part) for part in path.split("/"))
        try:
            check_key(path)
        except StoreError:
            raise NamingError(
                f"The template {self.text!r} makes the path {path!r:.120}, which is not safe.",
                hint=_HINT,
            ) from None
        if path.casefold() in _RESERVED:
            raise NamingError(f"{path} is the name of an export's own file.", hint=_HINT)
        return path


def named(clips: Iterable[Clip], template: Template) -> list[NamedClip]:
    """Return clips under their names.

    Raises:
        NamingError: Two get the same one, or one is a folder of another's. Names that differ in
            capitals alone are the same to some file systems.
    """
    found: dict[str, NamedClip] = {}
    for clip in clips:
        each = NamedClip(clip, template.fill(_values(clip)))
        other = found.setdefault(each.path.casefold(), each)
        if other is not each:
            raise _clash(other, each)
    for each in found.values():
        parts = each.path.casefold().split("/")
        for length in range(1, len(parts)):
            other = found.get("/".join(parts[:length]))
            if other is not None:
                raise _clash(other, each)
    return list(found.values())


def safe_segment(text: str) -> str:
    """Return text as a part of a path: plain letters, digits and ``._=-``; never empty or hidden.

    Accents are taken off; what has no plain letter becomes a dash.
    """
    plain = unicodedata.normalize("NFKD", text)
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    return _ODD.sub("-", plain)[:_SEGMENT_LENGTH].strip(".-") or "_"


def _no_device(segment: str) -> str:
    return f"_{segment}" if segment.casefold().split(".")[0] in _DEVICES else segment


def _values(clip: Clip) -> dict[str, str | int]:
    return {
        "collection": clip.collection,
        "prompt_id": clip.prompt_id,
        "variant": clip.variant,
        "kind": clip.kind.value,
        "model": clip.model.rpartition("/")[2],
        "day": clip.created_at.date().isoformat(),
        "clip_id": clip.clip_id,
        "sha256": clip.sha256,
        "ext": clip.object_key.rpartition(".")[2],
    }


def _clash(one: NamedClip, other: NamedClip) -> NamingError:
    return NamingError(
        f"{_who(one.clip)} and {_who(other.clip)} can't both be written: "
        f"{one.path} and {other.path}.",
        hint="Add {kind}, {collection}, {prompt_id} or {variant} to the template.",
    )


def _who(clip: Clip) -> str:
    return f"{clip.kind}/{clip.prompt_id}, variant {clip.variant}"
