"""Decoding in processes of their own: the same verdicts, and no crash reaches the batch."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.media import decoder_pool
from asset_pipeline.media.bad_media import BadMediaError, BadMediaReason
from asset_pipeline.media.decoder_pool import DecoderPool
from asset_pipeline.media.preview_cache import PreviewCache
from asset_pipeline.media.probe import MediaInfo, verify
from asset_pipeline_tests.support import media_samples

pytestmark = pytest.mark.servers


def _mine() -> list[psutil.Process]:
    """The decoders that this process has started and that still run."""
    return [
        child
        for child in psutil.Process().children()
        # What another test left dead and unasked for is none, and has no command line.
        if child.status() != psutil.STATUS_ZOMBIE
        and any("decoder" in word for word in child.cmdline())
    ]


def _examined(folder: Path, *files: tuple[Path, Kind], count: int = 2) -> list[MediaInfo]:
    async def run() -> list[MediaInfo]:
        decoders = DecoderPool(count, folder / "previews")
        try:
            found = await asyncio.gather(*(decoders.examine(*file) for file in files))
            assert len(_mine()) <= count
        finally:
            await decoders.aclose()
        return [info for info, _ in found]

    return asyncio.run(run())


def test_the_verdict_is_that_of_this_process(tmp_path: Path) -> None:
    """Pictures and sounds are described as `verify` describes them, and the preview is kept."""
    picture = media_samples.written(tmp_path, media_samples.picture_bytes("webp"), "picture")
    sound = media_samples.written(tmp_path, media_samples.sound_bytes("mp3"), "sound")
    files = [(picture, Kind.IMAGE), (sound, Kind.AUDIO)]
    infos = _examined(tmp_path, *files)
    assert infos == [verify(path, kind) for path, kind in files]
    shelf = PreviewCache(tmp_path / "previews")
    assert all(shelf.get(info.sha256) for info in infos)
    assert _mine() == []


def test_no_more_processes_than_allowed(tmp_path: Path) -> None:
    """Twelve files at once share two processes."""
    pictures = [
        media_samples.picture_bytes("png", media_samples.picture(90 + n, 64)) for n in range(12)
    ]
    files = [
        (media_samples.written(tmp_path, content, str(number)), Kind.IMAGE)
        for number, content in enumerate(pictures)
    ]
    assert [info.width for info in _examined(tmp_path, *files)] == [90 + n for n in range(12)]


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", BadMediaReason.EMPTY), (b"<html></html>", BadMediaReason.WRONG_TYPE)],
)
def test_a_bad_file_is_refused_by_its_reason(
    tmp_path: Path, content: bytes, reason: BadMediaReason
) -> None:
    """The refusal crosses the process boundary with its words and its reason."""
    path = media_samples.written(tmp_path, content)
    with pytest.raises(BadMediaError) as caught:
        _examined(tmp_path, (path, Kind.IMAGE))
    with pytest.raises(BadMediaError) as expected:
        verify(path, Kind.IMAGE)
    assert (caught.value.reason, caught.value.message) == (reason, expected.value.message)


def test_a_file_that_cannot_be_read_is_the_systems_error(tmp_path: Path) -> None:
    """A vanished file is no bad clip: whoever asked may fetch it again."""
    with pytest.raises(FileNotFoundError):
        _examined(tmp_path, (tmp_path / "gone", Kind.IMAGE))


@pytest.fixture
def deaths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that says of how many files the decoders still die."""
    monkeypatch.setattr(decoder_pool, "_PROGRAM", "asset_pipeline_tests.support.crashing_decoder")
    file = tmp_path / "previews" / "deaths"
    file.parent.mkdir()
    return file


def test_a_decoder_that_was_killed_is_replaced(tmp_path: Path, deaths: Path) -> None:
    """Whatever kills a decoder once (the system, for its memory) costs no clip."""
    deaths.write_text("1")
    path = media_samples.written(tmp_path, media_samples.picture_bytes("png"))
    assert _examined(tmp_path, (path, Kind.IMAGE)) == [verify(path, Kind.IMAGE)]
    assert deaths.read_text() == "0"


