"""What `doctor --team` looks at: whether several machines can work on one ledger.

What one machine needs, its clock among it, belongs in the other modules of this room.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from typing import Any, Final, cast

import yaml

from asset_pipeline.defs.instance.home import dagster_home
from asset_pipeline.disclosure.addresses import shown_address
from asset_pipeline.ledger.engine import parse_url
from asset_pipeline.monitoring.checkup import Checkup, State
from asset_pipeline.settings import Settings
from asset_pipeline.stores.factory import bucket_of

_BROKER_SECONDS: Final = 5.0
_OUR_STORAGE: Final = "PostgresStorageByProvider"
_PAGE: Final = "docs/how-to/run-on-a-server.md says how."

_Config = Mapping[str, Any]


def look_at_team(settings: Settings) -> Iterator[Checkup]:
    """Look at what machines share; nothing is changed."""
    yield _ledger(settings)
    yield _store(settings)
    yield _prompts(settings)
    config = _instance_config()
    yield _storage(config)
    yield from _run_engine(config)


def _ledger(settings: Settings) -> Checkup:
    if parse_url(settings.ledger_url).get_backend_name() == "postgresql":
        return Checkup("team: ledger", State.OK, "It is on Postgres.")
    return Checkup(
        "team: ledger",
        State.FAIL,
        "It is a file of this machine, so each machine would pay for the same clips.",
        "Set ASSET_PIPELINE_LEDGER_URL to a Postgres, on every machine the same.",
    )


def _store(settings: Settings) -> Checkup:
    where = shown_address(settings.store_url)
    if bucket_of(settings.store_url) is None:
        return Checkup(
            "team: store",
            State.FAIL,
            f"{where} is a folder: what one machine stores is missing on the others.",
            "Set ASSET_PIPELINE_STORE_URL to s3://bucket/prefix or gs://bucket/prefix.",
        )
    return Checkup("team: store", State.OK, f"{where} is a bucket, the same for all machines.")


def _prompts(settings: Settings) -> Checkup:
    """Name the state of the prompt files in a word, to compare with the other machines'."""
    digest, count = hashlib.sha256(), 0
    for path in sorted(settings.prompts_dir.rglob("*")):
        if path.is_file() and not path.name.startswith("."):
            digest.update(str(path.relative_to(settings.prompts_dir)).encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
            count += 1
    return Checkup(
        "team: prompts",
        State.OK,
        f"{count:,} files, in the state {digest.hexdigest()[:12]}.",
        "It must be the same on every machine: a shared volume, or one commit of a checkout.",
    )


def _instance_config() -> _Config:
    """Return what dagster.yaml says, an empty one if there is none that can be read."""
    try:
        found = yaml.safe_load((dagster_home() / "dagster.yaml").read_text(encoding="utf-8"))
    except (OSError, UnicodeError, yaml.YAMLError):
        return {}
    return cast("_Config", found) if isinstance(found, dict) else {}


def _storage(config: _Config) -> Checkup:
    storage = _part(config, "storage")
    if _part(storage, "custom").get("class") == _OUR_STORAGE:
        if _value(_part(_part(storage, "custom"), "config").get("postgres_url")):
            return Checkup("team: Dagster", State.OK, "Runs and events are on Postgres.")
        return Checkup(
            "team: Dagster",
            State.FAIL,
            "The address of Dagster's Postgres is not set.",
            "Set DAGSTER_POSTGRES_URL.",
        )
    if "postgres" in storage:
        return Checkup(
            "team: Dagster",
            State.WARN,
            "Runs and events are on Postgres by the stock classes, which write 42 planned "
            "partitions a second; and a bare postgresql:// address closes the web server's "
            "connections.",
            "Take the storage of deploy/dagster.postgres.yaml: the tables are the same.",
        )
    return Checkup(
        "team: Dagster",
        State.FAIL,
        "Runs and events are in files of this machine.",
        f"Use deploy/dagster.postgres.yaml or deploy/dagster.celery.yaml; {_PAGE}",
    )


def _run_engine(config: _Config) -> Iterator[Checkup]:
    launcher = _part(config, "run_launcher")
    name = str(launcher.get("class", ""))
    if name == "CeleryRunLauncher":
        yield from _celery(_part(launcher, "config"), _slots_wanted(config))
    elif name == "K8sRunLauncher":
        yield Checkup("team: runs", State.OK, "Each run is a job of Kubernetes.")
    elif name:
        yield Checkup("team: runs", State.OK, f"Runs are launched by {name}.")
    else:
        yield Checkup(
            "team: runs",
            State.WARN,
            "Runs are processes of the code server's machine, and of no other.",
            f"For several machines use deploy/dagster.celery.yaml; {_PAGE}",
        )


def _slots_wanted(config: _Config) -> int:
    runs = _part(_part(config, "concurrency"), "runs").get("max_concurrent_runs")
    return runs if isinstance(runs, int) else 0


def _celery(config: _Config, wanted: int) -> Iterator[Checkup]:
    backend = _value(config.get("backend", "rpc://"))
    if not backend or backend.startswith("rpc"):
        yield Checkup(
            "team: runs",
            State.FAIL,
            "Celery keeps no results (rpc://), so run monitoring ends runs that are well.",
            "Set `backend` of the run launcher to the Redis that the broker is.",
        )
    broker = _value(config.get("broker"))
    if not broker:
        yield Checkup("team: runs", State.FAIL, "There is no broker.", "Set CELERY_BROKER_URL.")
        return
    try:
        slots = _worker_slots(broker)
    except ImportError:
        advice = "Install the extra `team`."
        yield Checkup("team: runs", State.FAIL, "Celery is not installed.", advice)
    except OSError as error:
        yield Checkup(
            "team: runs",
            State.FAIL,
            f"The broker can't be reached ({error}).",
            "Check CELERY_BROKER_URL, and that Redis runs and lets this machine in.",
        )
    else:
        yield _workers(slots, wanted)


def _worker_slots(broker: str) -> dict[str, int]:
    """Ask Celery's workers how many runs each takes at a time.

    Raises:
        ImportError: Celery is not installed.
        OSError: The broker can't be reached.
    """
    from celery import Celery  # noqa: PLC0415 -- of an extra, and half a second
    from kombu.exceptions import KombuError  # noqa: PLC0415 -- as above

    app: Any = Celery(broker=broker, set_as_current=False)
    try:
        with app.connection_for_write() as connection:
            connection.ensure_connection(max_retries=1, timeout=_BROKER_SECONDS)
    except KombuError as error:
        raise ConnectionError(type(error).__name__) from None
    stats: Mapping[str, _Config] = app.control.inspect(timeout=_BROKER_SECONDS / 2).stats() or {}
    return {
        name: int(_part(each, "pool").get("max-concurrency", 0)) for name, each in stats.items()
    }


def _workers(slots: Mapping[str, int], wanted: int) -> Checkup:
    if not slots:
        return Checkup(
            "team: runs",
            State.WARN,
            "The broker answers; no worker does.",
            "Start one: deploy/systemd/asset-pipeline-worker.service.",
        )
    total = sum(slots.values())
    told = f"{len(slots)} workers answer, with {total} slots for {wanted or 'any number of'} runs."
    if wanted and wanted <= total:
        return Checkup("team: runs", State.OK, told)
    return Checkup(
        "team: runs",
        State.WARN,
        told,
        f"Set max_concurrent_runs in dagster.yaml to {total} at the most: a run that waits for a "
        "worker is ended after start_timeout_seconds.",
    )


def _part(config: _Config, name: str) -> _Config:
    found: object = config.get(name)
    return cast("_Config", found) if isinstance(found, Mapping) else {}


def _value(given: object) -> str:
    """Return a value of dagster.yaml, which may name a variable that holds it."""
    if isinstance(given, Mapping):
        return os.environ.get(str(cast("_Config", given).get("env", "")), "")
    return str(given or "")
