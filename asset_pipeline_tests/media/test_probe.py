from __future__ import annotations

import hashlib
import io
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image, ImageDraw

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.media import pictures, sounds
from asset_pipeline.media.bad_media import BadMediaError, BadMediaReason
from asset_pipeline.media.probe import examine, verify
from asset_pipeline_tests.support import media_samples

AUDIO_MIMES = {
    "wav": "audio/wav",
    "mp3": "audio/mpeg",
    "flac": "audio/flac",
    "ogg": "audio/ogg",
    "opus": "audio/ogg",
}


def refusal(path: Path, kind: Kind) -> BadMediaError:
    """The error with which ``path`` is refused."""
    with pytest.raises(BadMediaError) as caught:
        verify(path, kind)
    return caught.value


@pytest.mark.parametrize("extension", media_samples.PICTURES)
def test_good_picture(tmp_path: Path, extension: str) -> None:
    """A picture in every format is accepted with its true type, size and hash."""
    content = media_samples.picture_bytes(extension)
    info = verify(media_samples.written(tmp_path, content), Kind.IMAGE)
    assert (info.kind, info.extension) == (Kind.IMAGE, extension)
    assert info.mime == f"image/{'jpeg' if extension == 'jpg' else extension}"
    assert (info.width, info.height, info.duration_seconds) == (96, 64, None)
    assert (info.bytes, info.sha256) == (len(content), hashlib.sha256(content).hexdigest())


@pytest.mark.parametrize("extension", media_samples.SOUNDS)
def test_good_sound(tmp_path: Path, extension: str) -> None:
    """A sound in every format is accepted with its true type and its duration."""
    content = media_samples.sound_bytes(extension)
    info = verify(media_samples.written(tmp_path, content), Kind.AUDIO)
    assert (info.kind, info.extension, info.mime) == (
        Kind.AUDIO,
        extension,
        AUDIO_MIMES[extension],
    )
    assert info.duration_seconds == pytest.approx(0.5, abs=0.01)
    assert (info.width, info.height, info.bytes) == (None, None, len(content))


@pytest.mark.parametrize("mode", ["L", "LA", "P", "RGBA", "I;16", "1"])
def test_every_png_mode(tmp_path: Path, mode: str) -> None:
    """Grey, palette, transparent, 16-bit and bilevel PNGs are pictures like any other."""
    if mode == "I;16":
        levels = np.linspace(300, 65_535, 64 * 64).reshape(64, 64).astype(np.uint16)
        image = Image.fromarray(levels)
    else:
        image = media_samples.picture().convert(mode)
    path = media_samples.written(tmp_path, media_samples.picture_bytes("png", image))
    assert verify(path, Kind.IMAGE).extension == "png"


def test_orientation_is_honoured(tmp_path: Path) -> None:
    """Width and height are what a viewer shows, not what the sensor saw."""
    exif = Image.Exif()
    exif[0x0112] = 6
    content = media_samples.picture_bytes("jpg", exif=exif)
    info = verify(media_samples.written(tmp_path, content), Kind.IMAGE)
    assert (info.width, info.height) == (64, 96)


@pytest.mark.parametrize("extension", ["png", "webp"])
def test_animation_is_decoded_to_its_end(tmp_path: Path, extension: str) -> None:
    """An animated picture is accepted when one frame at least shows something."""
    frames = [Image.new("RGB", (96, 64)), media_samples.picture()]
    content = media_samples.picture_bytes(
        extension, frames[0], save_all=True, append_images=frames[1:], duration=100
    )
    assert verify(media_samples.written(tmp_path, content), Kind.IMAGE).width == 96


@pytest.mark.parametrize("kind", Kind)
def test_empty_file(tmp_path: Path, kind: Kind) -> None:
    """A file of no bytes is refused as empty."""
    assert refusal(media_samples.written(tmp_path, b""), kind).reason is BadMediaReason.EMPTY


