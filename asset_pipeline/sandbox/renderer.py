"""Rendering each file once, kept on disk for as long as it may be fetched."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.spec import Model
from asset_pipeline.sandbox.drawing.sizes import size_of
from asset_pipeline.sandbox.faults.plan import FAILED_ERRORS
from asset_pipeline.sandbox.lifecycle import RETENTION_US, Prediction
from asset_pipeline.sandbox.models import OfferedModels
from asset_pipeline.sandbox.outputs import resolved
from asset_pipeline.sandbox.render_pool import InterruptedRenderError, RenderError, RenderPool
from asset_pipeline.sandbox.state import MICROSECONDS, State

_SWEEP_US = 30 * MICROSECONDS
# What is drawn and spoken of a prompt: a body may hold 32 MB of one, and a voice takes a minute for
# 20,000 characters.
_DRAWN_CHARACTERS, _SPOKEN_CHARACTERS = 5_000, 20_000
_LONGEST_MUSIC = 600.0  # seconds


class MediaRenderer:
    """Renders a prediction's files on first need, in the background from its creation on."""

    def __init__(self, state: State, shelf: OfferedModels) -> None:
        self._state = state
        self._shelf = shelf
        self._root = state.state_dir / "outputs"
        self._workshop = RenderPool()
        self._running: dict[Path, asyncio.Task[None]] = {}
        self._sweeping: asyncio.Task[None] | None = None
        self._swept_us = 0

    async def file(self, prediction: Prediction, name: str) -> Path:
        """Return the path of a rendered file, rendering it if nobody has.

        Raises:
            RenderError: It could not be rendered; if it never can be, the prediction has failed.
        """
        path = self._path(prediction, name)
        if not path.exists():
            await self._rendered(prediction, name, path)
        return path

    def warm(self, prediction: Prediction) -> None:
        """Begin to render what will be fetched, as the real model would be at work by now."""
        self._sweep()
        if prediction.outcome == "succeeded":
            for name in prediction.files:
                self._start(prediction, name, self._path(prediction, name))

    async def measured(self, prediction: Prediction) -> None:
        """See to it that a finished sound's length is on record, or that it has failed."""
        if prediction.kind is Kind.AUDIO and prediction.audio_seconds is None:
            for name in prediction.files:
                with contextlib.suppress(RenderError):
                    await self._rendered(prediction, name, self._path(prediction, name))

    async def close(self) -> None:
        """End the rendering processes; what they have not finished is rendered when asked for."""
        await self._workshop.close()

    async def _rendered(self, prediction: Prediction, name: str, path: Path) -> None:
        try:
            await asyncio.shield(self._start(prediction, name, path))
        except InterruptedRenderError:  # by a kill of the worker; a new one is started
            await asyncio.shield(self._start(prediction, name, path))

    def _start(self, prediction: Prediction, name: str, path: Path) -> asyncio.Task[None]:
        task = self._running.get(path)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._render(prediction, name, path))
            self._running[path] = task
            task.add_done_callback(lambda done: self._forget(path, done))
        return task

    def _forget(self, path: Path, done: asyncio.Task[None]) -> None:
        self._running.pop(path, None)
        if not done.cancelled():
            done.exception()  # whoever asks for the file tries again, and is told

    async def _render(self, prediction: Prediction, name: str, path: Path) -> None:
        request = _request(prediction, self._shelf.named(prediction.model), name)
        try:
            seconds = await self._workshop.render(prediction.kind, path, request)
        except InterruptedRenderError:
            raise
        except RenderError:
            # As the real model would: what it cannot make of its input is a failure, not billed.
            self._state.connection.execute(
                "UPDATE predictions SET outcome = 'failed', error = ? WHERE id = ?",
                (FAILED_ERRORS["E1000"], prediction.id),
            )
            raise
        if seconds is not None and name in prediction.files:
            self._state.connection.execute(
                "UPDATE predictions SET audio_seconds = ? WHERE id = ?",
                (round(seconds, 3), prediction.id),
            )

    def _path(self, prediction: Prediction, name: str) -> Path:
        return self._root / prediction.id[:2] / prediction.id / name

    def _sweep(self) -> None:
        """Remove the folders of what is past its hour, now and then."""
        now = self._state.now_us()
        if now - self._swept_us < _SWEEP_US:
            return
        self._swept_us = now
        rows = self._state.connection.execute(
            "UPDATE predictions SET swept = 1 WHERE swept = 0 AND ends_us < ? RETURNING id",
            (now - RETENTION_US,),
        ).fetchall()
        folders = [self._root / row["id"][:2] / row["id"] for row in rows]
        if folders:
            self._sweeping = asyncio.create_task(asyncio.to_thread(_remove, folders))


def _remove(folders: list[Path]) -> None:
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _request(prediction: Prediction, model: Model | None, name: str) -> dict[str, Any]:
    """Return the fields of the request that makes one file."""
    stem, _, extension = name.rpartition(".")

    def value_of(field: str) -> JsonValue:
        if model is None:
            return prediction.input.get(field)
        return resolved(model, prediction.input, field)

    seed = value_of((model.seed_input if model is not None else None) or "seed")
    if not isinstance(seed, int):
        # Unseeded, each prediction is different, as on Replicate.
        seed = int.from_bytes(hashlib.sha256(prediction.id.encode()).digest()[:4])
    number = stem.rpartition("-")[2]
    seed += int(number) * 7919 if number.isdigit() else 0
    if prediction.kind is Kind.AUDIO:
        return _sound(prediction, value_of, seed, extension)
    return _picture(prediction, value_of, seed, extension)


def _picture(
    prediction: Prediction, value_of: Callable[[str], JsonValue], seed: int, extension: str
) -> dict[str, Any]:
    width, height = size_of(value_of)
    quality = value_of("output_quality")
    return {
        "text": prediction.prompt[:_DRAWN_CHARACTERS],
        "seed": seed,
        "model": prediction.model,
        "width": width,
        "height": height,
        "format": extension,
        "quality": quality if isinstance(quality, int) else 80,
    }


def _sound(
    prediction: Prediction, value_of: Callable[[str], JsonValue], seed: int, extension: str
) -> dict[str, Any]:
    speed, duration = value_of("speed"), value_of("duration")
    voice = value_of("voice") or value_of("voice_id")
    return {
        "text": prediction.prompt[:_SPOKEN_CHARACTERS],
        "seed": seed,
        "voice": voice if isinstance(voice, str) else "",
        "speed": float(speed) if isinstance(speed, int | float) else 1.0,
        "music_seconds": min(float(duration), _LONGEST_MUSIC)
        if isinstance(duration, int | float)
        else None,
        "format": extension,
    }
