"""Small files that ask a decoder for much: made on the spot, each a real file of its format."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from asset_pipeline_tests.support import media_samples


def scanned(scans: int, side: int = 512) -> bytes:
    """A progressive JPEG whose last scan is repeated until there are so many."""
    encoded = io.BytesIO()
    media_samples.picture(side, side).save(encoded, "JPEG", progressive=True)
    content = encoded.getvalue()
    start, end = content.rindex(b"\xff\xda"), content.rindex(b"\xff\xd9")
    return content[:start] + content[start:end] * scans + b"\xff\xd9"


def wide_sound(channels: int = 1024, rate: int = 2**31 - 1) -> bytes:
    """A WAV file whose header names more than anybody hears."""
    data = bytes(channels * 2 * 64)
    block = channels * 2
    layout = struct.pack("<HHIIHH", 1, channels, rate, (rate * block) % 2**32, block % 2**16, 16)
    body = b"WAVEfmt " + struct.pack("<I", 16) + layout + b"data" + struct.pack("<I", len(data))
    return b"RIFF" + struct.pack("<I", len(body) + len(data)) + body + data


def odd_metadata() -> bytes:
    """A JPEG that lies on its side; its EXIF block has a value too that can't be written again."""
    entries = struct.pack("<HHII", 0x112, 3, 1, 6) + struct.pack("<HHIi", 0x100, 9, 1, -1)
    exif = b"Exif\0\0II*\0\x08\0\0\0" + struct.pack("<H", 2) + entries + bytes(4)
    plain = media_samples.picture_bytes("jpg")
    return plain[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + plain[2:]


def huge_picture(side: int = 20_000) -> bytes:
    """A PNG of 400 million black pixels in some 48 kB."""
    row = bytes(1 + side // 8)
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(row) for _ in range(side)) + packer.flush()
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", body), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in chunks
    )


def many_frames(frames: int) -> bytes:
    """A WebP animation of tiny frames."""
    encoded = io.BytesIO()
    pictures = [Image.new("RGB", (16, 16), (n % 256, n // 256 % 256, 90)) for n in range(frames)]
    pictures[0].save(encoded, "WEBP", save_all=True, append_images=pictures[1:], duration=20)
    return encoded.getvalue()


def damaged_mp3() -> bytes:
    """An MP3 file that libmpg123 has much to say about."""
    content = bytearray(media_samples.sound_bytes("mp3", media_samples.tone(20.0)))
    rng = np.random.default_rng(7)
    for place in rng.integers(2000, len(content), len(content) // 50):
        content[place] ^= 0x55
    return bytes(content)


def written(folder: Path, content: bytes, name: str = "bomb") -> Path:
    """Write a bomb."""
    return media_samples.written(folder, content, name)
