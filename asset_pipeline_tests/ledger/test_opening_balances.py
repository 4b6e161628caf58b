"""A cap counts what was spent in its scope, whenever it was set, lifted or set again."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import text

from asset_pipeline.ledger import engine as engine_module
from asset_pipeline.ledger.engine import open_engine
from asset_pipeline.ledger.ledger import Payer
from asset_pipeline.ledger.postings import BudgetExceededError
from asset_pipeline.ledger.records import Intent
from asset_pipeline.origin import Origin
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.clocks import FakeClock
from asset_pipeline_tests.support.ledger_invariants import violations
from asset_pipeline_tests.support.ledgers import PRICE, Books, dollars, new_intent

# What each cap is called in budgets.yaml, and the budget that it makes on the tests' day.
CAPS: dict[str, tuple[Callable[[object], dict[str, object]], str]] = {
    "collection": (lambda usd: {"collections_usd": {"kit": usd}}, "collection:kit"),
    "month": (lambda usd: {"monthly_usd": usd}, "monthly:2026-11"),
    "day": (lambda usd: {"daily_usd": usd}, "daily:2026-11-21"),
    "run": (lambda usd: {"run_usd": usd}, "run:run-1"),
}
LIFTED: dict[str, object] = {
    "collections_usd": {},
    "monthly_usd": None,
    "daily_usd": None,
    "run_usd": None,
}


@pytest.fixture
def books(new_ledger: NewLedger, clock: FakeClock) -> Iterator[Books]:
    """Books without any cap but the total; at the end they balance, and the audit agrees."""
    books = Books(new_ledger(), clock)
    yield books
    assert violations(books.ledger.engine) == []
    assert books.ledger.audit().mismatches == ()
    books.close()


@pytest.mark.parametrize("name", CAPS)
def test_a_cap_that_is_set_late_knows_what_was_spent(books: Books, name: str) -> None:
    """What was charged, what is held and what was given back before the cap: all of it counts."""
    cap, budget = CAPS[name]
    books.delivered("paid", 2000)
    books.reserve("held")
    books.ledger.refuse(books.reserve("refused"), "network", "no")
    books.caps |= cap(dollars(2000 + PRICE + PRICE))
    books.reserve("fits")
    assert books.balance(budget) == (2000 + 2 * PRICE, 2000, 2 * PRICE)
    with pytest.raises(BudgetExceededError) as caught:
        books.reserve("one too many")
    assert (caught.value.budget, caught.value.headroom) == (budget, 0)


@pytest.mark.parametrize("name", CAPS)
def test_a_cap_that_was_away_lost_nothing(books: Books, name: str) -> None:
    """Set, lifted, set again: what was spent meanwhile is in it; till then it shows as lifted."""
    cap, budget = CAPS[name]
    books.caps |= cap("1")
    books.delivered("before")
    books.caps |= LIFTED
    books.delivered("meanwhile")
    assert not next(one for one in books.ledger.balances() if one.budget == budget).is_capped
    books.caps |= cap(dollars(2 * PRICE))
    with pytest.raises(BudgetExceededError):
        books.reserve("after")
    assert books.balance(budget) == (2 * PRICE, 2 * PRICE, 0)


def test_an_intent_from_before_the_cap_moves_it_too(books: Books) -> None:
    """Its charge, its release and what it gives back at its end reach the budget opened later."""
    early, dear = books.submitted("early"), books.submitted("dear")
    books.caps |= CAPS["collection"][0]("1")
    books.reserve("opens it")
    books.ledger.fail(books.charge(early, 1000), "bad_output", "blank")
    books.charge(dear, 2 * PRICE)
    assert books.balance("collection:kit")[1:] == (1000 + 2 * PRICE, PRICE)


def test_what_was_free_and_costs_after_all_is_counted(books: Books) -> None:
    """An intent that reserved nothing and was charged is in every budget of its scope."""
    books.caps |= CAPS["collection"][0]("1")
    intent = books.reserve("gratis", price=0)
    intent = books.ledger.accept(books.ledger.start_submitting(intent), "p-1")
    books.charge(intent, 500)
    assert books.balance("collection:kit")[1:] == books.balance()[1:] == (500, 0)


def test_money_of_another_account_is_money(books: Books) -> None:
    """A cap that is set late counts what any provider or account was paid out of this ledger."""
    books.delivered("elsewhere", origin=Origin("replicate", "https://one.example", "somebody"))
    books.caps |= CAPS["month"][0]("1")
    books.reserve("here", origin=Origin("replicate", "https://two.example", "another"))
    assert books.balance("monthly:2026-11")[1:] == (PRICE, PRICE)


def test_runs_that_share_a_budget_are_one_run_to_it(books: Books) -> None:
    """A run that pays under another's cap counts there, before and after the cap was set."""
    first = Payer("run-1", books.payer.worker_id)
    again = Payer("run-2", books.payer.worker_id, budget_id="run-1")
    books.ledger.reserve(new_intent("a"), first)
    books.ledger.reserve(new_intent("b"), again)
    books.caps["run_usd"] = dollars(3 * PRICE)
    assert isinstance(books.ledger.reserve(new_intent("c"), again), Intent)
    assert books.balance("run:run-1") == (3 * PRICE, 0, 3 * PRICE)
    with pytest.raises(BudgetExceededError, match="run:run-1"):
        books.ledger.reserve(new_intent("d"), first)


