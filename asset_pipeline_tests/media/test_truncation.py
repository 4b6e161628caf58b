"""No cut passes for the whole file, wherever it falls."""

from __future__ import annotations

import io
import struct
import tempfile
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.media.bad_media import BadMediaError, BadMediaReason
from asset_pipeline.media.probe import verify
from asset_pipeline_tests.support import media_samples

_DUE_TO_A_CUT = {BadMediaReason.TRUNCATED, BadMediaReason.UNDECODABLE, BadMediaReason.EMPTY}


def _texture() -> Image.Image:
    noise = np.random.default_rng(0).integers(0, 255, (40, 60, 3), np.uint8)
    return Image.fromarray(noise).resize((240, 160))


@cache
def _whole(name: str) -> bytes:
    texture = _texture()
    if name == "animated webp":
        return media_samples.picture_bytes(
            "webp", texture, save_all=True, append_images=[texture.rotate(90), texture.rotate(180)]
        )
    if name == "progressive jpg":
        return media_samples.picture_bytes("jpg", texture, progressive=True)
    if name == "lossless webp":
        return media_samples.picture_bytes("webp", texture, lossless=True)
    if name in media_samples.PICTURES:
        return media_samples.picture_bytes(name, texture)
    return media_samples.sound_bytes(name, media_samples.tone(2.0))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *((name, Kind.IMAGE) for name in media_samples.PICTURES),
        ("animated webp", Kind.IMAGE),
        ("lossless webp", Kind.IMAGE),
        ("progressive jpg", Kind.IMAGE),
        *((name, Kind.AUDIO) for name in media_samples.SOUNDS),
    ],
)
@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data())
def test_every_cut_is_refused(name: str, kind: Kind, data: st.DataObject) -> None:
    """A file of any format, cut at any byte, is refused as cut short or damaged."""
    whole = _whole(name)
    missing = data.draw(st.integers(1, len(whole) - 60) | st.integers(1, 40))
    with tempfile.TemporaryDirectory() as folder:
        path = media_samples.written(Path(folder), whole[: len(whole) - missing])
        with pytest.raises(BadMediaError) as caught:
            verify(path, kind)
    assert caught.value.reason in _DUE_TO_A_CUT


@pytest.mark.parametrize("name", [*media_samples.PICTURES, *media_samples.SOUNDS])
def test_the_whole_file_is_accepted(tmp_path: Path, name: str) -> None:
    """What the cuts are cut from is a good file."""
    kind = Kind.IMAGE if name in media_samples.PICTURES else Kind.AUDIO
    assert verify(media_samples.written(tmp_path, _whole(name)), kind)


def _without_xing(mp3: bytes) -> bytes:
    """Drop the first frame: what encoders write that cannot seek back."""
    second = mp3.find(mp3[:2], 4)
    return mp3[second:]


def test_mp3_without_announced_length(tmp_path: Path) -> None:
    """Without a Xing frame a cut inside a frame is found; one between frames cannot be."""
    stream = _without_xing(_whole("mp3"))
    assert verify(media_samples.written(tmp_path, stream), Kind.AUDIO)
    with pytest.raises(BadMediaError) as caught:
        verify(media_samples.written(tmp_path, stream[:-10]), Kind.AUDIO)
    assert caught.value.reason is BadMediaReason.TRUNCATED


def test_mp3_with_tags_on_both_ends(tmp_path: Path) -> None:
    """ID3 tags before and behind the frames are no damage."""
    front = b"ID3\x04\0\0" + bytes([0, 0, 1, 0]) + bytes(128)
    tagged = front + _whole("mp3") + b"TAG" + bytes(125)
    assert verify(media_samples.written(tmp_path, tagged), Kind.AUDIO).extension == "mp3"
    with pytest.raises(BadMediaError):
        verify(media_samples.written(tmp_path, tagged[:100]), Kind.AUDIO)


def test_streamed_wav(tmp_path: Path) -> None:
    """A WAV whose writer could not know its length is accepted as far as it goes."""
    whole = bytearray(_whole("wav"))
    whole[40:44] = struct.pack("<I", 0xFFFFFFFF)
    info = verify(media_samples.written(tmp_path, bytes(whole)), Kind.AUDIO)
    assert info.duration_seconds == pytest.approx(2.0)


def test_bytes_behind_the_end_are_forgiven(tmp_path: Path) -> None:
    """A PNG or WAV with something appended is still whole."""
    for name, kind in (("png", Kind.IMAGE), ("wav", Kind.AUDIO)):
        assert verify(media_samples.written(tmp_path, _whole(name) + b"LIST" + bytes(9)), kind)


def test_ogg_without_its_last_page(tmp_path: Path) -> None:
    """An Ogg file cut exactly between two pages lacks the end-of-stream flag."""
    whole = _whole("opus")
    last_page = whole.rfind(b"OggS")
    with pytest.raises(BadMediaError) as caught:
        verify(media_samples.written(tmp_path, whole[:last_page]), Kind.AUDIO)
    assert caught.value.reason is BadMediaReason.TRUNCATED


def test_png_without_its_last_chunk(tmp_path: Path) -> None:
    """Pillow alone would draw a PNG that lost IEND without a word."""
    headless = _whole("png")[:-12]
    Image.open(io.BytesIO(headless)).load()
    with pytest.raises(BadMediaError) as caught:
        verify(media_samples.written(tmp_path, headless), Kind.IMAGE)
    assert caught.value.reason is BadMediaReason.TRUNCATED
