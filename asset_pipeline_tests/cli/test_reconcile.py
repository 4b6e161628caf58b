"""`reconcile`: what a killed command left is finished; what nobody can prove, a person answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from pydantic import SecretStr

from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.schema import IntentState
from asset_pipeline_tests.cli.conftest import Done, Sandbox, Workspace, until
from asset_pipeline_tests.support.ledgers import Books

Cli = Callable[..., Done]


@pytest.fixture
def books(workspace: Workspace) -> Iterator[Books]:
    """The workspace's ledger, as another process sees it."""
    (workspace.root / "data").mkdir()
    books = Books(SecretStr(f"sqlite:///{workspace.root / 'data' / 'ledger.sandbox.db'}"))
    yield books
    books.close()


def _question(books: Books, generation: str = "a") -> Intent:
    intent = books.ledger.start_submitting(books.reserve(generation))
    return books.ledger.ask(books.ledger.lose_reply(intent, "gone"), "its inputs are gone")


def test_what_a_killed_command_left_is_finished(
    cli: Cli, workspace: Workspace, slow_sandbox: Sandbox
) -> None:
    """The clips land, the next `generate` pays nothing, and then nothing is open."""
    env = {"REPLICATE_BASE_URL": slow_sandbox.url}
    process = workspace.start("generate", "--kind", "image", env=env)
    until(lambda: slow_sandbox.bill()["accepted"] == 3)
    process.kill()
    process.communicate()
    slow_sandbox.pass_time(60)
    done = cli("reconcile", env=env)
    assert done.code == 0, done.err
    assert done.out.count("delivered") == 3
    assert "image/blue-boat, 2" in done.out
    assert "for nothing" in done.out
    again = cli("generate", "--kind", "image", "--json", env=env)
    assert (again.json["clips_cached"], again.json["paid_usd"]) == (3, "0.000000")
    assert slow_sandbox.bill()["accepted"] == 3
    assert cli("reconcile", "--json", env=env).json == []


def test_open_questions_are_told_and_exit_1(cli: Cli, books: Books) -> None:
    """Each with its id, its money and what to do, for people and for programs."""
    intent = _question(books)
    done = cli("reconcile")
    assert done.code == 1
    for part in (intent.intent_id[:12], "question", "$0.003", "its inputs are gone", "--charge ID"):
        assert part in done.out
    (told,) = cli("reconcile", "--json").json
    assert told == {
        "intent_id": intent.intent_id,
        "kind": "image",
        "prompt_id": "prompt-a",
        "variant": 1,
        "model": "black-forest-labs/flux-schnell",
        "prediction_id": None,
        "state_before": "question",
        "result": "question",
        "at_stake_usd": "0.003000",
        "reason": "its inputs are gone",
    }


def test_a_charge_takes_what_was_set_aside(cli: Cli, books: Books) -> None:
    """A unique beginning of the id is enough."""
    intent = _question(books)
    done = cli("reconcile", "--charge", intent.intent_id[:10])
    assert (done.code, done.err) == (0, "")
    assert "$0.003 charged, $0.00 given back" in done.out
    assert books.ledger.intent(intent.intent_id).state is IntentState.FAILED
    assert books.balance() == (100_000_000, 3000, 0)
    assert cli("reconcile").code == 0


def test_a_charge_may_name_its_amount(cli: Cli, books: Books) -> None:
    """What was billed less gives the rest back."""
    intent = _question(books)
    done = cli("reconcile", "--charge", intent.intent_id, "--usd", "0.001", "--json")
    assert done.json["charged_usd"] == "0.001000"
    assert books.balance() == (100_000_000, 1000, 0)


def test_a_release_gives_all_back(cli: Cli, books: Books) -> None:
    """The prompt may be paid for anew."""
    intent = _question(books)
    done = cli("reconcile", "--release", intent.intent_id)
    assert (done.code, "$0.00 charged, $0.003 given back" in done.out) == (0, True)
    assert books.balance() == (100_000_000, 0, 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--charge", "ended"], "has ended as failed, charged $0.003: there is nothing to decide"),
        (["--release", "ended"], "has ended as failed"),
        (["--charge", "busy"], "is driven by a running process"),
        (["--charge", "zzzz"], "no intent 'zzzz'"),
        (["--charge", ""], "Several intents begin with ''"),
        (["--charge", "asked", "--usd", "much"], "--usd: 'much' is not an amount"),
        (["--charge", "asked", "--release", "asked"], "exclude each other"),
        (["--usd", "1"], "--usd says what --charge charges"),
    ],
)
def test_what_makes_no_sense_is_refused(
    cli: Cli, books: Books, arguments: list[str], said: str
) -> None:
    """A sentence, exit code 2, and no money moves."""
    ended = _question(books, "ended")
    books.ledger.charge_by_hand(ended, ended.reserved_microusd)
    intents = {"ended": ended, "asked": _question(books, "asked"), "busy": books.submitted("busy")}
    before = books.movements()
    ids = {name: intent.intent_id for name, intent in intents.items()}
    done = cli("reconcile", *(ids.get(word, word) for word in arguments))
    assert (done.code, done.out) == (2, "")
    assert said in done.err
    assert books.movements() == before
