"""A provider that does not know what it accepted: seen in seconds, said aloud, and never released.

Another account's token, another server behind the same address, or one that lost its memory.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import AsyncGenerator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy import update

from asset_pipeline.generation.failures import ErrorClass, GenerationFailure
from asset_pipeline.generation.payment.context import PaymentContext
from asset_pipeline.generation.payment.poller import PredictionPoller
from asset_pipeline.generation.payment.wait import wait_for_end
from asset_pipeline.generation.reconciliation.resume import ResumeResult
from asset_pipeline.generation.timeouts import Timeouts
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.schema import OPEN_STATES, IntentState, intents
from asset_pipeline.providers.prediction import Prediction
from asset_pipeline.providers.protocol import NotFoundError, Provider, UnavailableError
from asset_pipeline_tests.generation.payment.test_output_search import TERMS
from asset_pipeline_tests.support.clocks import NOON
from asset_pipeline_tests.support.crash import worker_processes, workload
from asset_pipeline_tests.support.crash.bookkeeping import close_books
from asset_pipeline_tests.support.crash.site import Site, open_site
from asset_pipeline_tests.support.crash.worker import KillPoint
from asset_pipeline_tests.support.generation_samples import prediction
from asset_pipeline_tests.support.ledgers import new_intent
from asset_pipeline_tests.support.resume import resume
from asset_pipeline_tests.support.simulated_clock import SimulatedClock
from asset_pipeline_tests.support.stage import Stage, classes

pytestmark = pytest.mark.servers


class Forgetful:
    """A provider whose GETs follow a script, and whose listing shows what it is told.

    Attributes:
        script: 404, 503 or a status each; the last goes on.
        listed: Whether the listing shows the prediction; None where it fails.
    """

    def __init__(self, clock: SimulatedClock, script: list[int | str]) -> None:
        self._clock = clock
        self.script = script
        self.listed: bool | None = False
        self.asked = 0

    async def get(self, prediction_id: str) -> Prediction:
        """Answer a question."""
        self.asked += 1
        answer = self.script.pop(0) if len(self.script) > 1 else self.script[0]
        await self._clock.sleep(0.05)
        if answer == 404:
            raise NotFoundError("HTTP 404", status=404)
        if answer == 503:
            raise UnavailableError("HTTP 503", status=503)
        return prediction(id=prediction_id, status=answer)

    async def list_since(self, since: datetime) -> AsyncGenerator[Prediction]:
        """List it, or not."""
        del since
        await self._clock.sleep(0.05)
        if self.listed is None:
            raise UnavailableError("HTTP 503", status=503)
        if self.listed:
            yield prediction(id="p1", status="processing")


def _waited(
    clock: SimulatedClock, provider: Forgetful, *, sent_ago: float = 0.0
) -> Prediction | str:
    """Wait for a prediction; return it, or what is asked of a person, or the failure's class."""
    asked: list[str] = []

    def ask(intent: Intent, question: str) -> None:
        assert intent.state is IntentState.SUBMITTED
        asked.append(question)

    async def write(step: Any, *args: Any) -> Any:  # noqa: ANN401 -- any transaction
        return step(*args)

    async def run() -> Prediction | str:
        watch = PredictionPoller(cast("Provider", provider), clock, Timeouts())
        with_ = SimpleNamespace(
            provider=provider,
            watch=watch,
            clock=clock,
            timing=Timeouts(),
            write=write,
            ledger=SimpleNamespace(ask=ask),
        )
        made = new_intent().reserved(1, run_id="r", worker_id="w", now=NOON)
        sent = replace(
            made,
            state=IntentState.SUBMITTED,
            prediction_id="p1",
            submitted_at=clock.now() - timedelta(seconds=sent_ago),
        )
        try:
            return await wait_for_end(cast("PaymentContext", with_), TERMS, sent)
        except GenerationFailure as failure:
            return asked[0] if asked else failure.error_class.value
        finally:
            await watch.aclose()

    return clock.run(run())


