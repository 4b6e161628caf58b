"""The whole `generate` command against a bare asyncio loop on the same client, side by side.

The bare loop does what a careful script does and nothing else: sixty-four predictions in flight
with `replicate`'s own asynchronous calls, a question each half second, the file saved. `generate`
also reserves, records, verifies, previews, stores, tells Dagster and publishes; its time counts
from the start of the command to its end, in a project that has made one clip before (a new one
spends two seconds more on creating its databases). Both talk to the same sandbox in turn.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import yaml
from replicate.client import Client

MODEL = "black-forest-labs/flux-schnell"
GENERATE = [str(Path(sys.executable).with_name("asset-pipeline")), "generate", "--all"]
INPUTS = {"megapixels": "0.25", "output_format": "webp", "num_outputs": 1}


def main(arguments: Sequence[str]) -> int:
    """Print both times, their ratio and the command's peak memory."""
    parser = argparse.ArgumentParser(prog="generate_speed", description=__doc__)
    parser.add_argument("--clips", type=int, default=500)
    parser.add_argument("--in-flight", type=int, default=64)
    parser.add_argument("--predict-seconds", default="2")
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--no-bare", action="store_true", help="only the command, for its memory")
    given = parser.parse_args(arguments)
    bare: list[float] = []
    whole: list[float] = []
    for number in range(given.rounds):
        with (
            tempfile.TemporaryDirectory(prefix="generate-speed-") as folder,
            sandbox(Path(folder), given.predict_seconds) as url,
        ):
            if not given.no_bare:
                bare.append(bare_loop(url, Path(folder), given.clips, given.in_flight, number))
                print(f"bare loop  {bare[-1]:7.1f} s", flush=True)
            seconds, memory = generate(url, Path(folder), given.clips, given.in_flight)
            whole.append(seconds)
            print(f"generate   {seconds:7.1f} s, peak memory {memory:.0f} MB", flush=True)
    if bare:
        ratio = statistics.median(whole) / statistics.median(bare)
        print(f"{given.clips} clips: generate takes {ratio:.2f} times the bare loop's time")
    return 0


@contextmanager
def sandbox(folder: Path, predict_seconds: str) -> Generator[str]:
    """Run a sandbox without limits and yield its address."""
    command = [
        sys.executable,
        "-m",
        "asset_pipeline.sandbox",
        "--state-dir",
        str(folder / "sandbox"),
    ]
    command += ["--predict-seconds", predict_seconds, "--start-seconds", "0"]
    command += ["--creates-per-minute", "0", "--requests-per-minute", "0"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    record = folder / "sandbox" / "server.json"
    try:
        while not record.exists():
            time.sleep(0.05)
        yield json.loads(record.read_text())["url"]
    finally:
        process.terminate()
        process.wait()


def bare_loop(url: str, folder: Path, clips: int, in_flight: int, number: int = 0) -> float:
    """Return the seconds that the careful script takes."""
    target = folder / "bare"
    target.mkdir()
    started = time.monotonic()
    asyncio.run(_loop(url, target, clips, in_flight, number))
    assert len(list(target.iterdir())) == clips
    return time.monotonic() - started


async def _loop(url: str, target: Path, clips: int, in_flight: int, number: int) -> None:
    client = Client(api_token="sandbox", base_url=url)
    places = asyncio.Semaphore(in_flight)

    async def one(index: int, files: httpx.AsyncClient) -> None:
        async with places:
            inputs = {**INPUTS, "prompt": f"Bare picture {index}", "seed": number * clips + index}
            prediction = await client.models.predictions.async_create(model=MODEL, input=inputs)
            while prediction.status not in {"succeeded", "failed", "canceled"}:
                await asyncio.sleep(0.5)
                prediction = await client.predictions.async_get(prediction.id)
            output = prediction.output
            assert output is not None
            content = (await files.get(output[0])).content
            (target / f"{index}.webp").write_bytes(content)

    async with httpx.AsyncClient() as files:
        await asyncio.gather(*(one(index, files) for index in range(clips)))


def generate(url: str, folder: Path, clips: int, in_flight: int) -> tuple[float, float]:
    """Return the seconds and the megabytes of `asset-pipeline generate --all`."""
    # One more than is timed: the first is made before.
    environment = project(url, folder, clips + 1, in_flight)
    subprocess.run([*GENERATE, "--limit", "1"], env=environment, check=True, capture_output=True)
    started = time.monotonic()
    process = subprocess.Popen(
        GENERATE, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.monotonic() - started
    assert os.waitstatus_to_exitcode(status) == 0
    assert isinstance(usage, resource.struct_rusage)
    return seconds, usage.ru_maxrss / 1024


def project(url: str, folder: Path, clips: int, in_flight: int) -> dict[str, str]:
    """Write a project of so many small pictures; return the environment of its commands."""
    images = folder / "prompts" / "images"
    images.mkdir(parents=True)
    prompts = [{"id": f"picture-{n:05}", "text": f"Recorded picture {n}"} for n in range(clips)]
    document = {
        "defaults": {"model": MODEL, "inputs": {"megapixels": "0.25"}},
        "prompts": prompts,
    }
    (images / "speed.yaml").write_text(yaml.safe_dump(document))
    return {
        **os.environ,
        "DAGSTER_HOME": str(folder / "dagster"),
        "ASSET_PIPELINE_PROVIDER": "sandbox",
        "REPLICATE_BASE_URL": url,
        "ASSET_PIPELINE_PROMPTS_DIR": str(folder / "prompts"),
        "ASSET_PIPELINE_DATA_DIR": str(folder / "data"),
        "ASSET_PIPELINE_CONFIG_DIR": str(folder / "config"),
        "ASSET_PIPELINE_RATE_LIMIT_PER_MINUTE": "0",
        "ASSET_PIPELINE_MAX_IN_FLIGHT": str(in_flight),
        "ASSET_PIPELINE_BUDGET_DAILY_USD": "1000",
        "ASSET_PIPELINE_BUDGET_TOTAL_USD": "1000",
    }
