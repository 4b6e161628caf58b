"""One batch meets every fault of the provider at once: each clip ends as its own fault says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from asset_pipeline.ledger.records import Intent
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline_tests.support.crash import workload
from asset_pipeline_tests.support.crash.site import Site, open_site
from asset_pipeline_tests.support.ledger_invariants import violations
from asset_pipeline_tests.support.retry_rules import no_retries
from asset_pipeline_tests.support.stage import Stage, classes

PICTURE = 3000


@dataclass(frozen=True)
class Case:
    """A fault, and what must come of the one prompt that meets it.

    Attributes:
        states: Of its intents, in order.
        error: The class of its failure; empty when the clip lands all the same.
        charged: In micro-dollars.
    """

    name: str
    fault: str
    states: tuple[str, ...]
    error: str = ""
    charged: int = PICTURE
    params: Mapping[str, object] = field(default_factory=dict)
    match: Mapping[str, object] = field(default_factory=dict)
    sound: bool = False

    def prompt(self) -> Prompt:
        """The prompt, whose text no other case has."""
        name = f"all-{self.name}-all"
        return workload.speech(name) if self.sound else workload.picture(name)

    def rule(self) -> dict[str, object]:
        """The rule that strikes this prompt alone, once."""
        match = {**self.match, "prompt": f"all-{self.name}-all"}
        return {"fault": self.fault, "match": match, "params": self.params, "times": 1}


LANDS, AGAIN = ("delivered",), ("refused", "delivered")
FAILED, REFUSED = ("failed",), ("refused",)
SECOND = ("failed", "delivered")
# What was paid for and is no clip is not paid for again by itself.
PAID_FOR_NOTHING = {"bad_output", "output_expired"}

CASES = (
    Case("lost-before", "lost_reply_before", AGAIN),
    Case("lost-after", "lost_reply_after", LANDS),
    Case("500-before", "error_5xx_before", AGAIN),
    Case("502-before", "error_5xx_before", AGAIN, params={"status": 502}),
    Case("500-after", "error_5xx_after", LANDS),
    Case("503-after", "error_5xx_after", LANDS, params={"status": 503}),
    Case("throttled", "rate_limited", AGAIN, params={"retry_after": 1}),
    Case("throttled-header", "rate_limited", AGAIN, params={"retry_after": 1, "header": True}),
    Case("credit", "insufficient_credit", REFUSED, "insufficient_credit", 0),
    Case("token", "unauthenticated", REFUSED, "authentication", 0),
    Case("interrupted", "failed", SECOND),
    Case("memory", "failed", FAILED, "out_of_memory", 0, params={"error": "(E1001)"}),
    Case("nsfw", "failed", FAILED, "content_policy", 0, params={"error": "NSFW content found."}),
    Case("strange", "failed", SECOND, params={"error": "list index out of range"}),
    Case("aborted", "aborted", SECOND),
    Case("canceled", "canceled", FAILED, "cancelled"),
    Case("short", "short_list", FAILED, "content_policy", 0),
    Case("wrong-type", "wrong_output_type", LANDS),
    Case("truncated", "truncated", FAILED, "bad_output"),
    Case("cut", "truncated", FAILED, "output_expired", params={"drop": True}),
    Case("empty", "empty", FAILED, "output_expired"),
    Case("blank", "blank", FAILED, "bad_output"),
    Case("page", "html_page", FAILED, "output_expired"),
    Case("sound", "wrong_media", FAILED, "bad_output"),
    Case("huge", "oversize", FAILED, "bad_output", params={"bytes": 70_000_000}),
    Case("gone", "expired_output", FAILED, "output_expired"),
    Case("removed", "expired_output", FAILED, "output_expired", params={"what": "data"}),
    Case("silent", "silent", FAILED, "bad_output", charged=1740, sound=True),
    Case("well", "slow", LANDS, params={"seconds": 0.1}),
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server of this module's own: removed inputs make other tests' listings unsure."""
    with open_site(tmp_path_factory.mktemp("faulty"), predict="0.1") as running:
        yield running


@pytest.fixture
def stage(site: Site) -> Stage:
    """All faults in force."""
    site.fault(*(case.rule() for case in CASES))
    return Stage(site)


QUESTIONS = (
    Case("get-500", "get_5xx", LANDS, match={"route": "get"}),
    Case("get-404", "not_found_once", LANDS, match={"route": "get"}),
    Case("get-dropped", "lost_reply_before", LANDS, match={"route": "get"}),
    Case("get-401", "unauthenticated", LANDS, match={"route": "get"}),
)


def test_questions_that_fail_are_asked_again(site: Site) -> None:
    """With the listing down as well, each prediction is asked for until there is an answer."""
    site.fault({"fault": "error_5xx_before", "match": {"route": "list"}})
    site.fault(*(case.rule() for case in QUESTIONS))
    stage = Stage(site)
    outcomes = stage.run(*(case.prompt() for case in QUESTIONS))
    assert all(outcome.done for outcome in outcomes.values())
    assert all(site.struck(case.fault) for case in QUESTIONS)
    assert site.posts() == len(QUESTIONS)


def test_every_fault_ends_as_it_must_and_none_touches_another(stage: Stage) -> None:
    """Thirty prompts, a fault each, one batch: failures, states and bills are as they should.

    What the provider charged equals the ledger to the micro-dollar, prediction by prediction.
    """
    outcomes = stage.run(*(case.prompt() for case in CASES))
    struck = {case.fault: stage.site.struck(case.fault) for case in CASES}
    assert struck == Counter(case.fault for case in CASES)
    found: dict[str, list[Intent]] = {}
    for intent in stage.intents():
        found.setdefault(intent.prompt_id, []).append(intent)
    actual = {
        case.name: (
            classes(outcomes[case.prompt().prompt_id]),
            [intent.state.value for intent in found[case.prompt().prompt_id]],
            sum(intent.charged_microusd for intent in found[case.prompt().prompt_id]),
        )
        for case in CASES
    }
    expected = {
        case.name: ([case.error] if case.error else [], list(case.states), case.charged)
        for case in CASES
    }
    assert actual == expected

    bill = {line["id"]: line["charge_micro_usd"] for line in stage.site.charges()}
    ledger = {i.prediction_id: i.charged_microusd for i in stage.intents() if i.prediction_id}
    assert ledger == bill
    # One POST an intent: nothing was ever sent twice.
    assert stage.site.posts() == len(stage.intents())
    books = stage.ledger()
    assert violations(books.engine) == []
    (total,) = books.balances()
    assert (total.charged, total.reserved) == (sum(bill.values()), 0)
    books.close()
    assert not list((stage.site.folder / "scratch").iterdir())


def test_the_failed_can_be_tried_again(stage: Stage) -> None:
    """A second batch pays only for what did not land, and lands it all."""
    prompts = [case.prompt() for case in CASES if case.error in PAID_FOR_NOTHING]
    stage.rules = no_retries()
    first = stage.run(*prompts)
    assert not any(outcome.done for outcome in first.values())
    second = stage.run(*prompts)
    assert all(outcome.done for outcome in second.values())
    assert stage.site.posts() == 2 * len(prompts)
    third = stage.run(*prompts)
    assert all(landed.cached for outcome in third.values() for landed in outcome.landed)
    assert stage.site.posts() == 2 * len(prompts)
