"""What clips look and sound like, in words that a ledger keeps, and how near two of them are."""

from __future__ import annotations

from pathlib import Path

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.ledger.provenance import Fingerprint
from asset_pipeline.media.likeness import BITS, dhash, distance

# Raise a number when the method would give other words for the same clip.
METHODS = {Kind.IMAGE: "dhash-1", Kind.AUDIO: "soundprint-1"}

# Copies of half the size in WebP of quality 50 differ by at most 5 of 128 bits, other pictures by
# more than 20; copies of sound by another codec by under a quarter of bits, other sounds by 0.4.
NEAR_PICTURES = 12 / BITS
NEAR_SOUNDS = 0.3


def of_picture(clip_sha256: str, encoded: bytes) -> Fingerprint:
    """Return a picture's fingerprint.

    Args:
        clip_sha256: The clip's.
        encoded: The picture in any format that Pillow reads; its preview will do.
    """
    value = f"{dhash(encoded):0{BITS // 4}x}"
    return Fingerprint(clip_sha256, Kind.IMAGE, METHODS[Kind.IMAGE], value)


def of_sound(clip_sha256: str, path: Path) -> Fingerprint:
    """Return a sound's fingerprint.

    Raises:
        BadMediaError: It can't be decoded.
    """
    # SciPy takes 0.3 s to import, and pictures have no use for it.
    from asset_pipeline.media.soundprint import short_print, soundprint  # noqa: PLC0415

    value = short_print(soundprint(path)).astype("<u4").tobytes().hex()
    return Fingerprint(clip_sha256, Kind.AUDIO, METHODS[Kind.AUDIO], value)


class Likeness:
    """How near a file is to clips on record, from 0 (the same) to 1.

    Args:
        path: The file.
        kind: What it is.

    Raises:
        BadMediaError: It is a sound that can't be decoded.
        OSError: It is a picture that can't be.
    """

    def __init__(self, path: Path, kind: Kind) -> None:
        self._kind = kind
        if kind is Kind.IMAGE:
            self._bits = dhash(path.read_bytes())
        else:
            from asset_pipeline.media.soundprint import soundprint  # noqa: PLC0415 -- as above

            self._print = soundprint(path)

    @property
    def nearest_that_counts(self) -> float:
        """Up to which distance two files show or sound the same."""
        return NEAR_PICTURES if self._kind is Kind.IMAGE else NEAR_SOUNDS

    def distance(self, other: Fingerprint) -> float:
        """Return how far it is from a clip."""
        if self._kind is Kind.IMAGE:
            return distance(self._bits, int(other.value, 16)) / BITS
        import numpy as np  # noqa: PLC0415 -- for sound alone

        from asset_pipeline.media.soundprint import difference  # noqa: PLC0415 -- as above

        kept = np.frombuffer(bytes.fromhex(other.value), dtype="<u4").astype(np.uint32)
        return difference(self._print, kept)
