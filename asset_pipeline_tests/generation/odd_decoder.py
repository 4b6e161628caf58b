"""A decoder whose files say what is to go wrong: each stands for what a codec has done."""

from __future__ import annotations

import os
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.media import decoder_process
from asset_pipeline.media.bad_media import BadMediaError, BadMediaReason
from asset_pipeline.media.probe import Examined

_SURE = decoder_process.examine


def _told(text: str) -> NoReturn:
    raise BadMediaError(text, BadMediaReason.UNDECODABLE)


def _compute(seconds: float) -> None:
    until = time.process_time() + seconds
    while time.process_time() < until:
        pass


def _slow(path: Path) -> NoReturn:
    error = path.with_name("slow.end").open("wb")
    os.dup2(error.fileno(), 2)
    path.with_name("slow.taken").write_text(str(os.getpid()))
    time.sleep(1.0)
    _told("nobody hears it")


def _loud() -> NoReturn:
    for _ in range(54):
        os.write(2, b"x" * 1_000_000)
    _told("said it all")


def _abort(text: str) -> None:
    os.write(2, text.encode())
    os.abort()


def _raise(error: Exception) -> NoReturn:
    raise error


def _babble() -> None:
    sys.stdout.buffer.write(b"x" * 5_000_000)
    sys.stdout.buffer.flush()


def _half_a_second() -> NoReturn:
    _compute(0.5)
    _told(f"computed 0.5 s in process {os.getpid()}")


_ACTS: dict[bytes, Callable[[Path], object]] = {
    b"memory": lambda _: bytearray(2**30),
    b"computes": lambda _: _compute(60),
    b"sleeps": lambda _: time.sleep(60),
    b"raises": lambda _: _raise(struct.error("argument out of range")),
    b"codec": lambda _: _raise(OSError("encoder error -2 when writing image file")),
    b"aborts": lambda _: _abort("double free or corruption\n"),
    b"exits": lambda _: os._exit(3),
    b"babbles": lambda _: _babble(),
    b"half a second": lambda _: _half_a_second(),
    b"loud": lambda _: _loud(),
    b"environment": lambda _: _told(" ".join(os.environ)),
    b"slow": _slow,
}


def _examine(path: Path, kind: Kind) -> Examined:
    act = _ACTS.get(path.read_bytes()[:64])
    if act is not None:
        act(path)
    return _SURE(path, kind)


if __name__ == "__main__":
    decoder_process.examine = _examine
    decoder_process.main()
