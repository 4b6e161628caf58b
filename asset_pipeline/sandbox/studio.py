"""Rendering in threads, once a file, kept on disk for as long as it may be fetched."""

from __future__ import annotations

import asyncio
import hashlib
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydantic import JsonValue

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.spec import Model
from asset_pipeline.files import write_atomically
from asset_pipeline.sandbox.lifecycle import RETENTION_US, Prediction
from asset_pipeline.sandbox.outputs import resolved
from asset_pipeline.sandbox.shelf import Shelf
from asset_pipeline.sandbox.state import State

_SWEEP_SECONDS = 30


class Studio:
    """Renders a prediction's files on first need, in the background from its creation on.

    Two threads: Pillow, NumPy and onnxruntime let go of the interpreter while they work, so the
    event loop goes on answering.
    """

    def __init__(self, state: State, shelf: Shelf) -> None:
        self._state = state
        self._shelf = shelf
        self._root = state.state_dir / "outputs"
        self._pool = ThreadPoolExecutor(2, thread_name_prefix="sandbox-studio")
        self._running: dict[Path, asyncio.Task[None]] = {}
        self._swept_us = 0

    async def file(self, prediction: Prediction, name: str) -> Path:
        """Return the path of a rendered file, rendering it if nobody has."""
        path = self._path(prediction, name)
        if not path.exists():
            await asyncio.shield(self._start(prediction, name, path))
        return path

    def warm(self, prediction: Prediction) -> None:
        """Begin to render what will be fetched, as the real model would be at work by now."""
        self._sweep()
        if prediction.outcome == "succeeded":
            for name in prediction.files:
                self._start(prediction, name, self._path(prediction, name))

    async def measured(self, prediction: Prediction) -> None:
        """See to it that a finished sound's length is on record."""
        if prediction.kind is Kind.AUDIO and prediction.audio_seconds is None:
            for name in prediction.files:
                await asyncio.shield(self._start(prediction, name, self._path(prediction, name)))

    def close(self) -> None:
        """Stop taking work; what is being rendered is finished."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _start(self, prediction: Prediction, name: str, path: Path) -> asyncio.Task[None]:
        task = self._running.get(path)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._render(prediction, name, path))
            self._running[path] = task
            task.add_done_callback(lambda _: self._running.pop(path, None))
        return task

    async def _render(self, prediction: Prediction, name: str, path: Path) -> None:
        model = self._shelf.named(prediction.model)
        work = _job(prediction, model, name)
        loop = asyncio.get_running_loop()
        seconds = await loop.run_in_executor(self._pool, _write, path, work)
        if seconds is not None:
            self._state.connection.execute(
                "UPDATE predictions SET audio_seconds = ? WHERE id = ?",
                (round(seconds, 3), prediction.id),
            )

    def _path(self, prediction: Prediction, name: str) -> Path:
        return self._root / prediction.id[:2] / prediction.id / name

    def _sweep(self) -> None:
        """Remove the folders of what is past its hour, now and then."""
        now = self._state.now_us()
        if now - self._swept_us < _SWEEP_SECONDS * 1_000_000:
            return
        self._swept_us = now
        rows = self._state.connection.execute(
            "UPDATE predictions SET swept = 1 WHERE swept = 0 AND ends_us < ? RETURNING id",
            (now - RETENTION_US,),
        ).fetchall()
        for row in rows:
            folder = self._root / row["id"][:2] / row["id"]
            self._pool.submit(shutil.rmtree, folder, ignore_errors=True)


def _write(path: Path, work: Callable[[], tuple[bytes, float | None]]) -> float | None:
    content, seconds = work()
    write_atomically(path, content)
    return seconds


def _job(
    prediction: Prediction, model: Model | None, name: str
) -> Callable[[], tuple[bytes, float | None]]:
    """Return the work that makes one file; it touches neither the loop nor the database."""
    stem, _, extension = name.rpartition(".")

    def value_of(field: str) -> JsonValue:
        if model is None:
            return prediction.input.get(field)
        return resolved(model, prediction.input, field)

    seed = value_of("seed")
    if not isinstance(seed, int):
        # Unseeded, each prediction is different, as on Replicate.
        seed = int.from_bytes(hashlib.sha256(prediction.id.encode()).digest()[:4])
    if prediction.kind is Kind.AUDIO:
        return lambda: _sound(prediction, value_of, seed, extension)
    number = stem.rpartition("-")[2]
    seed += int(number) * 7919 if number.isdigit() else 0
    return lambda: (_picture(prediction, value_of, seed, extension), None)


def _picture(
    prediction: Prediction, value_of: Callable[[str], JsonValue], seed: int, extension: str
) -> bytes:
    # Pillow is loaded with the first picture, so that the server answers sooner.
    from asset_pipeline.sandbox.drawing.picture import PictureRequest, picture  # noqa: PLC0415
    from asset_pipeline.sandbox.drawing.sizes import size_of  # noqa: PLC0415

    width, height = size_of(value_of)
    quality = value_of("output_quality")
    return picture(
        PictureRequest(
            text=prediction.prompt,
            seed=seed,
            model=prediction.model,
            width=width,
            height=height,
            format=extension,
            quality=quality if isinstance(quality, int) else 80,
        )
    )


def _sound(
    prediction: Prediction, value_of: Callable[[str], JsonValue], seed: int, extension: str
) -> tuple[bytes, float]:
    # NumPy takes a tenth of a second to import: see above.
    from asset_pipeline.sandbox.speech import SoundRequest, sound  # noqa: PLC0415

    speed, duration = value_of("speed"), value_of("duration")
    voice = value_of("voice") or value_of("voice_id")
    return sound(
        SoundRequest(
            text=prediction.prompt,
            seed=seed,
            voice=voice if isinstance(voice, str) else "",
            speed=float(speed) if isinstance(speed, int | float) else 1.0,
            music_seconds=float(duration) if isinstance(duration, int | float) else None,
            format=extension,
        )
    )