def test_a_forgotten_prediction_is_seen_within_seconds(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not after the provider's own deadline of minutes, in which it held a place."""
    clock = SimulatedClock()
    with caplog.at_level(logging.WARNING):
        assert _waited(clock, Forgetful(clock, [404])) == "forgotten"
    assert clock.monotonic() < 15
    assert "does not know prediction p1" in caplog.text
    assert "REPLICATE_API_TOKEN" in caplog.text
    assert "REPLICATE_BASE_URL" in caplog.text


@pytest.mark.parametrize(
    "script",
    [
        [404, "succeeded"],
        [404, 404, "processing", "succeeded"],
        [404, 503, 404, 404, "succeeded"],
        ["processing", 404, "succeeded"],
    ],
)
def test_a_404_for_a_moment_is_not_believed(script: list[int | str]) -> None:
    """Replicate answers so right after a create; any other answer says that it knows."""
    clock = SimulatedClock()
    found = _waited(clock, Forgetful(clock, script))
    assert isinstance(found, Prediction)


@pytest.mark.parametrize("listed", [True, None])
def test_what_is_listed_or_may_be_is_not_forgotten(listed: bool | None) -> None:  # noqa: FBT001
    """The listing knows it, or can't be asked: it is waited for as before."""
    clock = SimulatedClock()
    provider = Forgetful(clock, [404])
    provider.listed = listed
    assert _waited(clock, provider) == ErrorClass.TIMEOUT
    assert clock.monotonic() > TERMS.max_predict_seconds


def test_after_the_deadline_it_is_a_question() -> None:
    """By then it has ended, whatever became of it; a person looks it up."""
    clock = SimulatedClock()
    asked = _waited(clock, Forgetful(clock, [404]), sent_ago=TERMS.max_predict_seconds + 61)
    assert isinstance(asked, str)
    assert "which it accepted" in asked
    assert "REPLICATE_API_TOKEN" in asked


def test_its_money_stays_reserved_and_it_is_taken_up_again(tmp_path: Path, name: str) -> None:
    """By runs and by reconcile, for nothing and in seconds; once known again its clip lands."""
    prompt = workload.picture(name)
    with open_site(tmp_path, predict="0.2") as site:
        assert worker_processes.run(site.job([prompt]), KillPoint("submitted")).killed
        memory = _forget(site)
        stage = Stage(site)
        started = time.monotonic()
        outcome = stage.run(prompt)[name]
        assert time.monotonic() - started < 20
        assert classes(outcome) == ["forgotten"]
        assert stage.states() == ["submitted"]
        assert stage.intents()[0].reserved_microusd == 3000
        (resumed,) = resume(site)
        assert resumed.result is ResumeResult.OPEN
        assert resumed.reason.startswith("forgotten: the provider")
        assert site.posts() == 0
        _let_an_hour_pass(site)
        (resumed,) = resume(site)
        assert (resumed.result, stage.states()) == (ResumeResult.QUESTION, ["question"])
        assert [each.result for each in resume(site)] == [ResumeResult.QUESTION]
        _remember(site, memory)
        assert [each.result for each in resume(site)] == [ResumeResult.DELIVERED]
        books = close_books(site, [prompt])
        assert (books.flaws, books.posts) == ((), 1)


def test_forgotten_predictions_hold_no_place(tmp_path: Path, name: str) -> None:
    """With one place at the provider and three forgotten before it, a new clip is made."""
    forgotten = [workload.picture(f"{name}-{number}") for number in range(3)]
    fresh = workload.picture(f"{name}-fresh")
    with open_site(tmp_path, predict="0.2") as site:
        for prompt in forgotten:
            assert worker_processes.run(site.job([prompt]), KillPoint("submitted")).killed
        _forget(site)
        outcomes = Stage(site, max_in_flight=1).run(*forgotten, fresh)
        assert outcomes[fresh.prompt_id].done
        assert {tuple(classes(outcomes[each.prompt_id])) for each in forgotten} == {("forgotten",)}


def _forget(site: Site) -> Path:
    """Let the server lose its memory; return where that is."""
    site.kill_server()
    memory = site.folder / "memory"
    shutil.move(site.state_dir, memory)
    site.open_server()
    return memory


def _remember(site: Site, memory: Path) -> None:
    site.kill_server()
    shutil.rmtree(site.state_dir)
    shutil.move(memory, site.state_dir)
    site.open_server()


def _let_an_hour_pass(site: Site) -> None:
    ledger = site.job(()).open_ledger()
    (intent,) = ledger.intents_in(OPEN_STATES)
    assert intent.submitted_at is not None
    with ledger.engine.begin() as connection:
        connection.execute(
            update(intents).values(submitted_at=intent.submitted_at - timedelta(hours=1))
        )
    ledger.close()
