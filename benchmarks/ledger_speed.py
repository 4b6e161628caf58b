"""The ledger's transactions a second beside bare SQLAlchemy's, by one process and by eight.

A round of the ledger is one paid clip: reserve, submit, accept, charge, deliver, each a durable
transaction with its entries, balances, clip and lineage: 14 rows in all. A round of bare SQLAlchemy
is one row inserted and then updated four times, each in a transaction of its own: BEGIN IMMEDIATE,
WAL, synchronous FULL, as in the ledger. The row is once an intent in the ledger's own file, with
its indexes, which is the mark to reach half of; and once three columns without an index, which
says what the disk gives at best. All run in turns on the same disk in the same minute.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sqlite3
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier
from pathlib import Path

from pydantic import SecretStr
from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    MetaData,
    String,
    Table,
    bindparam,
    create_engine,
    event,
    insert,
    update,
)

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.clock import SystemClock
from asset_pipeline.ledger.budgets import BudgetCaps
from asset_pipeline.ledger.engine import open_engine
from asset_pipeline.ledger.ledger import Ledger, Payer
from asset_pipeline.ledger.records import (
    AttemptInputs,
    Intent,
    NewIntent,
    Parent,
    StoredFile,
    row_of,
)
from asset_pipeline.ledger.schema import BillingState, intents
from asset_pipeline.money import MicroUsd

_STEPS = 5  # transactions a round, in the ledger and bare

_rows = Table(
    "rows",
    MetaData(),
    Column("row_id", String(32), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("amount", BigInteger, nullable=False),
)

Round = Callable[[], None]


def main(arguments: Sequence[str]) -> int:
    """Measure and print; 0 when the ledger reaches half of bare SQLAlchemy everywhere."""
    parser = argparse.ArgumentParser(prog="ledger_speed", description=__doc__)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each of the turns")
    parser.add_argument("--turns", type=int, default=5)
    given = parser.parse_args(arguments)
    print(f"transactions a second, median of {given.turns} turns of {given.seconds:g} s each")
    print(f"{'':12}{'three columns':>15}{'bare intent':>13}{'ledger':>9}{'ledger/bare intent':>20}")
    fine = True
    with tempfile.TemporaryDirectory(prefix="ledger-speed-") as folder:
        for processes in (1, 8):
            small, bare, ledger = _compare(Path(folder), processes, given.turns, given.seconds)
            label = f"{processes} process{'es' if processes > 1 else ''}"
            figures = f"{small:>15,.0f}{bare:>13,.0f}{ledger:>9,.0f}{ledger / bare:>20.2f}"
            print(f"{label:12}{figures}")
            fine &= ledger >= bare / 2
    return 0 if fine else 1


def _compare(folder: Path, processes: int, turns: int, seconds: float) -> tuple[float, ...]:
    """Return the medians of the three, each turn of one followed by turns of the others."""
    kinds = (_small_rounds, _bare_rounds, _ledger_rounds)
    measured = [
        [
            _turn(kind, folder / f"{kind.__name__}-{processes}.db", processes, seconds)
            for kind in kinds
        ]
        for _ in range(turns)
    ]
    return tuple(statistics.median(column) for column in zip(*measured, strict=True))


def _turn(
    open_rounds: Callable[[Path], Round], path: Path, processes: int, seconds: float
) -> float:
    """Let processes work on one file for so long and return their transactions a second."""
    open_rounds(path)  # the schema is there before the clock runs
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.ledger_speed"])
    barrier, counts = context.Barrier(processes), context.Queue()
    workers = [
        context.Process(target=_work, args=(open_rounds, path, seconds, barrier, counts))
        for _ in range(processes)
    ]
    for worker in workers:
        worker.start()
    total = sum(counts.get(timeout=seconds + 60) for _ in workers)
    for worker in workers:
        worker.join()
    return total


def _work(
    open_rounds: Callable[[Path], Round],
    path: Path,
    seconds: float,
    barrier: Barrier,
    counts: Queue[float],
) -> None:
    one_round = open_rounds(path)
    one_round()
    barrier.wait()
    started, rounds = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        one_round()
        rounds += 1
    counts.put(rounds * _STEPS / (time.perf_counter() - started))


def _small_rounds(path: Path) -> Round:
    engine = _bare_engine(path)
    _rows.create(engine, checkfirst=True)

    def row() -> dict[str, object]:
        return {"row_id": uuid.uuid4().hex, "state": "reserved", "amount": 3_000}

    return _plain_rounds(engine, _rows, row)


def _bare_rounds(path: Path) -> Round:
    open_engine(SecretStr(f"sqlite:///{path}")).dispose()  # makes the ledger's tables

    def row() -> dict[str, object]:
        new = _new_intent().reserved(1, run_id="run", worker_id="bare", now=datetime.now(UTC))
        return row_of(new)

    return _plain_rounds(_bare_engine(path), intents, row)


def _plain_rounds(engine: Engine, table: Table, new_row: Callable[[], dict[str, object]]) -> Round:
    """Insert a row and update its state four times: what anyone writes with SQLAlchemy Core."""
    new = insert(table)
    key = next(iter(table.primary_key))
    move = update(table).where(key == bindparam("key")).values(state=bindparam("now"))

    def one_round() -> None:
        row = new_row()
        with engine.begin() as connection:
            connection.execute(new, row)
        for state in ("submitting", "submitted", "completed", "delivered"):
            with engine.begin() as connection:
                connection.execute(move, {"key": row[key.name], "now": state})

    return one_round


def _bare_engine(path: Path) -> Engine:
    engine = create_engine(f"sqlite:///{path}", connect_args={"timeout": 30})

    @event.listens_for(engine, "connect")
    def _configure(connection: sqlite3.Connection, _: object) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode = WAL", "synchronous = FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _ledger_rounds(path: Path) -> Round:
    caps = BudgetCaps.model_validate({"total_usd": 100_000, "daily_usd": 50_000})
    ledger = Ledger(open_engine(SecretStr(f"sqlite:///{path}")), SystemClock(), lambda: caps)
    payer = Payer("run", ledger.start_worker("run"))

    def one_round() -> None:
        intent = ledger.reserve(_new_intent(), payer)
        assert isinstance(intent, Intent)
        intent = ledger.start_submitting(intent)
        intent = ledger.accept(intent, uuid.uuid4().hex)
        intent = ledger.charge(
            intent, MicroUsd(3_000), billed=BillingState.BILLED, predict_seconds=1.0
        )
        ledger.deliver(intent, _stored_file(), _PARENTS)

    return one_round


_PARENTS = (
    Parent("prompt", "image/cover", "ab" * 32, "text"),
    Parent("model", "black-forest-labs/flux-schnell", None, "generated_by"),
)


def _new_intent() -> NewIntent:
    name = uuid.uuid4().hex
    return NewIntent(
        generation_hash=name * 2,
        kind=Kind.IMAGE,
        prompt_id=name,
        collection="kit",
        variant=1,
        model="black-forest-labs/flux-schnell",
        version=None,
        prompt_text="Cover page for a last will and testament, muted navy and gold, clean",
        worst_case=MicroUsd(3_000),
        price_source="$0.003/image: Replicate pricing page, 2026-10",
        inputs_for_attempt=lambda attempt: AttemptInputs(attempt, {"prompt": name}),
    )


def _stored_file() -> StoredFile:
    sha256 = uuid.uuid4().hex * 2
    return StoredFile(
        object_key=f"image/{sha256[:2]}/{sha256}.webp",
        object_uri=f"file:///clips/image/{sha256[:2]}/{sha256}.webp",
        sha256=sha256,
        bytes=48_000,
        mime="image/webp",
        width=1024,
        height=1024,
        duration_seconds=None,
    )
