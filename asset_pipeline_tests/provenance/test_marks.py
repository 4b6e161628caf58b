"""Marks in every format: found again, by other readers too, and the content as it was."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import soundfile
from PIL import Image, PngImagePlugin

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.prompts.provenance import DEFAULT
from asset_pipeline.provenance.containers.formats import container_of
from asset_pipeline.provenance.containers.metadata import ContainerError
from asset_pipeline.provenance.marks import Marks, mark, read_marks
from asset_pipeline.provenance.xmp import TRAINED
from asset_pipeline_tests.provenance.said import TEXT, statement
from asset_pipeline_tests.support.media_samples import (
    SOUNDS,
    picture,
    picture_bytes,
    sound_bytes,
    tone,
    written,
)

PICTURES = ("png", "jpg", "webp", "avif")
IPTC = "{http://iptc.org/std/Iptc4xmpExt/2008-02-29/}"
DUBLIN = "{http://purl.org/dc/elements/1.1/}"


def found(data: bytes) -> Marks:
    container = container_of(data)
    assert container is not None
    return read_marks(data, container)


def marked(folder: Path, data: bytes, **said: object) -> bytes:
    source = written(folder, data)
    target = folder / "marked"
    mark(source, target, statement(**said))  # type: ignore[arg-type]
    assert source.read_bytes() == data, "the source is left as it is"
    return target.read_bytes()


@pytest.mark.parametrize("extension", PICTURES)
@pytest.mark.parametrize("mode", ["RGB", "RGBA", "lossless"])
def test_pictures_are_marked_and_show_the_same(tmp_path: Path, extension: str, mode: str) -> None:
    """Every pixel stays; other readers find IPTC's word and the parameters in their places."""
    image = picture()
    if mode == "RGBA" and extension != "jpg":
        image.putalpha(128)
    options = {"lossless": True} if mode == "lossless" and extension == "webp" else {}
    data = picture_bytes(extension, image, **options)
    result = marked(tmp_path, data)
    said = found(result)
    assert said.digital_source_type == TRAINED
    assert said.says_generated
    assert said.description == TEXT
    assert said.original_sha256 == "c" * 64
    assert said.parameters == (
        f"{TEXT}\nSteps: 4, Seed: 42, Size: 96x64, Model: black-forest-labs/flux-schnell, "
        "Version: asset_pipeline"
    )
    with Image.open(io.BytesIO(data)) as before, Image.open(io.BytesIO(result)) as after:
        after.load()
        assert np.array_equal(np.asarray(before), np.asarray(after))
        xmp = after.info.get("xmp") or after.info.get("XML:com.adobe.xmp")
        assert TRAINED in (xmp.decode() if isinstance(xmp, bytes) else xmp)
        if isinstance(after, PngImagePlugin.PngImageFile):
            assert after.text["parameters"] == said.parameters
        else:
            comment = after.getexif().get_ifd(0x8769)[0x9286]
            assert comment == b"UNICODE\0" + said.parameters.encode("utf-16-be")
        (described,) = ET.fromstring(xmp)[0]
        assert described.get(f"{IPTC}DigitalSourceType") == TRAINED


@pytest.mark.parametrize("extension", SOUNDS)
def test_sounds_are_marked_and_sound_the_same(tmp_path: Path, extension: str) -> None:
    """Every sample stays; libsndfile reads the comment where the format has a place for it."""
    data = sound_bytes(extension)
    result = marked(tmp_path, data, kind=Kind.AUDIO)
    said = found(result)
    assert said.digital_source_type == TRAINED
    assert said.original_sha256 == "c" * 64
    assert TEXT in said.description
    before, _ = soundfile.read(io.BytesIO(data))
    after, _ = soundfile.read(io.BytesIO(result))
    assert np.array_equal(before, after)
    with soundfile.SoundFile(io.BytesIO(result)) as sound:
        assert TEXT in (sound.comment or (TEXT if extension == "mp3" else ""))


@pytest.mark.parametrize("extension", [*PICTURES, *SOUNDS])
def test_marking_twice_says_it_once(tmp_path: Path, extension: str) -> None:
    """A marked file that is marked again is the same file."""
    is_picture = extension in PICTURES
    data = picture_bytes(extension) if is_picture else sound_bytes(extension)
    once = marked(tmp_path, data)
    twice = marked(tmp_path, once)
    assert found(twice) == found(once)
    assert len(twice) == len(once)


def test_what_a_provider_wrote_stays(tmp_path: Path) -> None:
    """Its XMP, EXIF, text and tags are added to, never replaced."""
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "theirs")
    info.add_itxt(
        "XML:com.adobe.xmp",
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-'
        'syntax-ns#"><rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" '
        'dc:rights="theirs"/></rdf:RDF></x:xmpmeta>',
    )
    result = marked(tmp_path, picture_bytes("png", pnginfo=info))
    with Image.open(io.BytesIO(result)) as after:
        assert isinstance(after, PngImagePlugin.PngImageFile)
        descriptions = ET.fromstring(after.info["xmp"])[0]
        assert [each.get(f"{DUBLIN}rights") for each in descriptions] == ["theirs", None]
        assert found(result).digital_source_type == TRAINED
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = marked(tmp_path, picture_bytes("jpg", exif=exif))
    with Image.open(io.BytesIO(turned)) as after:
        assert after.getexif()[0x0112] == 6, "a picture that lies on its side goes on doing so"
    assert found(turned).says_generated


def test_a_provider_that_names_the_source_is_left_alone(tmp_path: Path) -> None:
    """Its own word for how the file came about is the better one."""
    theirs = statement().metadata("").xmp.replace("trainedAlgorithmicMedia", "algorithmicMedia")
    result = marked(tmp_path, picture_bytes("webp", xmp=theirs.encode()))
    assert found(result).digital_source_type.endswith("/algorithmicMedia")


def test_a_prompt_is_told_only_where_that_is_allowed(tmp_path: Path) -> None:
    """By default no byte of it is in the file."""
    for extension in (*PICTURES, *SOUNDS):
        is_picture = extension in PICTURES
        data = picture_bytes(extension) if is_picture else sound_bytes(extension)
        result = marked(tmp_path, data, policy=DEFAULT)
        assert found(result).says_generated
        assert b"in fog" not in result
        assert "in fog".encode("utf-16-be") not in result


@pytest.mark.parametrize("extension", [*PICTURES, *SOUNDS])
def test_a_damaged_file_is_refused(tmp_path: Path, extension: str) -> None:
    """Wherever it is cut, there is a sentence or a marked file, and no other error."""
    is_picture = extension in PICTURES
    data = picture_bytes(extension) if is_picture else sound_bytes(extension)
    for length in range(1, min(len(data), 400), 7):
        source = written(tmp_path, data[:length])
        with contextlib.suppress(ContainerError):
            mark(source, tmp_path / "marked", statement())


def test_a_long_ogg_comment_takes_more_pages(tmp_path: Path) -> None:
    """The pages of sound are numbered anew, and no sample is lost."""
    long = sound_bytes("opus", tone(1.0))
    source = written(tmp_path, long)
    said = statement()
    wide = said.payment.prompt_text * 4000
    mark(
        source,
        tmp_path / "marked",
        type(said)(said.clip, type(said.payment)(wide, 1, {}, said.payment.charged), said.policy),
    )
    for _ in range(12):
        mark(tmp_path / "marked", tmp_path / "marked", said)
    before, _ = soundfile.read(io.BytesIO(long))
    after, _ = soundfile.read(tmp_path / "marked")
    assert np.array_equal(before, after)
