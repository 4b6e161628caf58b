"""How many partitions a second Dagster's event log takes: ours beside the stock one.

On Postgres: planned partitions of a backfill's run, landed ones thirty at once as a batch tells
them, and one by one; by one process and by four.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor

import dagster as dg
from dagster._core.events import AssetMaterializationPlannedData, StepMaterializationData
from dagster_postgres import PostgresEventLogStorage

from asset_pipeline.defs.instance.postgres import BatchedPostgresEventLogStorage, storage_url
from asset_pipeline.settings import ProviderName
from asset_pipeline_tests.support.postgres import new_database, running_postgres

_CLASSES = {"stock": PostgresEventLogStorage, "ours": BatchedPostgresEventLogStorage}
_TOGETHER = 30
_PROCESSES = 4


def main(arguments: Sequence[str] | None = None) -> int:
    """Print partitions a second for each class, kind of event and number of processes."""
    parser = argparse.ArgumentParser(prog="event_log_speed", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="for each figure")
    given = parser.parse_args(arguments)
    print(f"{'Partitions a second':<24}{'30 at once':>14}{'single':>14}{'planned':>14}")
    with running_postgres() as server:
        for name in _CLASSES:
            figures: list[str] = []
            for kind in ("together", "single", "planned"):
                url = new_database(server).get_secret_value()
                one = _rate(name, url, kind, given.seconds, processes=1)
                four = _rate(name, url, kind, given.seconds, processes=_PROCESSES)
                figures.append(f"{one:,.0f} / {four:,.0f}")
            print(f"{name + ', 1 / 4 processes':<24}" + "".join(f"{each:>14}" for each in figures))
    return 0


def _rate(name: str, url: str, kind: str, seconds: float, *, processes: int) -> float:
    url = storage_url(url, ProviderName.REPLICATE)
    _CLASSES[name](url).dispose()
    with ProcessPoolExecutor(processes) as pool:
        jobs = [
            pool.submit(_write, name, url, kind, seconds, str(number))
            for number in range(processes)
        ]
        return sum(job.result() for job in jobs)


def _write(name: str, url: str, kind: str, seconds: float, run_id: str) -> float:
    """Write for so long, and return partitions a second."""
    storage = _CLASSES[name](url)
    write = _writers(storage, run_id)[kind]
    next(write)  # connections and statements are made
    written, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        written += next(write)
    rate = written / (time.perf_counter() - started)
    storage.dispose()
    return rate


def _writers(storage: PostgresEventLogStorage, run_id: str) -> dict[str, Iterator[int]]:
    def written(of: Callable[[str], dg.EventLogEntry], size: int) -> Iterator[int]:
        batch = [of(f"{run_id}-{number}") for number in range(size)]
        while True:
            if size == 1:
                storage.store_event(batch[0])
            else:
                storage.store_event_batch(batch)
            yield size

    def landed(partition: str) -> dg.EventLogEntry:
        tags = {
            f"dagster/{name}": f"{name}-{partition}" for name in ("data_version", "code_version")
        }
        metadata = {"preview": dg.MetadataValue.md("x" * 8000), "cost": 0.003}
        made = dg.AssetMaterialization(
            dg.AssetKey("image"), partition=partition, tags=tags, metadata=metadata
        )
        return _entry(run_id, "ASSET_MATERIALIZATION", StepMaterializationData(made))

    def planned(partition: str) -> dg.EventLogEntry:
        data = AssetMaterializationPlannedData(dg.AssetKey("image"), partition)
        return _entry(run_id, "ASSET_MATERIALIZATION_PLANNED", data)

    return {
        "together": written(landed, _TOGETHER),
        "single": written(landed, 1),
        "planned": written(planned, 1000),
    }


def _entry(run_id: str, kind: str, data: object) -> dg.EventLogEntry:
    event = dg.DagsterEvent(event_type_value=kind, job_name="clips", event_specific_data=data)
    return dg.EventLogEntry(
        error_info=None,
        user_message="",
        level=20,
        run_id=run_id,
        timestamp=time.time(),
        dagster_event=event,
    )


if __name__ == "__main__":
    os.environ.setdefault("DAGSTER_DISABLE_TELEMETRY", "true")
    raise SystemExit(main())
