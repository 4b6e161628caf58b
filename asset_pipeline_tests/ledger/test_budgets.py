"""Caps from budgets.yaml and the environment, read again when the file changes."""

from __future__ import annotations

import os
import threading
import time
from decimal import Decimal
from pathlib import Path

import pytest

from asset_pipeline.config.guarded_file import SETTLE_SECONDS, GuardLostError
from asset_pipeline.errors import ConfigurationError
from asset_pipeline.ledger.budgets import BUDGETS_FILE, BudgetCaps, CapsSource, budget_lines
from asset_pipeline.ledger.configurations import Configurations, Recalled
from asset_pipeline.ledger.engine import open_engine
from asset_pipeline.ledger.ledger import Ledger, Payer
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.schema import IntentState
from asset_pipeline.money import MicroUsd
from asset_pipeline.settings import load_settings
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.clocks import FakeClock
from asset_pipeline_tests.support.ledgers import PRICE, day, new_intent
from asset_pipeline_tests.support.settled_files import write_settled


@pytest.fixture
def budgets_file(clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the caps are read from; not there yet."""
    monkeypatch.setenv("ASSET_PIPELINE_CONFIG_DIR", str(clean_environment))
    return clean_environment / BUDGETS_FILE


def _caps() -> BudgetCaps:
    return CapsSource(load_settings()).current()


@pytest.mark.usefixtures("budgets_file")
def test_without_a_file_the_defaults_are_harmless() -> None:
    """A first run can't cost more than a modest sum a day."""
    assert (_caps().total_usd, _caps().daily_usd, _caps().run_usd) == (100, 25, None)


def test_the_file_is_read_as_decimals(budgets_file: Path) -> None:
    """A tenth of a dollar is a tenth, not the float next to it; empty lifts a cap."""
    write_settled(
        budgets_file,
        "total_usd: 0.1\ndaily_usd:\nmonthly_usd: none\nrun_usd: 1e1\n"
        "collections_usd: {kit: 2.50}\nwarn_at_percent: [75]\n",
    )
    caps = _caps()
    assert caps.total_usd == Decimal("0.1")
    assert (caps.daily_usd, caps.monthly_usd, caps.run_usd) == (None, None, 10)
    assert caps.collections_usd == {"kit": Decimal("2.50")}
    assert caps.warn_at_percent == (75,)


def test_the_environment_goes_over_the_file(
    budgets_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A variable overrides its field and leaves the others."""
    write_settled(budgets_file, "total_usd: 5\nmonthly_usd: 4\n")
    monkeypatch.setenv("ASSET_PIPELINE_BUDGET_TOTAL_USD", "7.5")
    monkeypatch.setenv("ASSET_PIPELINE_BUDGET_DAILY_USD", "0")
    monkeypatch.setenv("ASSET_PIPELINE_BUDGET_RUN_USD", "2")
    caps = _caps()
    assert (caps.total_usd, caps.daily_usd, caps.run_usd) == (Decimal("7.5"), 0, 2)
    assert caps.monthly_usd == 4


def test_an_edit_is_picked_up_and_a_broken_one_pays_nothing(budgets_file: Path) -> None:
    """A file that came, changed, broke and was mended: the caps follow each time."""
    source = CapsSource(load_settings())
    assert source.current().total_usd == 100
    write_settled(budgets_file, "total_usd: 5\n")
    assert source.current().total_usd == 5
    write_settled(budgets_file, "total_usd: 6\n")
    os.utime(budgets_file, ns=(1, 1))  # the same length, another time
    assert source.current().total_usd == 6
    write_settled(budgets_file, "total_usd: [\n")
    for _ in range(2):
        with pytest.raises(ConfigurationError):
            source.current()
    write_settled(budgets_file, "total_usd: 7\n")
    assert source.current().total_usd == 7


@pytest.mark.parametrize("content", [None, "", "  \n\n", "# total_usd: 5\n", "---\n", "null\n"])
def test_a_file_that_was_in_force_and_vanished_blocks(
    budgets_file: Path, content: str | None
) -> None:
    """Emptied, commented out or removed: never the defaults, and the sentence says how to go on."""
    source = CapsSource(load_settings())
    write_settled(budgets_file, "total_usd: 5\n")
    assert source.current().total_usd == 5
    if content is None:
        budgets_file.unlink()
        assert source.current().total_usd == 5  # an editor may be about to put it back
        time.sleep(SETTLE_SECONDS)
    else:
        write_settled(budgets_file, content)
    for _ in range(2):
        with pytest.raises(GuardLostError) as caught:
            source.current()
        assert str(budgets_file) in caught.value.message
        assert "write {} into" in caught.value.hint
    write_settled(budgets_file, "{}\n")
    assert source.current().total_usd == 100
    write_settled(budgets_file, "total_usd: 4\n")
    assert source.current().total_usd == 4


@pytest.mark.parametrize("torn", ["", "total_usd: 90\n", "total_usd: 50"])
def test_what_has_only_just_changed_is_not_taken_yet(budgets_file: Path, torn: str) -> None:
    """A half of the file is YAML too: the former caps hold until it stands still."""
    source = CapsSource(load_settings())
    write_settled(budgets_file, "total_usd: 90\ncollections_usd: {kit: 1}\n")
    before = source.current()
    budgets_file.write_text(torn)
    assert source.current() == before
    budgets_file.write_text("total_usd: 80\ncollections_usd: {kit: 1}\n")
    assert source.current() == before
    time.sleep(SETTLE_SECONDS)
    assert source.current().total_usd == 80


def test_the_first_look_waits_for_the_writer(budgets_file: Path) -> None:
    """A process that begins in the middle of an edit has no former caps: it waits for the end."""
    budgets_file.write_text("total_usd: 9\n")
    writer = threading.Timer(0.5, budgets_file.write_text, ["total_usd: 9\ndaily_usd: 1\n"])
    writer.start()
    assert _caps().daily_usd == 1
    writer.join()


def test_a_file_of_the_future_is_taken_once_it_stands_still(budgets_file: Path) -> None:
    """A file server whose clock is ahead must not hold an edit up for ever."""
    write_settled(budgets_file, "total_usd: 5\n")
    source = CapsSource(load_settings())
    assert source.current().total_usd == 5
    write_settled(budgets_file, "total_usd: 6\n")
    os.utime(budgets_file, (time.time() + 3600,) * 2)
    assert source.current().total_usd == 5
    time.sleep(SETTLE_SECONDS)
    assert source.current().total_usd == 6


def test_another_process_knows_that_a_file_was_in_force(
    budgets_file: Path, new_ledger: NewLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger remembers it: gone, emptied, or looked for in another folder, it blocks."""
    engine = open_engine(new_ledger())
    memory = Configurations(engine, FakeClock())
    write_settled(budgets_file, "total_usd: 5\n")
    reader = CapsSource(load_settings(), Recalled(engine, FakeClock()))
    assert reader.current().total_usd == 5
    assert memory.recall(BUDGETS_FILE) is None  # whoever only reads puts nothing into force
    assert CapsSource(load_settings(), memory).current().total_usd == 5
    write_settled(budgets_file, "")
    for known in (memory, Recalled(engine, FakeClock())):
        with pytest.raises(GuardLostError, match="is empty"):
            CapsSource(load_settings(), known).current()
    budgets_file.unlink()
    with pytest.raises(GuardLostError, match="is gone"):
        CapsSource(load_settings(), memory).current()
    monkeypatch.setenv("ASSET_PIPELINE_CONFIG_DIR", str(budgets_file.parent / "elsewhere"))
    with pytest.raises(GuardLostError, match=f"in force as {budgets_file}"):
        CapsSource(load_settings(), memory).current()
    monkeypatch.setenv("ASSET_PIPELINE_CONFIG_DIR", str(budgets_file.parent))
    write_settled(budgets_file, "{}  # the defaults, on purpose\n")
    assert CapsSource(load_settings(), memory).current().total_usd == 100
    engine.dispose()


def test_a_payment_is_blocked_and_nothing_is_left_of_it(
    budgets_file: Path, new_ledger: NewLedger
) -> None:
    """The reservation itself asks: with the caps gone it writes nothing."""
    engine, clock = open_engine(new_ledger()), FakeClock()
    write_settled(budgets_file, "total_usd: 5\n")
    caps = CapsSource(load_settings(), Configurations(engine, clock))
    ledger = Ledger(engine, clock, caps.current)
    payer = Payer("run", ledger.start_worker("run"))
    assert isinstance(ledger.reserve(new_intent("a"), payer), Intent)
    write_settled(budgets_file, "")
    with pytest.raises(GuardLostError):
        ledger.reserve(new_intent("b"), payer)
    assert len(ledger.intents_in(list(IntentState))) == 1
    assert [one.reserved for one in ledger.balances() if one.budget == "total"] == [PRICE]
    ledger.close()


@pytest.mark.parametrize(
    "content",
    [
        "total_usd: -1",
        "total_usd: lots",
        "total_usd: nan",
        "total_usd: .inf",
        "total_usd: 1e30",
        "total_usd:",
        "totalusd: 5",
        "daily_usd: [1]",
        "collections_usd: {kit: -1}",
        "collections_usd: {kit: 99999999999999}",
        "- total_usd",
        "total_usd: {",
        "\ttotal_usd: 5",
    ],
)
def test_a_wrong_file_is_a_sentence(budgets_file: Path, content: str) -> None:
    """What is wrong and in which file; never a cap that was not meant."""
    write_settled(budgets_file, content)
    with pytest.raises(ConfigurationError) as caught:
        _caps()
    assert str(budgets_file) in str(caught.value)


def test_bytes_that_are_no_text_are_a_sentence(budgets_file: Path) -> None:
    """A file in another encoding is named, not guessed at."""
    budgets_file.write_bytes(b"total_usd: \xff\xfe")
    os.utime(budgets_file, (1, 1))
    with pytest.raises(ConfigurationError, match=BUDGETS_FILE):
        _caps()


def test_lines_come_in_one_order_and_only_where_a_cap_is() -> None:
    """The total, then by name, so that two transactions never wait for each other crosswise."""
    caps = BudgetCaps(
        total_usd=Decimal(1),
        daily_usd=Decimal(2),
        monthly_usd=Decimal(3),
        run_usd=Decimal(4),
        collections_usd={"kit": Decimal(5)},
    )
    lines = budget_lines(caps, collection="kit", run_id="r", now=day(21), run_cap=MicroUsd(6))
    assert [line.budget for line in lines] == [
        "total",
        "collection:kit",
        "daily:2026-11-21",
        "monthly:2026-11",
        "run:r",
    ]
    assert lines[-1].cap == 6
    bare = budget_lines(
        BudgetCaps(daily_usd=None, collections_usd={"other": Decimal(1)}),
        collection="kit",
        run_id="r",
        now=day(21),
    )
    assert [line.budget for line in bare] == ["total"]
