from __future__ import annotations

import subprocess
import sys
import tracemalloc
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from asset_pipeline.clock import SystemClock
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.warehouse import tables
from asset_pipeline.warehouse.publish import PublishReport, publish
from asset_pipeline.warehouse.query import WarehouseError, query
from asset_pipeline_tests.support import ledger_rows

# The promise, word for word: name, type, may be NULL.
PROMISED = {
    "predictions": (
        "intent_id run_id kind prompt_id variant attempt model version generation_hash "
        "prediction_id state error_class error reserved_usd charged_usd price_source billed "
        "predict_seconds created_at submitted_at completed_at delivered_at"
    ),
    "ledger_entries": "entry_id intent_id budget type amount_usd created_at",
    "clips": (
        "clip_id kind prompt_id variant model generation_hash prediction_id run_id object_uri "
        "sha256 bytes mime width height duration_seconds cost_usd created_at"
    ),
    "provenance": (
        "uri sha256 role clip_id clip_sha256 kind prompt_id collection variant policy marks "
        "digital_source_type signed_by signer certificate_sha256 note run_id created_at"
    ),
    "renditions": (
        "rendition_id clip_id kind prompt_id collection variant name recipe object_uri sha256 "
        "bytes mime width height duration_seconds loudness_lufs true_peak_dbtp gain_db note run_id "
        "created_at superseded_at"
    ),
    "lineage": (
        "child_uri child_sha256 parent_type parent_id parent_sha256 relation run_id created_at"
    ),
    "budgets": "budget period period_start cap_usd charged_usd reserved_usd headroom_usd",
    "circuit_breakers": (
        "model state create_failures prediction_failures openings last_error_class last_error "
        "last_failure_at opened_at retry_at probe_owner probe_expires_at updated_at"
    ),
    "prompts": "kind prompt_id collection text model variants tags prompt_hash",
    "reviews": ("review_id clip_id sha256 verdict reason_code note actor created_at supersedes"),
}
VIEWS = {
    "spend_by_day",
    "spend_by_model",
    "spend_by_collection",
    "cost_per_clip",
    "failures",
    "wasted_spend",
    "budget_status",
    "cost_per_approved_clip",
    "rejections_by_model",
    "never_sent",
}


def published(folder: Path, *rows: ledger_rows.Row, prompts: Iterable[Prompt] = ()) -> Path:
    """Publish a ledger with these rows."""
    engine = ledger_rows.new_ledger(folder)
    ledger_rows.fill(engine, rows)
    publish(engine, prompts, folder / "warehouse.duckdb", clock=SystemClock())
    return folder / "warehouse.duckdb"


def leftovers(folder: Path) -> list[str]:
    """Files beside the warehouse that a publisher must not leave."""
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_promised_columns(tmp_path: Path) -> None:
    """An empty ledger publishes every promised table and view, with its columns in order."""
    path = published(tmp_path)
    for table, columns in PROMISED.items():
        names, rows = query(path, f"FROM {table}")
        assert names[: len(columns.split())] == columns.split()
        assert rows == []
    _, views = query(path, "SELECT view_name FROM duckdb_views() WHERE NOT internal")
    assert {name for (name,) in views} == VIEWS
    for view in VIEWS:
        assert query(path, f"FROM {view}")[1] == []


def test_declared_types(tmp_path: Path) -> None:
    """Money is DECIMAL(18,6) and time is zoned, in every table and view, empty ones included."""
    _, columns = query(
        published(tmp_path),
        "SELECT column_name, data_type FROM duckdb_columns() WHERE NOT internal",
    )
    for name, data_type in columns:
        if "_usd" in name:
            assert (name, data_type) == (name, "DECIMAL(18,6)")
        if name.endswith("_at"):
            assert (name, data_type) == (name, "TIMESTAMP WITH TIME ZONE")
        assert data_type != "FLOAT"


