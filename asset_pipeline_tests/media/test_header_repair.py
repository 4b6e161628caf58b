"""Sound whose writer could not seek back: accepted to its end, and stored with its true lengths."""

from __future__ import annotations

import hashlib
import io
import struct
from pathlib import Path

import pytest
import soundfile

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.media.bad_media import BadMediaError, BadMediaReason
from asset_pipeline.media.header_repair import mend
from asset_pipeline.media.probe import verify
from asset_pipeline_tests.support import media_samples

# What pipes and streaming answers leave: ffmpeg, OpenAI, SoX, eSpeak, and others less their header.
STAND_INS = (
    0,
    0xFFFFFFFF,
    0xFFFFFFFF - 36,
    0xFFFFFFFE,
    0x80000000,
    0x7FFFFFFF,
    0x7FFFFFFF - 36,
    0x7FFFF000,
    2_000_000_000,
    0x7D000000,
    0x10000000,
)
SECONDS = 2.0


def _wav(data: int | None = None, riff: int | None = None) -> bytes:
    whole = bytearray(media_samples.sound_bytes("wav", media_samples.tone(SECONDS)))
    for position, length in ((40, data), (4, riff)):
        if length is not None:
            whole[position : position + 4] = struct.pack("<I", length)
    return bytes(whole)


def _mended(folder: Path, content: bytes) -> bytes:
    """Mend a file; what it was before has to be told."""
    path = media_samples.written(folder, content)
    assert mend(path, Kind.AUDIO) == hashlib.sha256(content).hexdigest()
    return path.read_bytes()


@pytest.mark.parametrize("riff", [None, 0, 36, 0xFFFFFFFF, 0x7FFFFFFF])
@pytest.mark.parametrize("data", STAND_INS)
def test_a_stand_in_means_to_the_end_of_the_file(
    tmp_path: Path, data: int, riff: int | None
) -> None:
    """Whatever the writer left: all of the sound is there, and the header then says how much."""
    mended = _mended(tmp_path, _wav(data, riff))
    assert mended == _wav(), "exactly the header that a writer with a seekable file leaves"
    info = verify(tmp_path / "download", Kind.AUDIO)
    assert info.duration_seconds == pytest.approx(SECONDS)
    assert info.sha256 == hashlib.sha256(_wav()).hexdigest()


def test_a_wrong_riff_length_alone_is_mended(tmp_path: Path) -> None:
    """Some writers know the length of the sound and not that of the file."""
    assert _mended(tmp_path, _wav(None, 0xFFFFFFFF)) == _wav()


def test_what_is_right_is_not_touched(tmp_path: Path) -> None:
    """Every accepted format keeps its bytes; so do pictures, whatever they hold."""
    for name in media_samples.SOUNDS:
        path = media_samples.written(tmp_path, media_samples.sound_bytes(name))
        before = path.read_bytes()
        assert mend(path, Kind.AUDIO) is None
        assert path.read_bytes() == before
    assert mend(media_samples.written(tmp_path, _wav(0)), Kind.IMAGE) is None
    assert mend(media_samples.written(tmp_path, b""), Kind.AUDIO) is None


@pytest.mark.parametrize("missing", [2, 100, 50_000])
def test_a_cut_file_is_still_refused(tmp_path: Path, missing: int) -> None:
    """A length that can be true and is more than there is means a cut, not a stand-in."""
    path = media_samples.written(tmp_path, _wav()[:-missing])
    assert mend(path, Kind.AUDIO) is None
    with pytest.raises(BadMediaError) as caught:
        verify(path, Kind.AUDIO)
    assert caught.value.reason is BadMediaReason.TRUNCATED


@pytest.mark.parametrize("tail", [b"", b"LIST" + struct.pack("<I", 4) + b"INFO"])
def test_a_wav_without_sound_stays_empty(tmp_path: Path, tail: bytes) -> None:
    """A length of 0 is true where nothing, or only tags, come after it."""
    path = media_samples.written(tmp_path, _wav(0)[:44] + tail)
    mend(path, Kind.AUDIO)
    with pytest.raises(BadMediaError) as caught:
        verify(path, Kind.AUDIO)
    assert caught.value.reason is BadMediaReason.EMPTY


def test_tags_before_the_sound_are_walked_over(tmp_path: Path) -> None:
    """The name that ffmpeg writes stands before the sound, also in a pipe."""
    whole = _wav(0xFFFFFFFF, 0xFFFFFFFF)
    tags = b"LIST" + struct.pack("<I", 5) + b"INFO!\0"
    mended = _mended(tmp_path, whole[:36] + tags + whole[36:])
    assert soundfile.info(io.BytesIO(mended)).duration == pytest.approx(SECONDS)
    assert struct.unpack("<I", mended[4:8])[0] == len(mended) - 8


def test_half_a_sample_at_the_end_is_left_behind_the_sound(tmp_path: Path) -> None:
    """The length stays a whole number of samples."""
    mended = _mended(tmp_path, _wav(0xFFFFFFFF) + b"\x01")
    assert struct.unpack("<I", mended[40:44])[0] == len(_wav()) - 44


@pytest.mark.parametrize("length", [0, (1 << 36) - 1])
def test_a_flac_from_a_pipe_gets_its_length(tmp_path: Path, length: int) -> None:
    """Its 36 bits are counted by decoding; libsndfile takes 0 for 9e18 samples."""
    whole = media_samples.sound_bytes("flac", media_samples.tone(SECONDS))
    streamed = bytearray(whole)
    fields = int.from_bytes(streamed[18:26]) & ~((1 << 36) - 1) | length
    streamed[18:26] = fields.to_bytes(8)
    assert _mended(tmp_path, bytes(streamed)) == whole
    path = media_samples.written(tmp_path, bytes(streamed[: len(streamed) * 2 // 3]))
    assert mend(path, Kind.AUDIO) is None
    with pytest.raises(BadMediaError) as caught:
        verify(path, Kind.AUDIO)
    assert caught.value.reason is BadMediaReason.UNDECODABLE


@pytest.mark.parametrize("count", [0, 0xFFFFFFFF])
def test_an_mp3_that_announces_nothing_gets_its_counts(tmp_path: Path, count: int) -> None:
    """With 0 frames announced a decoder plays a fraction of the sound."""
    streamed = bytearray(media_samples.sound_bytes("mp3", media_samples.tone(SECONDS)))
    tag = streamed.find(b"Xing")
    streamed[tag + 8 : tag + 16] = struct.pack(">II", count, count)
    _mended(tmp_path, bytes(streamed))
    info = verify(tmp_path / "download", Kind.AUDIO)
    assert info.duration_seconds == pytest.approx(SECONDS, abs=0.1)
    path = media_samples.written(tmp_path, bytes(streamed[:-20]))
    assert mend(path, Kind.AUDIO) is None
    with pytest.raises(BadMediaError):
        verify(path, Kind.AUDIO)
