"""The metrics are the ledger's own numbers, to the micro-dollar, on SQLite and Postgres."""

from __future__ import annotations

import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from decimal import Decimal

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import delete, func, select

from asset_pipeline.clock import SystemClock
from asset_pipeline.ledger.metric_schema import metric_sums
from asset_pipeline.ledger.metric_sums import MetricSums
from asset_pipeline.ledger.schema import entries, intents
from asset_pipeline.measures import MEASURES, PROVIDER, SECONDS
from asset_pipeline.monitoring.metrics import as_text, registry_for
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.ledgers import Books

Sample = tuple[tuple[tuple[str, str], ...], float]


def shown(books: Books) -> str:
    """The metrics of a ledger as text."""
    sums = MetricSums(books.ledger.engine, SystemClock())
    return as_text(registry_for(sums), open_metrics=False)


def samples(text: str, name: str) -> Iterator[Sample]:
    """The samples of one name."""
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == f"asset_pipeline_{name}":
                yield tuple(sorted(sample.labels.items())), sample.value


def total(text: str, name: str) -> Decimal:
    """The sum of all samples of a name, from the very digits that are shown."""
    begins = (f"asset_pipeline_{name} ", f"asset_pipeline_{name}{{")
    return sum(
        (Decimal(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(begins)),
        Decimal(0),
    )


def _busy(books: Books) -> None:
    """Paid calls in many states, with charges that no float adds up to."""
    for number in range(1, 8):
        books.delivered(f"landed-{number}", charge=1_100_001 * number % 3_000)
    failed = books.completed("failed", charge=7)
    books.ledger.fail(failed, "nsfw", "refused by the provider")
    books.ledger.refuse(books.reserve("refused"), "invalid_input", "no such input")
    books.completed("fetching", charge=2_999)
    books.submitted("waiting")
    books.reserve("begun")


def test_the_sums_are_those_of_the_intents(new_ledger: NewLedger) -> None:
    """By kind, model, state and error class, and after a correction and a removal too."""
    books = Books(new_ledger())
    _busy(books)
    _check(books)
    with books.ledger.engine.connect().execution_options(reading=True) as connection:
        failed = select(intents.c.intent_id).where(intents.c.error_class == "nsfw")
        intent_id = connection.execute(failed).scalar_one()
    books.correct(books.ledger.intent(intent_id), 123)
    _check(books)
    with books.ledger.engine.begin() as connection:
        begun = select(intents.c.intent_id).where(intents.c.state == "reserved")
        connection.execute(delete(entries).where(entries.c.intent_id.in_(begun)))
        connection.execute(delete(intents).where(intents.c.state == "reserved"))
    _check(books)


def _check(books: Books) -> None:
    with books.ledger.engine.connect().execution_options(reading=True) as connection:
        rows = connection.execute(select(intents)).all()
    text = shown(books)
    open_states = {"reserved", "submitting", "unknown", "submitted", "completed", "question"}
    ended = Counter(
        (row.error_class or "", row.kind, row.model, row.state)
        for row in rows
        if row.state not in open_states
    )
    found = {
        tuple(value for _, value in labels): count
        for labels, count in samples(text, "generations_total")
        if count
    }
    assert found == ended
    under_way = Counter(row.state for row in rows if row.state in open_states)
    assert {
        labels[0][1]: count for labels, count in samples(text, "open_intents") if count
    } == under_way
    charged = Decimal(sum(row.charged_microusd for row in rows)) / 1_000_000
    assert total(text, "cost_usd_total") == charged
    predicted = sum(row.predict_seconds is not None for row in rows)
    assert total(text, "prediction_seconds_count") == predicted
    assert total(text, "delivery_seconds_count") == sum(row.state == "delivered" for row in rows)
    for labels, value in samples(text, "budget_charged_usd"):
        if dict(labels)["budget"] == "total":
            assert Decimal(repr(value)) == charged
    report = books.ledger.audit()
    assert [each for each in report.mismatches if "charged" in each.rule] == []


def test_no_label_is_private(new_sqlite: NewLedger) -> None:
    """Neither runs nor prompts nor keys, whatever budgets there are."""
    books = Books(new_sqlite(), run_usd="1", collections_usd={"kit": "5"})
    _busy(books)
    text = shown(books)
    budgets = {dict(labels)["budget"] for labels, _ in samples(text, "budget_charged_usd")}
    assert not any(name.startswith(("run:", "key:", "daily:")) for name in budgets)
    assert "total" in budgets
    assert "run-1" not in text


def test_a_capped_budget_tells_its_headroom(new_sqlite: NewLedger) -> None:
    """Cap, charged, reserved and headroom agree, to the micro-dollar."""
    books = Books(new_sqlite())
    _busy(books)
    found = {
        name: {
            dict(labels)["budget"]: Decimal(repr(v)) for labels, v in samples(shown(books), name)
        }
        for name in (
            "budget_cap_usd",
            "budget_charged_usd",
            "budget_reserved_usd",
            "budget_headroom_usd",
        )
    }
    cap, charged, reserved, headroom = (each["total"] for each in found.values())
    assert headroom == cap - charged - reserved
    assert cap == 100
    assert total(shown(books), "orphan_spend_usd") == 0


def test_parts_of_connections_are_folded(
    new_postgres: NewLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On Postgres each connection adds to a part of its own; folding loses and doubles nothing."""
    monkeypatch.setattr("asset_pipeline.ledger.metric_sums._PARTS", 0)
    books = Books(new_postgres())
    books.delivered("a")
    books.ledger.engine.dispose()
    books.delivered("b")
    sums = MetricSums(books.ledger.engine, SystemClock())
    before = sorted(map(repr, sums.read().sums))
    assert sums.fold() > 0
    with books.ledger.engine.begin() as connection:
        left = select(func.count()).select_from(metric_sums).where(metric_sums.c.part > 0)
        assert connection.execute(left).scalar_one() == 0
    assert sorted(map(repr, sums.read().sums)) == before
    books.delivered("c")
    _check(books)


def test_what_a_process_counted_comes_with_its_heartbeat(new_ledger: NewLedger) -> None:
    """Durations of requests are added up over processes, bucket by bucket."""
    MEASURES.take()
    books = Books(new_ledger())
    MEASURES.time(PROVIDER, "create", 0.3)
    books.ledger.beat(books.payer.worker_id)
    MEASURES.time(PROVIDER, "create", 4_000.0, "unavailable")
    books.ledger.end_worker(books.payer.worker_id)
    text = shown(books)
    counts = dict(samples(text, "provider_request_seconds_count"))
    assert counts == {
        (("operation", "create"), ("outcome", "ok")): 1,
        (("operation", "create"), ("outcome", "unavailable")): 1,
    }
    buckets = {
        dict(labels)["le"]: value
        for labels, value in samples(text, "provider_request_seconds_bucket")
        if dict(labels)["outcome"] == "ok"
    }
    assert (buckets["0.25"], buckets["0.5"], buckets["+Inf"]) == (0, 1, 1)
    assert len(buckets) == len(SECONDS) + 1


@pytest.mark.skipif(shutil.which("promtool") is None, reason="Debian's prometheus has promtool")
def test_promtool_finds_nothing(new_sqlite: NewLedger) -> None:
    """Names, units and types are as Prometheus' own lint wants them."""
    books = Books(new_sqlite())
    _busy(books)
    done = subprocess.run(
        ["promtool", "check", "metrics"],
        input=shown(books),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