def test_the_periods_end_where_utc_days_and_months_end(books: Books, clock: FakeClock) -> None:
    """A cap of today knows nothing of yesterday, one of the month does, and no other month."""
    clock.advance(9 * 86_400 + 11 * 3600 + 3599)  # 2026-11-30 23:59:59
    books.delivered("last of November")
    clock.advance(2)
    books.delivered("first of December")
    clock.advance(86_400)
    books.caps |= CAPS["month"][0]("1") | CAPS["day"][0]("1")
    books.reserve("second of December")
    assert books.balance("monthly:2026-12")[1:] == (PRICE, PRICE)
    assert books.balance("daily:2026-12-02")[1:] == (0, PRICE)


@pytest.mark.servers
def test_processes_that_know_different_caps_lose_nothing(new_ledger: NewLedger) -> None:
    """Four that pay at once while each sets and lifts caps of its own: every budget is right."""
    url = new_ledger()
    everybody = [Books(url) for _ in range(4)]
    failures: list[BaseException] = []

    def pay(number: int) -> None:
        books = everybody[number]
        try:
            for turn in range(25):
                name = list(CAPS)[(turn + number) % len(CAPS)]
                books.caps |= LIFTED
                if turn % 3:
                    books.caps |= CAPS[name][0]("50")
                books.delivered(f"{number}-{turn}", 1000)
        except BaseException as error:  # noqa: BLE001 -- shown by the test
            failures.append(error)

    threads = [threading.Thread(target=pay, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert violations(everybody[0].ledger.engine) == []
    assert everybody[0].balance()[1] == 100 * 1000
    for books in everybody:
        books.close()


def test_a_ledger_of_the_last_release_is_put_right(new_ledger: NewLedger) -> None:
    """Budgets that missed payments under the former rules are complete after the upgrade."""
    url = new_ledger()
    engine = open_engine(url)
    with engine.begin() as connection:
        command.downgrade(_alembic(connection), "0005")
    with engine.begin() as connection:
        for statement in _FORMER:
            connection.execute(text(statement))
    with engine.begin() as connection:
        command.upgrade(_alembic(connection), "head")
    assert violations(engine) == []
    with engine.connect() as connection:
        query = (
            "SELECT budget, charged_microusd, reserved_microusd, overdrawn_microusd FROM budgets"
        )
        found = {row[0]: row[1:] for row in connection.execute(text(query))}
    assert found == {"total": (5000, 3000, 0), "collection:kit": (5000, 3000, 4000)}
    engine.dispose()


def _alembic(connection: object) -> Config:
    config = Config()
    folder = engine_module.__file__.rpartition("/")[0]
    config.set_main_option("script_location", f"{folder}/migrations")
    config.attributes["connection"] = connection
    return config


def _intent(name: str, state: str, charged: int, reserved: int) -> str:
    at = "'2026-11-21 12:00:00'"
    return (
        "INSERT INTO intents (intent_id, generation_hash, attempt, kind, prompt_id, collection, "
        "variant, model, prompt_text, inputs_json, run_id, worker_id, state, reserved_microusd, "
        "charged_microusd, price_source, created_at, updated_at, prediction_id) VALUES "
        f"('{name}', '{name}', 1, 'image', '{name}', 'kit', 1, 'm', 't', '{{}}', 'r', 'w', "
        f"'{state}', {reserved}, {charged}, 's', {at}, {at}, '{name}')"
    )


def _entry(intent: str | None, budget: str, kind: str, amount: int) -> str:
    owner = "NULL" if intent is None else f"'{intent}'"
    return (
        "INSERT INTO entries (intent_id, budget, type, amount_microusd, created_at) VALUES "
        f"({owner}, '{budget}', '{kind}', {amount}, '2026-11-21 12:00:00')"
    )


# The collection's cap was away while "missed" and "held" were begun.
_FORMER: tuple[Any, ...] = (
    (
        "INSERT INTO budgets (budget, period, cap_microusd, charged_microusd, reserved_microusd, "
        "created_at) VALUES ('total', 'all', 9000, 5000, 3000, '2026-11-21 12:00:00'), "
        "('collection:kit', 'all', 4000, 2000, 0, '2026-11-21 12:00:00')"
    ),
    _intent("counted", "failed", 2000, 0),
    _intent("missed", "failed", 3000, 0),
    _intent("held", "submitted", 0, 3000),
    _entry(None, "total", "adjust", 9000),
    _entry(None, "collection:kit", "adjust", 4000),
    *(_entry("counted", budget, "reserve", 2000) for budget in ("total", "collection:kit")),
    *(_entry("counted", budget, "release", 2000) for budget in ("total", "collection:kit")),
    *(_entry("counted", budget, "charge", 2000) for budget in ("total", "collection:kit")),
    _entry("missed", "total", "charge", 3000),
    _entry("held", "total", "reserve", 3000),
)