def test_declared_nullability(tmp_path: Path) -> None:
    """A column is NOT NULL exactly where the ledger can hold no NULL."""
    path = published(tmp_path)
    for table, select in tables.LEDGER_TABLES.items():
        _, declared = query(
            path,
            f"SELECT column_name, is_nullable FROM duckdb_columns() WHERE table_name='{table}'",
        )
        in_ledger = {
            column.name: getattr(getattr(column, "element", column), "nullable", False)
            for column in select.selected_columns
        }
        beside = {"tags": False, "fields": False} if table in tables.BESIDE_PROMPTS else {}
        assert dict(declared) == {**in_ledger, **beside}


@pytest.mark.parametrize(
    "amount", [0, 1, -1, 999_999, 1_000_001, 2**53 + 1, -(2**53) - 1, 10**18 - 1]
)
def test_money_is_exact(tmp_path: Path, amount: int) -> None:
    """Micro-dollars become dollars digit by digit, also where a float would round."""
    path = published(tmp_path, ledger_rows.budget("total"), ledger_rows.entry("total", amount))
    _, [(published_amount,)] = query(path, "SELECT amount_usd FROM ledger_entries")
    assert published_amount == Decimal(amount).scaleb(-6)
    assert published_amount.as_tuple().exponent == -6


def test_rows_arrive_as_they_are(tmp_path: Path) -> None:
    """Every table holds its rows: text untouched, times in UTC, NULL as NULL, tags as a list."""
    error = 'it\'s "bad"; DROP TABLE clips; -- é\n☃'
    path = published(
        tmp_path,
        ledger_rows.budget("daily:2026-11-21", period="day", period_start=date(2026, 11, 21)),
        ledger_rows.intent("a", error=error, predict_seconds=1.5),
        ledger_rows.clip("c", "a"),
        ledger_rows.parent("file:///clips/image/ab/ab.webp"),
        prompts=[ledger_rows.prompt(tags=("x", "y, z")), ledger_rows.prompt("other")],
    )
    _, rows = query(path, "SELECT error, predict_seconds, version, created_at FROM predictions")
    assert rows == [(error, 1.5, None, ledger_rows.NOW)]
    assert query(path, "SELECT period_start FROM budgets")[1] == [(date(2026, 11, 21),)]
    assert query(path, "SELECT prompt_id, tags, variants FROM prompts")[1] == [
        ("cover", ["x", "y, z"], 2),
        ("other", [], 2),
    ]
    assert query(path, "SELECT bytes, width, duration_seconds FROM clips")[1] == [(1234, 64, None)]
    assert query(path, "SELECT parent_id, parent_sha256 FROM lineage")[1] == [("image:cover", None)]


def test_chunks_add_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows beyond one chunk arrive, each once, and are counted."""
    monkeypatch.setattr(tables, "CHUNK_ROWS", 3)
    engine = ledger_rows.new_ledger(tmp_path)
    ledger_rows.fill(engine, [ledger_rows.intent(str(number)) for number in range(10)])
    report = publish(
        engine,
        (ledger_rows.prompt(f"p{number}") for number in range(7)),
        tmp_path / "w.duckdb",
        clock=SystemClock(),
    )
    assert isinstance(report, PublishReport)
    assert (report.rows["predictions"], report.rows["prompts"]) == (10, 7)
    _, rows = query(tmp_path / "w.duckdb", "SELECT intent_id FROM predictions ORDER BY 1")
    assert rows == [(str(number),) for number in range(10)]


def test_reader_of_the_old_file_is_undisturbed(tmp_path: Path) -> None:
    """A reader keeps what it opened; who opens later sees the new rows."""
    path = published(tmp_path, ledger_rows.intent("a"))
    count = "SELECT count(*) FROM predictions"
    reader = f"""
import duckdb, sys
with duckdb.connect({str(path)!r}, read_only=True) as connection:
    print("open", flush=True)
    sys.stdin.readline()
    print(connection.execute({count!r}).fetchone()[0])