def test_a_file_that_kills_every_decoder_is_a_bad_file(tmp_path: Path, deaths: Path) -> None:
    """A file that crashes its decoder twice is refused; the batch lives on."""
    deaths.write_text("9")
    path = media_samples.written(tmp_path, media_samples.picture_bytes("png"))
    with pytest.raises(BadMediaError, match="crashes the decoder") as caught:
        _examined(tmp_path, (path, Kind.IMAGE))
    assert caught.value.reason is BadMediaReason.UNDECODABLE
    assert deaths.read_text() == "7"


@pytest.mark.parametrize("after", [0, 0.03, 0.1])
def test_a_question_that_was_given_up_does_not_answer_the_next(
    tmp_path: Path, after: float
) -> None:
    """After a question was cancelled, at whatever moment, the next file gets its own answer."""
    one = media_samples.written(
        tmp_path, media_samples.picture_bytes("png", media_samples.picture(50, 40)), "one"
    )
    two = media_samples.written(
        tmp_path, media_samples.picture_bytes("png", media_samples.picture(70, 40)), "two"
    )

    async def run() -> int | None:
        decoders = DecoderPool(1, tmp_path / "previews")
        try:
            asking = asyncio.ensure_future(decoders.examine(one, Kind.IMAGE))
            await asyncio.sleep(after)
            asking.cancel()
            await asyncio.wait([asking])
            return (await decoders.examine(two, Kind.IMAGE))[0].width
        finally:
            await decoders.aclose()

    assert asyncio.run(run()) == 70
    assert _mine() == []


_PARENT = """
import asyncio, sys
from pathlib import Path
from asset_pipeline.catalog.kind import Kind
from asset_pipeline.media.decoder_pool import DecoderPool

async def run():
    decoders = DecoderPool(1, Path(sys.argv[2]))
    await decoders.examine(Path(sys.argv[1]), Kind.IMAGE)
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(run())
"""


def _until(holds: Callable[[], bool]) -> None:
    for _ in range(3000):
        if holds():
            return
        signal.sigtimedwait([], 0.01)
    raise AssertionError("never held")


def test_a_decoder_does_not_outlive_its_process(tmp_path: Path) -> None:
    """SIGKILL of the batch's process leaves no decoder behind."""
    path = media_samples.written(tmp_path, media_samples.picture_bytes("png"))
    parent = subprocess.Popen(
        [sys.executable, "-c", _PARENT, str(path), str(tmp_path / "previews")],
        stdout=subprocess.PIPE,
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == b"ready\n"
    (decoder,) = psutil.Process(parent.pid).children()
    parent.kill()
    parent.wait()
    _until(lambda: not decoder.is_running() or decoder.status() == psutil.STATUS_ZOMBIE)


def test_a_stop_gets_through_while_a_dead_decoder_is_waited_for(tmp_path: Path) -> None:
    """A stop of a whole group of processes kills decoders too: nothing goes on for that."""

    class Dying:
        def __init__(self) -> None:
            self.waited_for = asyncio.Event()

        async def exchange(self, _: object) -> bytes:
            return b""

        async def end(self) -> None:
            self.waited_for.set()
            await asyncio.Event().wait()

    async def run() -> None:
        decoders, dying = DecoderPool(1, tmp_path), Dying()

        async def started() -> Dying:
            return dying

        decoders._idle.append(asyncio.ensure_future(started()))  # type: ignore[arg-type]
        examining = asyncio.ensure_future(decoders.examine(tmp_path / "x", Kind.IMAGE))
        async with asyncio.timeout(30):
            await dying.waited_for.wait()
        examining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await examining
        await decoders.aclose()

    asyncio.run(run())
