"""Seeded generators of hostile input: collection files, media and environments, any number."""

from __future__ import annotations

import random
from collections.abc import Callable

from asset_pipeline.catalog.kind import Kind
from asset_pipeline_tests.media import bombs
from asset_pipeline_tests.support import media_samples

_WORDS = (
    "prompts", "id", "text", "model", "variants", "tags", "inputs", "seed", "style", "defaults",
    "reference", "collection", "renditions", "true", "null", "~", "1e400", "-0", ".nan", "0x1F",
    "2026-11-28", "16:9", "black-forest-labs/flux-schnell", "jaaari/kokoro-82m", "../../etc/passwd",
    "!!python/name:os.system", "&a", "*a", "<<", "%TAG ! x", "---", "...", "\ufeff", "\u2028",
    "\x07", "\U0001f600", "a" * 300, "9" * 400, "{{x}}", "javascript:alert(1)",
)  # fmt: skip
_SIGNS = (
    ": ",
    "- ",
    "\n",
    "\n  ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    "'",
    '"',
    "|\n",
    ">\n",
    "? ",
    "#",
    "\t",
    "\\",
    " ",
)
_SEED_FILE = """collection: houses
defaults: {model: black-forest-labs/flux-schnell, variants: 2, style: "muted, clean"}
prompts:
  - id: red-house
    text: A red house
    tags: [outside, red]
    inputs: {num_inference_steps: 4, aspect_ratio: "16:9"}
  - {id: boat, text: A boat, inputs: {seed: 7}}
"""


def collection(number: int) -> bytes:
    """A collection file: damaged, assembled at random, or blown up."""
    rng = random.Random(number)
    makers: tuple[Callable[[random.Random], bytes], ...] = (_damaged, _assembled, _spliced, _blown)
    return makers[number % len(makers)](rng)


def media(number: int) -> tuple[bytes, Kind]:
    """A picture or a sound with some bytes changed, cut, doubled or mixed up; or a bomb."""
    rng = random.Random(number)
    if number % 50 == 0:
        return _BOMBS[number // 50 % len(_BOMBS)]
    extension = rng.choice((*media_samples.PICTURES, *media_samples.SOUNDS))
    kind = Kind.IMAGE if extension in media_samples.PICTURES else Kind.AUDIO
    return bytes(_changed(rng, bytearray(_original(extension)))), kind


def environment(number: int) -> dict[str, str]:
    """Some of the settings' variables, with values that nobody means."""
    rng = random.Random(number)
    names = rng.sample(_VARIABLES, rng.randint(1, 4))
    return {name: rng.choice(_VALUES) for name in names}


_VARIABLES = (
    "ASSET_PIPELINE_PROVIDER", "ASSET_PIPELINE_PROMPTS_DIR", "ASSET_PIPELINE_DATA_DIR",
    "ASSET_PIPELINE_CONFIG_DIR", "ASSET_PIPELINE_LEDGER_URL", "ASSET_PIPELINE_STORE_URL",
    "ASSET_PIPELINE_MAX_IN_FLIGHT", "ASSET_PIPELINE_RATE_LIMIT_PER_MINUTE",
    "ASSET_PIPELINE_BUDGET_TOTAL_USD", "ASSET_PIPELINE_BUDGET_DAILY_USD",
    "ASSET_PIPELINE_BUDGET_RUN_USD", "ASSET_PIPELINE_WEBHOOK_URL",
    "ASSET_PIPELINE_LATE_ACCEPTANCE_SECONDS", "ASSET_PIPELINE_MAX_IMAGES_DECODED",
    "ASSET_PIPELINE_DECODER_MEGABYTES", "ASSET_PIPELINE_DECODER_CPU_SECONDS",
    "ASSET_PIPELINE_DECODER_WALL_SECONDS", "ASSET_PIPELINE_PUBLISH_URL", "REPLICATE_BASE_URL",
    "REPLICATE_API_TOKEN", "ASSET_PIPELINE_STORE_ADDRESSING", "ASSET_PIPELINE_STORE_HEADERS",
)  # fmt: skip
_VALUES = (
    "", " ", "0", "-1", "1", "64", "1e400", "nan", "Infinity", "9" * 5000, "0.1", "١٢", "true", "x",
    "../..", "/", "/dev/null", "/dev/full", "/proc/self/mem", "~", "~nobody-at-all/x", "a" * 5000,
    "\udcff", "\x1b[2J", "a\nb", "sqlite:///", "sqlite:////dev/null", "postgresql://",
    "mysql://x", "http://", "http://[", "https://u:p@h:99999/", "s3://", "s3:///k", "gs://", "file://",
    "sandbox", "REPLICATE", "{}", "[]", "null", "javascript:alert(1)",
)  # fmt: skip


def _damaged(rng: random.Random) -> bytes:
    return bytes(_changed(rng, bytearray(_SEED_FILE.encode())))


def _assembled(rng: random.Random) -> bytes:
    parts = [rng.choice(rng.choice((_WORDS, _SIGNS))) for _ in range(rng.randint(1, 400))]
    return "".join(parts).encode()


def _spliced(rng: random.Random) -> bytes:
    lines = _SEED_FILE.splitlines(keepends=True) * rng.randint(1, 3)
    for _ in range(rng.randint(1, 6)):
        place = rng.randrange(len(lines))
        lines[place] = rng.choice(
            (lines[place] * 2, f"{rng.choice(_WORDS)}: ", lines[0], "- " * 50)
        )
    return "".join(lines).encode()


def _blown(rng: random.Random) -> bytes:
    unit = rng.choice(
        (*_SIGNS, "a: [", "- {a: ", "- &a *a\n", "? {", "!t ", "'' ", "a: 1\n", "\x00")
    )
    return (_SEED_FILE[: rng.randint(0, 80)] + unit * rng.randint(1, 5000)).encode()


def _changed(rng: random.Random, content: bytearray) -> bytearray:
    for _ in range(rng.randint(1, 8)):
        place = rng.randrange(len(content) + 1)
        length = rng.choice((1, 2, 4, 64))
        match rng.randrange(5):
            case 0:
                content[place : place + length] = rng.randbytes(length)
            case 1:
                del content[place : place + length]
            case 2:
                content[place:place] = content[:place][-length:]
            case 3:
                content[place : place + 4] = rng.choice(
                    (b"\xff" * 4, bytes(4), b"\x7f\xff\xff\xff")
                )
            case _:
                if rng.random() < 0.1:
                    del content[place:]
    return content


_ORIGINALS: dict[str, bytes] = {}


def _original(extension: str) -> bytes:
    if extension not in _ORIGINALS:
        made = (
            media_samples.picture_bytes
            if extension in media_samples.PICTURES
            else media_samples.sound_bytes
        )
        _ORIGINALS[extension] = made(extension)
    return _ORIGINALS[extension]


_BOMBS: tuple[tuple[bytes, Kind], ...] = (
    (bombs.scanned(2_000, 256), Kind.IMAGE),
    (bombs.wide_sound(), Kind.AUDIO),
    (bombs.odd_metadata(), Kind.IMAGE),
    (bombs.huge_picture(), Kind.IMAGE),
    (bombs.damaged_mp3(), Kind.AUDIO),
)
