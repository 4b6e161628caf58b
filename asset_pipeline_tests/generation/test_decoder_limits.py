"""What one file may take of the machine: more is one bad clip, and the next file is looked at."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.media import decoder_pool, decoder_process
from asset_pipeline.media.bad_media import BadMediaError, BadMediaReason
from asset_pipeline.media.decoder_pool import DecoderLimits, DecoderPool
from asset_pipeline.media.probe import MediaInfo
from asset_pipeline.settings import load_settings
from asset_pipeline_tests.media import bombs
from asset_pipeline_tests.support import media_samples

pytestmark = pytest.mark.servers

_ODD = "asset_pipeline_tests.generation.odd_decoder"


def _verdicts(
    folder: Path, files: list[tuple[bytes, Kind]], limits: DecoderLimits | None = None
) -> list[MediaInfo | BadMediaError]:
    """What one process says of files, one after the other."""

    async def run() -> list[MediaInfo | BadMediaError]:
        decoders = DecoderPool(1, folder / "previews", limits)
        found: list[MediaInfo | BadMediaError] = []
        try:
            for number, (content, kind) in enumerate(files):
                path = media_samples.written(folder, content, f"file-{number}")
                try:
                    found.append((await decoders.receive(path, kind))[0])
                except BadMediaError as error:
                    found.append(error)
        finally:
            await decoders.aclose()
        return found

    return asyncio.run(run())


def _good() -> tuple[bytes, Kind]:
    return media_samples.picture_bytes("png"), Kind.IMAGE


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        pytest.param(bombs.scanned(5_000), Kind.IMAGE, id="scans"),
        pytest.param(bombs.wide_sound(), Kind.AUDIO, id="channels"),
        pytest.param(bombs.wide_sound(1, 2_000_000), Kind.AUDIO, id="rate"),
        pytest.param(bombs.huge_picture(), Kind.IMAGE, id="pixels"),
    ],
)
def test_a_bomb_is_refused_at_once(tmp_path: Path, content: bytes, kind: Kind) -> None:
    """What a header announces is judged before anything is decoded, and said in a sentence."""
    started = time.monotonic()
    bomb, good = _verdicts(tmp_path, [(content, kind), _good()])
    assert isinstance(bomb, BadMediaError)
    assert bomb.reason is BadMediaReason.TOO_LARGE
    assert bomb.message.startswith("file-0")
    assert isinstance(good, MediaInfo)
    assert time.monotonic() - started < 10


def test_scans_are_counted_where_they_are_and_not_in_metadata(tmp_path: Path) -> None:
    """A picture whose metadata is full of the mark is a good one; few scans are many pixels'."""
    mark = b"\xff\xda" * 20_000  # shorter than a segment may be
    plain = media_samples.picture_bytes("jpg")
    noted = plain[:2] + b"\xff\xe5" + (len(mark) + 2).to_bytes(2) + mark + plain[2:]
    for verdict in _verdicts(tmp_path, [(noted, Kind.IMAGE), (bombs.scanned(3), Kind.IMAGE)]):
        assert isinstance(verdict, MediaInfo)


def test_odd_metadata_costs_no_picture(tmp_path: Path) -> None:
    """A picture is turned as its EXIF says although the rest of it can't be written again."""
    (found,) = _verdicts(tmp_path, [(bombs.odd_metadata(), Kind.IMAGE)])
    assert isinstance(found, MediaInfo)
    assert (found.width, found.height) == (64, 96)


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_pool, "_PROGRAM", _ODD)


@pytest.mark.usefixtures("odd")
@pytest.mark.parametrize(
    ("behaviour", "reason", "said"),
    [
        (b"memory", BadMediaReason.TOO_LARGE, "takes too much memory"),
        (b"computes", BadMediaReason.TOO_LARGE, "more than 1 s of computing"),
        (b"raises", BadMediaReason.UNDECODABLE, "cannot be decoded: error: argument"),
        (b"codec", BadMediaReason.UNDECODABLE, "cannot be decoded: OSError: encoder error -2"),
        (b"aborts", BadMediaReason.UNDECODABLE, "crashes the decoder: double free"),
        (b"exits", BadMediaReason.UNDECODABLE, "crashes the decoder"),
        (b"babbles", BadMediaReason.UNDECODABLE, "crashes the decoder"),
    ],
)
def test_whatever_a_codec_does_is_one_bad_clip(
    tmp_path: Path, behaviour: bytes, reason: BadMediaReason, said: str
) -> None:
    """Memory, time, an exception, a crash: a sentence for the file, and the next one is good."""
    limits = DecoderLimits(megabytes=512, cpu_seconds=1)
    bad, good = _verdicts(tmp_path, [(behaviour, Kind.IMAGE), _good()], limits)
    assert isinstance(bad, BadMediaError)
    assert (bad.reason, said in bad.message) == (reason, True), bad.message
    assert isinstance(good, MediaInfo)