@pytest.mark.parametrize(
    ("content", "kind", "named"),
    [
        (b"<!DOCTYPE html><html>Bad gateway</html>", Kind.IMAGE, "an HTML page"),
        (b"\xef\xbb\xbf\n <HTML>", Kind.AUDIO, "an HTML page"),
        (b'{"detail": "not found"}', Kind.IMAGE, "a JSON document"),
        (b"<?xml version='1.0'?><Error/>", Kind.AUDIO, "an XML document"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", Kind.IMAGE, "an SVG drawing"),
        ("Gateway time-out: später".encode(), Kind.AUDIO, "a text file"),
        ("Gateway".encode("utf-16"), Kind.AUDIO, "an unknown kind of file"),
        (b"GIF89a" + bytes(20), Kind.IMAGE, "a GIF"),
        (b"\0\0\0\x18ftypmp42", Kind.AUDIO, "an MP4, AVIF or HEIC file"),
        (b"PK\x03\x04", Kind.IMAGE, "a ZIP archive"),
        (b"RIFF\0\0\0\0AVI LIST", Kind.AUDIO, "a RIFF file"),
        (b"\0\1\2\3\4\5", Kind.AUDIO, "an unknown kind of file"),
        (media_samples.picture_bytes("webp"), Kind.AUDIO, "a WebP picture"),
        (media_samples.sound_bytes("mp3"), Kind.IMAGE, "an MP3 sound"),
    ],
)
def test_wrong_type(tmp_path: Path, content: bytes, kind: Kind, named: str) -> None:
    """Whatever else was delivered is refused by its content, and named in the sentence."""
    error = refusal(media_samples.written(tmp_path, content, "cover.png"), kind)
    assert error.reason is BadMediaReason.WRONG_TYPE
    assert f"cover.png is {named}" in error.message
    assert error.hint


@pytest.mark.parametrize("extension", media_samples.PICTURES)
@pytest.mark.parametrize("colour", ["black", "white", "#c81e5a"])
def test_single_colour(tmp_path: Path, extension: str, colour: str) -> None:
    """A picture of one colour is blank in every format, encoding noise included."""
    content = media_samples.picture_bytes(extension, Image.new("RGB", (256, 256), colour))
    assert (
        refusal(media_samples.written(tmp_path, content), Kind.IMAGE).reason is BadMediaReason.BLANK
    )


def _grey_noise() -> Image.Image:
    noise = np.random.default_rng(0).normal(128, 1, (256, 256, 3))
    return Image.fromarray(noise.round().astype(np.uint8))


def _invisible() -> Image.Image:
    image = media_samples.picture().convert("RGBA")
    image.putalpha(0)
    return image


def _lone_pixel() -> Image.Image:
    image = Image.new("RGB", (256, 256))
    image.putpixel((9, 9), (255, 255, 255))
    return image


@pytest.mark.parametrize("draw", [_grey_noise, _invisible, _lone_pixel])
def test_near_uniform(tmp_path: Path, draw: object) -> None:
    """Faint noise, a lone pixel and colours under full transparency show nothing."""
    assert callable(draw)
    path = media_samples.written(tmp_path, media_samples.picture_bytes("png", draw()))
    assert refusal(path, Kind.IMAGE).reason is BadMediaReason.BLANK


def _night() -> Image.Image:
    return Image.fromarray(np.tile(np.linspace(0, 12, 256), (256, 1)).astype(np.uint8))


def _snow() -> Image.Image:
    return Image.fromarray(255 - np.asarray(_night()))


def _stars() -> Image.Image:
    rng = np.random.default_rng(0)
    sky = np.zeros((256, 256), np.uint8)
    sky[rng.integers(0, 256, 20), rng.integers(0, 256, 20)] = 255
    return Image.fromarray(sky)


def _thin_text() -> Image.Image:
    image = Image.new("RGB", (256, 256), "white")
    ImageDraw.Draw(image).text((20, 120), "last will", fill="black")
    return image


def _black_on_transparent() -> Image.Image:
    image = Image.new("RGBA", (256, 256))
    ImageDraw.Draw(image).ellipse((80, 80, 160, 160), fill="black")
    return image


@pytest.mark.parametrize("draw", [_night, _snow, _stars, _thin_text, _black_on_transparent])
def test_dark_and_light_pictures_pass(tmp_path: Path, draw: object) -> None:
    """Very dark, very light and sparse pictures are pictures: they were paid for."""
    assert callable(draw)
    path = media_samples.written(tmp_path, media_samples.picture_bytes("png", draw()))
    assert verify(path, Kind.IMAGE).width == 256


def _png_header(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = [header, b"IDAT" + zlib.compress(b""), b"IEND"]
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(chunk) - 4) + chunk + struct.pack(">I", zlib.crc32(chunk))
        for chunk in chunks
    )


@pytest.mark.parametrize("side", [8193, 60_000])
def test_decompression_bomb(tmp_path: Path, side: int) -> None:
    """A picture that would fill memory is refused by its header, in a sentence."""
    error = refusal(media_samples.written(tmp_path, _png_header(side, side)), Kind.IMAGE)
    assert error.reason is BadMediaReason.TOO_LARGE
    assert "pixels" in error.message


