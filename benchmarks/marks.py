"""What marking and signing a file costs: bytes and CPU milliseconds, beside rendering alone."""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.ledger.provenance import Payment
from asset_pipeline.ledger.records import Clip
from asset_pipeline.media.image_renditions import ready_to_render, render_picture
from asset_pipeline.money import MicroUsd
from asset_pipeline.prompts.provenance import DEFAULT
from asset_pipeline.prompts.rendition_specs import ImageRendition
from asset_pipeline.provenance.keys import AUTHORITY, make_development_key
from asset_pipeline.provenance.manifests import ManifestReader, ManifestSigner
from asset_pipeline.provenance.marker import Marker
from asset_pipeline.provenance.statement import Statement

TURNS = 15
RENDITIONS = 500


def main(arguments: Sequence[str]) -> int:
    """Print medians a file of 500 kB in each format, and a batch of renditions with and without.

    Args:
        arguments: ``--renditions=N`` for another batch than 500.
    """
    count = next((int(a.partition("=")[2]) for a in arguments if "renditions=" in a), RENDITIONS)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        key = make_development_key(root / "keys", datetime.now(UTC))
        anchors = (root / "keys" / AUTHORITY).read_text()
        signing = Marker(ManifestSigner(key, ManifestReader(anchors)))
        figures = {path.suffix[1:]: _a_file(path, signing) for path in _files(root)}
        print(json.dumps({"a_file_of_500_kB": figures}, indent=2))
        plain, signed = _batch(root, count, None), _batch(root, count, signing)
        ratio = round(signed / plain, 3)
        batch = {"renditions": count, "plain_s": plain, "signed_s": signed, "ratio": ratio}
        print(json.dumps({"batch": batch}, indent=2))
    fits = all(f["signed_bytes"] <= 4096 and f["sign_ms"] <= 12 for f in figures.values())
    return 0 if fits and ratio <= 1.15 else 1


def _a_file(path: Path, signing: Marker) -> dict[str, float]:
    said, copy = _said(path), path.with_name(f"copy{path.suffix}")

    def timed(marker: Marker) -> tuple[float, int]:
        taken: list[float] = []
        size = 0
        for _ in range(TURNS):
            shutil.copyfile(path, copy)
            began = time.process_time()
            size = marker.mark(copy, said, original=path, actions=["c2pa.published"]).bytes
            taken.append(1000 * (time.process_time() - began))
        return statistics.median(taken), size

    mark_ms, marked = timed(Marker())
    both_ms, signed = timed(signing)
    return {
        "bytes": path.stat().st_size,
        "marked_bytes": marked - path.stat().st_size,
        "signed_bytes": signed - marked,
        "mark_ms": round(mark_ms, 2),
        "sign_ms": round(both_ms, 2),
    }


def _batch(root: Path, count: int, marker: Marker | None) -> float:
    """Return the seconds of CPU of so many renditions of one decoded megapixel."""
    original = root / "original.png"
    with Image.open(original) as image:
        picture = ready_to_render(image)
    setting, target, said = (
        ImageRendition(format="webp", max_side=1024),
        root / "r",
        _said(original),
    )
    began = time.process_time()
    for _ in range(count):
        render_picture(picture, target, setting)
        if marker is not None:
            marker.mark(target, said, original=original, actions=["c2pa.resized"])
    return round(time.process_time() - began, 2)


def _files(root: Path) -> list[Path]:
    noise = np.random.default_rng(1)
    pixels = noise.normal(128, 20, (1024, 1024, 3)).clip(0, 255).astype("uint8")
    Image.fromarray(pixels).resize((900, 900)).save(root / "original.png")
    made = [root / "original.png"]
    for name, side, options in (
        ("png", 470, {}),
        ("jpg", 1000, {"quality": 85}),
        ("webp", 1000, {"quality": 85}),
        ("avif", 900, {"quality": 80}),
    ):
        path = root / f"file.{name}"
        Image.fromarray(pixels).resize((side, side)).save(path, **options)
        made.append(path)
    seconds: dict[str, float] = {"wav": 10, "flac": 12, "mp3": 60}
    for name, length in seconds.items():
        path = root / f"sound.{name}"
        samples = noise.normal(0, 0.1, round(24_000 * length)).astype("float32")
        soundfile.write(path, samples, 24_000)
        made.append(path)
    return made[1:]


def _said(path: Path) -> Statement:
    picture = path.suffix in {".png", ".jpg", ".webp", ".avif"}
    clip = Clip(
        clip_id="1" * 32,
        kind=Kind.IMAGE if picture else Kind.AUDIO,
        prompt_id="benchmark",
        collection="benchmarks",
        variant=1,
        model="black-forest-labs/flux-schnell",
        generation_hash="9" * 64,
        intent_id="2" * 32,
        prediction_id="p" * 26,
        run_id="run",
        object_key="image/cc/c.webp",
        object_uri="file:///c.webp",
        sha256="c" * 64,
        bytes=1,
        mime="image/webp",
        width=1024,
        height=1024,
        duration_seconds=None,
        cost_microusd=MicroUsd(3000),
        created_at=datetime.now(UTC),
        superseded_at=None,
        provider="sandbox",
    )
    payment = Payment("A lion in fog", 42, {"num_inference_steps": 4}, MicroUsd(3000))
    return Statement(clip, payment, DEFAULT)
