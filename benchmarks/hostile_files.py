"""Hostile collection files, media and environments by the thousand: none stops or floods anything.

Each collection file stands beside a good one, which must be read; each medium goes through the
decoder processes of a batch; each environment is read as a command reads it. Counted are errors of
kinds that nobody expects, what took more than ten seconds, and the peak of memory.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import resource
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from unittest import mock

from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.media.decoder_pool import DecoderPool
from asset_pipeline.prompts.library import load_library
from asset_pipeline.settings import load_settings
from asset_pipeline_tests.foreign import mutations
from asset_pipeline_tests.support import media_samples

PATIENCE = 10.0
MOST_MEGABYTES = 600
_GOOD = "defaults: {model: black-forest-labs/flux-schnell}\nprompts: [{id: good, text: A tree}]\n"


@dataclass
class Tally:
    """What came of one kind."""

    done: int = 0
    refused: int = 0
    longest: float = 0.0
    faults: list[str] = field(default_factory=list[str])

    def note(self, what: str, started: float, *, refused: bool) -> None:
        """Count one that ended as it may, or took too long."""
        took = time.monotonic() - started
        self.done += 1
        self.refused += refused
        self.longest = max(self.longest, took)
        if took > PATIENCE:
            self.faults.append(f"{what} took {took:.1f} s")

    def broke(self, what: str) -> None:
        """Count one whose error nobody expects."""
        self.done += 1
        self.faults.append(f"{what}: {traceback.format_exc(limit=-3)}")


def collections(count: int) -> Tally:
    """Read so many files, each beside a good one."""
    tally, catalog = Tally(), load_catalog(None)
    with tempfile.TemporaryDirectory() as folder:
        images = Path(folder, "images")
        images.mkdir()
        (images / "zz-good.yaml").write_text(_GOOD)
        for number in range(count):
            (images / "odd.yaml").write_bytes(mutations.collection(number))
            started = time.monotonic()
            try:
                library = load_library(Path(folder), catalog, on=date(2026, 11, 28))
                assert any(key[1] == "good" for key in library.prompts), "the good one is lost"
                for problem in library.problems:
                    str(problem).encode()
                tally.note(f"collection {number}", started, refused=bool(library.problems))
            except Exception:  # noqa: BLE001 -- it is what is counted
                tally.broke(f"collection {number}")
    return tally


def media(count: int) -> Tally:
    """Have so many files decoded, and a good one after every twenty."""
    return asyncio.run(_media(count))


async def _media(count: int) -> Tally:
    tally = Tally()
    with tempfile.TemporaryDirectory() as folder:
        decoders = DecoderPool(2, Path(folder, "previews"))
        try:
            for number in range(count):
                content, kind = mutations.media(number)
                path = media_samples.written(Path(folder), content, "odd")
                started = time.monotonic()
                try:
                    await decoders.receive(path, kind)
                    tally.note(f"medium {number}", started, refused=False)
                except AssetPipelineError:
                    tally.note(f"medium {number}", started, refused=True)
                except Exception:  # noqa: BLE001 -- it is what is counted
                    tally.broke(f"medium {number}")
        finally:
            await decoders.aclose()
    return tally


def environments(count: int) -> Tally:
    """Read the settings from so many environments."""
    tally = Tally()
    for number in range(count):
        odd = {k: v for k, v in mutations.environment(number).items() if "\0" not in v}
        started = time.monotonic()
        try:
            with mock.patch.dict(os.environ, odd):
                settings = load_settings()
                str(settings.ledger_url), settings.store_url, settings.publish_url
            tally.note(f"environment {odd}", started, refused=False)
        except AssetPipelineError:
            tally.note(f"environment {odd}", started, refused=True)
        except Exception:  # noqa: BLE001 -- it is what is counted
            tally.broke(f"environment {odd}")
    return tally


KINDS: dict[str, tuple[Callable[[int], Tally], int]] = {
    "collections": (collections, 2_000),
    "media": (media, 2_000),
    "environments": (environments, 500),
}


def main(arguments: Sequence[str]) -> int:
    """Print a line a kind; fail where something broke, hung or took too much memory."""
    parser = argparse.ArgumentParser(prog="hostile_files", description=__doc__)
    for name, (_, count) in KINDS.items():
        parser.add_argument(f"--{name}", type=int, default=count)
    given = parser.parse_args(arguments)
    broken = False
    for name, (run, _) in KINDS.items():
        started = time.monotonic()
        tally = run(getattr(given, name))
        who = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        peak = max(resource.getrusage(each).ru_maxrss for each in who) / 1024
        print(
            f"{name:13} {tally.done:5} in {time.monotonic() - started:6.1f} s, {tally.refused} "
            f"refused, longest {tally.longest:.2f} s, peak {peak:.0f} MB, "
            f"{len(tally.faults)} faults",
            flush=True,
        )
        print("".join(f"{fault}\n" for fault in tally.faults[:10]), end="")
        broken = broken or bool(tally.faults) or peak > MOST_MEGABYTES
    return int(broken)
