"""A ledger full of clips to look through: a few real files, and as many rows as are wanted."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
from PIL import Image
from sqlalchemy import insert

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.ledger.provider_ledger import open_own_engine
from asset_pipeline.ledger.schema import clips, intents
from asset_pipeline.settings import Settings
from asset_pipeline.stores.environment import bucket_settings
from asset_pipeline.stores.factory import open_store
from asset_pipeline.stores.protocol import Store, clip_key
from asset_pipeline_tests.support.media_samples import picture_bytes, sound_bytes, tone

SIZES = ((640, 360), (480, 480), (384, 512), (720, 405), (512, 384), (360, 640))
BEGIN = datetime(2026, 11, 1, tzinfo=UTC)
SOUND_EVERY = 12
_ROWS = 500


@dataclass(frozen=True)
class _File:
    kind: Kind
    key: str
    uri: str
    sha256: str
    bytes: int
    mime: str
    width: int | None
    height: int | None
    seconds: float | None


def fill_desk(settings: Settings, count: int, *, sounds: bool = True, pictures: int = 36) -> None:
    """Put clips into the ledger of these settings: the newest is ``prompt-00000``, variant 1.

    Args:
        settings: Whose ledger and store.
        count: Clips; two variants a prompt.
        sounds: Whether each twelfth one is a sound.
        pictures: Different files; rows share them.
    """
    store = open_store(settings.store_url, bucket_settings(settings))
    scratch = settings.data_dir / "desk-sample"
    scratch.mkdir(parents=True, exist_ok=True)
    drawn = [_picture(store, scratch, number) for number in range(pictures)]
    heard = [_sound(store, scratch, number) for number in range(4)] if sounds else []
    engine = open_own_engine(settings)
    with engine.begin() as connection:
        for start in range(0, count, _ROWS):
            rows = [
                _rows(number, drawn, heard) for number in range(start, min(start + _ROWS, count))
            ]
            connection.execute(insert(intents), [intent for intent, _ in rows])
            connection.execute(insert(clips), [clip for _, clip in rows])
    engine.dispose()


def _rows(
    number: int, drawn: list[_File], heard: list[_File]
) -> tuple[dict[str, object], dict[str, object]]:
    is_sound = bool(heard) and number % SOUND_EVERY == SOUND_EVERY - 1
    file = heard[number % len(heard)] if is_sound else drawn[number % len(drawn)]
    common: dict[str, object] = {
        "kind": file.kind.value,
        "prompt_id": f"prompt-{number // 2:05d}",
        "collection": f"shelf-{number // 2 % 5}",
        "variant": number % 2 + 1,
        "model": "minimax/speech-02-turbo" if is_sound else "black-forest-labs/flux-schnell",
        "generation_hash": hashlib.sha256(f"clip {number}".encode()).hexdigest(),
        "prediction_id": f"prediction{number}",
        "run_id": "run",
        "created_at": BEGIN - timedelta(seconds=number),
    }
    intent = common | {
        "intent_id": f"intent{number}",
        "attempt": 1,
        "prompt_text": f"Scene {number // 2}: a harbour at dusk with boats, oil on canvas",
        "inputs_json": '{"aspect_ratio": "16:9"}',
        "worker_id": "worker",
        "state": "delivered",
        "reserved_microusd": 0,
        "charged_microusd": 3_000,
        "price_source": "list",
        "billed": "billed",
        "completed_at": BEGIN,
        "updated_at": BEGIN,
    }
    clip = common | {
        "clip_id": f"{number:032x}",
        "intent_id": f"intent{number}",
        "object_key": file.key,
        "object_uri": file.uri,
        "sha256": file.sha256,
        "bytes": file.bytes,
        "mime": file.mime,
        "width": file.width,
        "height": file.height,
        "duration_seconds": file.seconds,
        "cost_microusd": 3_000,
    }
    return intent, clip


def _picture(store: Store, scratch: Path, number: int) -> _File:
    width, height = SIZES[number % len(SIZES)]
    y, x = np.mgrid[0:height, 0:width]
    angle = number * 0.7
    wave = np.sin((x * np.cos(angle) + y * np.sin(angle)) / (18 + number % 7 * 9))
    disc = (x - width * (0.3 + number % 5 / 10)) ** 2 + (y - height / 2) ** 2 < (height / 4) ** 2
    base = np.array([(number * 67) % 200 + 30, (number * 31) % 160 + 60, (number * 97) % 180 + 50])
    pixels = base + wave[..., None] * 40 + disc[..., None] * np.array([80, 50, -40])
    image = Image.fromarray(pixels.clip(0, 255).astype(np.uint8))
    content = picture_bytes("webp", image, quality=70)
    return _stored(store, scratch, content, Kind.IMAGE, "image/webp", "webp", (width, height))


def _sound(store: Store, scratch: Path, number: int) -> _File:
    content = sound_bytes("mp3", tone(1.5 + number))
    return _stored(store, scratch, content, Kind.AUDIO, "audio/mpeg", "mp3", None, 1.5 + number)


def _stored(
    store: Store,
    scratch: Path,
    content: bytes,
    kind: Kind,
    mime: str,
    extension: str,
    size: tuple[int, int] | None,
    seconds: float | None = None,
) -> _File:
    sha256 = hashlib.sha256(content).hexdigest()
    path = scratch / sha256
    path.write_bytes(content)
    stored = store.put(clip_key(kind, sha256, extension), path, sha256=sha256, content_type=mime)
    width, height = size or (None, None)
    return _File(kind, stored.key, stored.uri, sha256, len(content), mime, width, height, seconds)