"""
    with subprocess.Popen(
        [sys.executable, "-c", reader], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "open\n"
        engine = ledger_rows.new_ledger(tmp_path)
        ledger_rows.fill(engine, [ledger_rows.intent("b")])
        publish(engine, [], path, clock=SystemClock())
        assert query(path, count)[1] == [(2,)]
        assert process.communicate("\n")[0] == "1\n"


def test_publishers_at_once(tmp_path: Path) -> None:
    """Of several publishers one wins whole, and none leaves anything behind."""
    path = published(tmp_path, *(ledger_rows.intent(str(number)) for number in range(50)))
    engine = ledger_rows.new_ledger(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        reports = list(pool.map(lambda _: publish(engine, [], path, clock=SystemClock()), range(8)))
    assert {report.rows["predictions"] for report in reports} == {50}
    assert query(path, "SELECT count(*) FROM predictions")[1] == [(50,)]
    assert leftovers(tmp_path) == []


def test_a_failure_leaves_the_published_file(tmp_path: Path) -> None:
    """A publisher that fails half-way changes nothing and leaves nothing, its lock included."""
    path = published(tmp_path, ledger_rows.intent("a"))
    before = path.read_bytes()

    def prompts() -> Iterator[Prompt]:
        yield ledger_rows.prompt()
        raise KeyError("half-way")

    with pytest.raises(KeyError, match="half-way"):
        publish(ledger_rows.new_ledger(tmp_path), prompts(), path, clock=SystemClock())
    assert path.read_bytes() == before
    assert leftovers(tmp_path) == []


def test_unwritable_target(tmp_path: Path) -> None:
    """A place that cannot be written is a sentence that says what to do."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(WarehouseError, match="could not be written"):
        publish(
            ledger_rows.new_ledger(tmp_path),
            [],
            tmp_path / "file" / "w.duckdb",
            clock=SystemClock(),
        )


def test_disk_full_while_publishing(tmp_path: Path) -> None:
    """A write that the system stops is a sentence, and the published file stays as it was."""
    path = published(tmp_path, ledger_rows.intent("a"))
    script = f"""
import resource, signal
from pathlib import Path
from asset_pipeline.clock import SystemClock
from asset_pipeline.warehouse.query import WarehouseError
from asset_pipeline.warehouse.publish import publish
from asset_pipeline_tests.support import ledger_rows
engine = ledger_rows.new_ledger(Path({str(tmp_path)!r}))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
try:
    publish(engine, [], Path({str(path)!r}), clock=SystemClock())
except WarehouseError as error:
    print(error)
"""
    run = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert "could not be written" in run.stdout, run.stderr
    assert query(path, "SELECT count(*) FROM predictions")[1] == [(1,)]
    assert leftovers(tmp_path) == []


def test_many_rows_in_flat_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rows pass through in chunks: what is held at once does not grow with the ledger."""
    engine = ledger_rows.new_ledger(tmp_path)
    with engine.begin() as connection:
        table, row = ledger_rows.budget("total")
        connection.execute(table.insert(), row)
        table, row = ledger_rows.entry("total", 1)
        connection.execute(table.insert(), [row] * 30_000)
    peaks = []
    for chunk_rows in (1_000, 30_000):
        monkeypatch.setattr(tables, "CHUNK_ROWS", chunk_rows)
        with engine.connect() as connection:
            tracemalloc.start()
            rows = tables.ledger_rows(connection, tables.LEDGER_TABLES["ledger_entries"])
            assert sum(1 for _ in rows) == 30_000
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    assert peaks[0] < peaks[1] / 5


def test_times_are_utc_whatever_the_session(tmp_path: Path) -> None:
    """The stored instant is the ledger's, also for a reader in another time zone."""
    path = published(tmp_path, ledger_rows.intent("a", created_at=datetime(2026, 1, 1, tzinfo=UTC)))
    with duckdb.connect(path, read_only=True) as connection:
        connection.execute("SET TimeZone = 'America/New_York'")
        row = connection.execute("SELECT created_at::VARCHAR FROM predictions").fetchone()
    assert row == ("2025-12-31 19:00:00-05",)