def test_bomb_of_frames(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pixels of all frames count together."""
    monkeypatch.setattr(pictures, "MAX_PIXELS", 96 * 64 * 3)
    noise = np.random.default_rng(0).integers(0, 255, (4, 64, 96, 3), np.uint8)
    frames = [Image.fromarray(frame) for frame in noise]
    content = media_samples.picture_bytes(
        "webp", frames[0], save_all=True, append_images=frames[1:]
    )
    path = media_samples.written(tmp_path, content)
    assert refusal(path, Kind.IMAGE).reason is BadMediaReason.TOO_LARGE


def test_damaged_picture(tmp_path: Path) -> None:
    """One wrong byte in a PNG is found by its checksum, though Pillow would draw the picture."""
    content = bytearray(media_samples.picture_bytes("png"))
    content[len(content) // 2] ^= 0xFF
    error = refusal(media_samples.written(tmp_path, bytes(content)), Kind.IMAGE)
    assert error.reason is BadMediaReason.UNDECODABLE


@pytest.mark.parametrize("extension", media_samples.SOUNDS)
def test_silence(tmp_path: Path, extension: str) -> None:
    """Digital silence is refused in every format."""
    content = media_samples.sound_bytes(extension, np.zeros(media_samples.RATE, np.float32))
    assert (
        refusal(media_samples.written(tmp_path, content), Kind.AUDIO).reason
        is BadMediaReason.SILENT
    )


def _dither() -> np.ndarray:
    return np.random.default_rng(0).normal(0, 2**-15, media_samples.RATE)


def _constant_offset() -> np.ndarray:
    return np.full(media_samples.RATE, 0.5)


def _one_click() -> np.ndarray:
    click = np.zeros(media_samples.RATE)
    click[media_samples.RATE // 2] = 1.0
    return click


@pytest.mark.parametrize("make", [_dither, _constant_offset, _one_click])
def test_near_silence(tmp_path: Path, make: object) -> None:
    """Dither, a constant offset and a single click are silence, whatever their peak."""
    assert callable(make)
    path = media_samples.written(
        tmp_path, media_samples.sound_bytes("wav", make().astype(np.float32))
    )
    assert refusal(path, Kind.AUDIO).reason is BadMediaReason.SILENT


def test_quiet_and_sparse_sound_passes(tmp_path: Path) -> None:
    """A whisper, and one short word in half a minute of silence, are sound."""
    whisper = media_samples.tone(amplitude=0.01)
    sparse = np.concatenate(
        [np.zeros(30 * media_samples.RATE, np.float32), media_samples.tone(0.2)]
    )
    for content in (whisper, sparse):
        path = media_samples.written(tmp_path, media_samples.sound_bytes("wav", content))
        assert verify(path, Kind.AUDIO).bytes


@pytest.mark.parametrize("frames", [0, 1, 1000])
def test_near_zero_duration(tmp_path: Path, frames: int) -> None:
    """A valid file with (almost) no sound in it is refused as empty."""
    path = media_samples.written(
        tmp_path, media_samples.sound_bytes("wav", media_samples.tone()[:frames])
    )
    assert refusal(path, Kind.AUDIO).reason is BadMediaReason.EMPTY


def test_endless_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sound past the limit is refused before it is decoded."""
    monkeypatch.setattr(sounds, "MAX_SECONDS", 0.25)
    path = media_samples.written(tmp_path, media_samples.sound_bytes("flac"))
    assert refusal(path, Kind.AUDIO).reason is BadMediaReason.TOO_LARGE


def test_samples_that_are_no_numbers(tmp_path: Path) -> None:
    """NaN in a float WAV is damage, not loudness."""
    encoded = io.BytesIO()
    broken = media_samples.tone()
    broken[100] = np.nan
    soundfile.write(encoded, broken, media_samples.RATE, format="WAV", subtype="FLOAT")
    path = media_samples.written(tmp_path, encoded.getvalue())
    assert refusal(path, Kind.AUDIO).reason is BadMediaReason.UNDECODABLE


def test_unreadable_sound(tmp_path: Path) -> None:
    """A file that only begins like a sound is refused as undecodable."""
    path = media_samples.written(tmp_path, b"fLaC" + bytes(400))
    assert refusal(path, Kind.AUDIO).reason is BadMediaReason.UNDECODABLE


def test_stereo_heard_on_one_side(tmp_path: Path) -> None:
    """One loud channel is enough."""
    stereo = np.stack([np.zeros_like(media_samples.tone()), media_samples.tone()], axis=1)
    assert verify(
        media_samples.written(tmp_path, media_samples.sound_bytes("wav", stereo)), Kind.AUDIO
    ).duration_seconds == pytest.approx(0.5)


def test_blocks_join_without_a_seam(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """An MP3 read in blocks is the MP3 read at once, and the decoder has nothing to say."""
    path = media_samples.written(
        tmp_path, media_samples.sound_bytes("mp3", media_samples.tone(10.0))
    )
    whole, _ = soundfile.read(path, dtype="float32", always_2d=True)
    with sounds.open_sound(path) as sound:
        blocks = list(sounds.blocks(sound))
    assert len(blocks) > 1
    assert np.allclose(np.concatenate(blocks), whole, atol=1e-6)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("extension", ["webp", "png"])
def test_an_animation_is_shown_by_its_first_frame(tmp_path: Path, extension: str) -> None:
    """All frames are decoded; the picture that is kept is the first."""
    first = media_samples.picture(64, 48)
    others = [Image.new("RGB", (64, 48), color) for color in ("red", "blue")]
    content = media_samples.picture_bytes(extension, first, save_all=True, append_images=others)
    examined = examine(media_samples.written(tmp_path, content), Kind.IMAGE)
    assert examined.picture is not None
    shown = np.asarray(examined.picture.convert("RGB")).astype(int)
    assert np.abs(shown - np.asarray(first)).mean() < 12
