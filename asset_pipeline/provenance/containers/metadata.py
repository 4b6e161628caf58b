"""What is written into a file, and what is found in one, whatever its format."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from asset_pipeline.errors import AssetPipelineError


class ContainerError(AssetPipelineError):
    """A file is not built as its format says, so nothing can be written into it."""


@dataclass(frozen=True, slots=True)
class NewMetadata:
    """What a file is to carry besides its own content.

    Attributes:
        xmp: An XMP packet; empty for none.
        parameters: How it was generated, as text that tools for generated pictures read.
        fields: Names and values for tags of sound, in the order in which they are written.
    """

    xmp: str = ""
    parameters: str = ""
    fields: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(slots=True)
class FoundMetadata:
    """What a file carries.

    Attributes:
        xmp: Its XMP packet; empty for none.
        fields: Text by name: of PNG, tags of sound, ``UserComment`` of EXIF.
        has_exif: Whether there is EXIF, read or not.
        has_c2pa: Whether there is a C2PA manifest, valid or not.
        kinds: Which kinds of marks there are: ``xmp``, ``exif``, ``png-text``, ``riff``, ``id3``,
            ``vorbis``, ``c2pa``.
    """

    xmp: str = ""
    fields: dict[str, str] = field(default_factory=dict[str, str])
    has_exif: bool = False
    has_c2pa: bool = False
    kinds: set[str] = field(default_factory=set[str])

    def note_c2pa(self) -> None:
        """Note that there is a C2PA manifest."""
        self.has_c2pa = True
        self.kinds.add("c2pa")

    def note_xmp(self, packet: bytes) -> None:
        """Note an XMP packet."""
        self.xmp = self.xmp or packet.decode("utf-8", "replace").strip("\0 \r\n\t")
        self.kinds.add("xmp")
