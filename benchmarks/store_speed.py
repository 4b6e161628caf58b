"""The S3 store beside bare obstore and bare boto3: 500 objects of 200 kB, on a real SeaweedFS.

Each contender puts the same bytes from files into a prefix of its own, by the same number of
threads as a batch has, and then reads them back; all run in turns against the same server. Bare
obstore and boto3 put what they are given: they neither verify the content nor care whether an
object is there already. The store may take 1.2 times obstore's time, and has to be 1.5 times as
fast as boto3.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import boto3.session
import obstore
from botocore.config import Config
from obstore.store import S3Store

from asset_pipeline.stores.factory import open_store
from asset_pipeline_tests.support.servers.seaweed import ACCESS_KEY, BUCKET, SECRET_KEY, SeaweedFS

_MOST_OF_OBSTORE = 1.2
_LEAST_OF_BOTO3 = 1.5


@dataclass(frozen=True)
class Contender:
    """What puts a file under a key, and what reads it back."""

    put: Callable[[Path, str, str], None]
    get: Callable[[str], None]


@dataclass(frozen=True)
class Figures:
    """Seconds of one round."""

    put: float
    put_cpu: float
    get: float


def _store(_: SeaweedFS, prefix: str) -> Contender:
    store = open_store(f"s3://{BUCKET}/{prefix}")

    def put(path: Path, key: str, sha256: str) -> None:
        store.put(key, path, sha256=sha256, content_type="image/webp")

    def get(key: str) -> None:
        for _ in store.read(key):
            pass

    return Contender(put, get)


def _obstore(server: SeaweedFS, prefix: str) -> Contender:
    store = S3Store(
        BUCKET,
        prefix=prefix,
        endpoint=server.url,
        region="us-east-1",
        access_key_id=ACCESS_KEY,
        secret_access_key=SECRET_KEY,
        client_options={"allow_http": True, "timeout": timedelta(minutes=1)},
    )

    def put(path: Path, key: str, _: str) -> None:
        obstore.put(store, key, path.read_bytes())

    return Contender(put, lambda key: obstore.get(store, key).bytes() and None)


def _boto3(server: SeaweedFS, prefix: str) -> Contender:
    session = boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name="us-east-1")
    client = session.client("s3", endpoint_url=server.url, config=Config(max_pool_connections=32))

    def put(path: Path, key: str, _: str) -> None:
        client.put_object(Bucket=BUCKET, Key=f"{prefix}/{key}", Body=path.read_bytes())

    def get(key: str) -> None:
        client.get_object(Bucket=BUCKET, Key=f"{prefix}/{key}")["Body"].read()

    return Contender(put, get)


def _round(contender: Contender, files: Sequence[tuple[Path, str, str]], threads: int) -> Figures:
    with ThreadPoolExecutor(threads) as pool:
        began, cpu = time.perf_counter(), time.process_time()
        list(pool.map(lambda each: contender.put(*each), files))
        put, put_cpu = time.perf_counter() - began, time.process_time() - cpu
        began = time.perf_counter()
        list(pool.map(lambda each: contender.get(each[1]), files))
        return Figures(put, put_cpu, time.perf_counter() - began)


def _files(folder: Path, objects: int, size: int) -> list[tuple[Path, str, str]]:
    made: list[tuple[Path, str, str]] = []
    for number in range(objects):
        content = os.urandom(size)
        sha256 = hashlib.sha256(content).hexdigest()
        path = folder / str(number)
        path.write_bytes(content)
        made.append((path, f"image/{sha256[:2]}/{sha256}.webp", sha256))
    return made


def main(arguments: Sequence[str]) -> int:
    """Measure and print; return 1 if a mark is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, default=500)
    parser.add_argument("--bytes", type=int, default=200_000)
    parser.add_argument("--threads", type=int, default=8, help="as a batch has")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args(arguments)
    kinds = {"store": _store, "obstore": _obstore, "boto3": _boto3}
    found: dict[str, list[Figures]] = {name: [] for name in kinds}
    with tempfile.TemporaryDirectory() as folder:
        server = SeaweedFS(Path(folder) / "seaweed")
        server.start()
        try:
            os.environ.update(server.environment)
            files = _files(Path(folder), chosen.objects, chosen.bytes)
            for number in range(chosen.rounds + 1):
                for name, kind in kinds.items():
                    contender = kind(server, f"{name}-{uuid.uuid4().hex}")
                    figures = _round(contender, files, chosen.threads)
                    if number:  # the first round warms up the server
                        found[name].append(figures)
        finally:
            server.stop()
    return _report(found, chosen.objects)


def _report(found: dict[str, list[Figures]], objects: int) -> int:
    put = {name: statistics.median(each.put for each in rounds) for name, rounds in found.items()}
    for name, rounds in found.items():
        get = statistics.median(each.get for each in rounds)
        cpu = statistics.median(each.put_cpu for each in rounds)
        print(
            f"{name:8} put {objects / put[name]:6,.0f}/s  {1000 * cpu / objects:5.2f} ms of CPU"
            f"  get {objects / get:6,.0f}/s"
        )
    of_obstore, of_boto3 = put["store"] / put["obstore"], put["boto3"] / put["store"]
    print(f"store: {of_obstore:.2f} times obstore's time (at most {_MOST_OF_OBSTORE})")
    print(f"store: {of_boto3:.2f} times as fast as boto3 (at least {_LEAST_OF_BOTO3})")
    return int(of_obstore > _MOST_OF_OBSTORE or of_boto3 < _LEAST_OF_BOTO3)


if __name__ == "__main__":
    raise SystemExit(main([]))