@pytest.mark.usefixtures("odd")
def test_a_decoder_that_only_waits_is_not_waited_for(tmp_path: Path) -> None:
    """A file on a disk that does not answer holds one clip for a bounded time."""
    waiting, good = _verdicts(
        tmp_path, [(b"sleeps", Kind.IMAGE), _good()], DecoderLimits(wall_seconds=1.5)
    )
    assert "takes longer than 2 s" in str(waiting)
    assert isinstance(good, MediaInfo)


@pytest.mark.usefixtures("odd")
def test_computing_is_counted_by_file(tmp_path: Path) -> None:
    """A process that looked at many files is not ended for what they took together."""
    limits = DecoderLimits(cpu_seconds=1)
    files = [(b"half a second", Kind.IMAGE)] * 4
    said = [str(verdict) for verdict in _verdicts(tmp_path, files, limits)]
    assert all("computed 0.5 s in process" in each for each in said)
    assert len({each.rpartition(" ")[2] for each in said}) == 1


@pytest.mark.usefixtures("odd")
def test_what_codecs_say_is_read_and_dropped(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """54 MB on stderr neither block the process, nor reach ours, nor stay in memory."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    loud, good = _verdicts(tmp_path, [(b"loud", Kind.IMAGE), _good()])
    assert "said it all" in str(loud)
    assert isinstance(good, MediaInfo)
    assert capfd.readouterr().err == ""
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000


@pytest.mark.usefixtures("odd")
def test_a_decoder_knows_no_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither tokens nor cloud keys nor addresses of databases are in its environment."""
    secret = "s3cr3t-value"
    for name in ("REPLICATE_API_TOKEN", "AWS_SECRET_ACCESS_KEY", "ASSET_PIPELINE_LEDGER_URL"):
        monkeypatch.setenv(name, secret)
    (told,) = _verdicts(tmp_path, [(b"environment", Kind.IMAGE)])
    assert isinstance(told, BadMediaError)
    assert "PATH" in told.message
    assert "TOKEN" not in told.message
    assert "URL" not in told.message
    assert secret not in json.dumps(decoder_pool._environment(os.environ))


@pytest.mark.usefixtures("odd")
def test_a_machine_that_can_start_no_decoder_is_no_files_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clip stays open: the error is the system's, with what the interpreter said."""
    monkeypatch.setattr(decoder_pool, "_PROGRAM", "asset_pipeline_tests.generation.no_decoder")
    with pytest.raises(OSError, match=r"a decoder can't be started: .*no_decoder"):
        _verdicts(tmp_path, [_good()])


_PARENT = """
import asyncio, os, sys
from pathlib import Path
from asset_pipeline.catalog.kind import Kind
from asset_pipeline.media import decoder_pool
decoder_pool._PROGRAM = sys.argv[3]

async def run():
    decoders = decoder_pool.DecoderPool(1, Path(sys.argv[2]))
    asking = asyncio.create_task(decoders.examine(Path(sys.argv[1]), Kind.IMAGE))
    while not Path(sys.argv[1] + ".taken").exists():
        await asyncio.sleep(0.01)
    os.kill(os.getpid(), 9)

asyncio.run(run())
"""


def test_a_decoder_whose_parent_was_killed_ends_without_a_word(tmp_path: Path) -> None:
    """It answers into a closed pipe: no traceback on the terminal that it shared, none left."""
    path = media_samples.written(tmp_path, b"slow", "slow")
    command = [sys.executable, "-c", _PARENT, str(path), str(tmp_path / "previews"), _ODD]
    ended = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert ended.stderr == b""
    pid = int((tmp_path / "slow.taken").read_text())
    for _ in range(500):
        if not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
            break
        time.sleep(0.02)
    assert (tmp_path / "slow.end").read_text() == ""


def test_limits_are_those_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clip that was made by wider limits is judged by them again when it is fetched anew."""
    monkeypatch.setenv("ASSET_PIPELINE_DECODER_MEGABYTES", "4096")
    monkeypatch.setenv("ASSET_PIPELINE_DECODER_CPU_SECONDS", "90")
    monkeypatch.setenv("ASSET_PIPELINE_DECODER_WALL_SECONDS", "600")
    assert DecoderLimits.configured(load_settings()) == DecoderLimits(4096, 90, 600.0)
    monkeypatch.undo()
    assert DecoderLimits.configured(load_settings()) == DecoderLimits()


def test_limits_cost_a_clip_under_a_millisecond() -> None:
    """What is set and counted around each file takes microseconds."""
    started = time.process_time()
    for _ in range(100):
        soft = resource.getrlimit(resource.RLIMIT_CPU)[0]
        decoder_process._used()
        decoder_process._limit(resource.RLIMIT_CPU, soft)
    assert (time.process_time() - started) / 100 < 0.001
