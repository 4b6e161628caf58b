"""A provider that shares neither clock nor account nor names with us, and workers that die.

Its clock is another before each life. Another account makes predictions that look like ours, and
sometimes its token opens our ledger. Rows hide their seed, name the model otherwise or have lost
their input. Replies are lost, and creates accepted when nobody waits any more.
"""

from __future__ import annotations

import contextlib
import random
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import httpx
from sqlalchemy import select

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.errors import ExitCode
from asset_pipeline.ledger.schema import OPEN_STATES, IntentState, intents
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline_tests.support.crash import worker_processes, workload
from asset_pipeline_tests.support.crash.bookkeeping import Books, close_books
from asset_pipeline_tests.support.crash.kill_harness import (
    PLAIN_POINTS,
    RECOVERY_POINTS,
    Tally,
    kill_until_done,
    shuffled,
)
from asset_pipeline_tests.support.crash.site import Site
from asset_pipeline_tests.support.crash.worker import Job

SKEWS = (-120.0, -30.0, 30.0, 120.0)
RIVAL = "r8_account_rival"

_POINTS = (*PLAIN_POINTS, *RECOVERY_POINTS, "lost", "unknown", "absent", "released")
_STRANGER_EACH = 10  # lives
# Questions and strangers end many lives unharmed; with more than this the prompts would run out
# before the kills.
_BROUGHT_BY_LIVES = 0.1
# Well within the two seconds that the workers of these tests give a create to be accepted.
_LATE_SECONDS = 0.8
_NOISE_SECONDS = 0.5
_SETTLING_SECONDS = 20.0


def _wire(fault: str, seed: int, **params: object) -> dict[str, object]:
    match = {"probability": 0.1, "seed": seed}
    return {"fault": fault, "match": match, "per_prompt": 1, "params": params}


def _shown(fault: str, probability: float, seed: int, **params: object) -> dict[str, object]:
    match = {"probability": probability, "seed": seed}
    return {"fault": fault, "match": match, "params": params}


FOREIGN: tuple[Mapping[str, object], ...] = (
    _wire("late_acceptance", 1, seconds=_LATE_SECONDS, drop=True, after=0.05),
    _wire("late_acceptance", 2, seconds=_LATE_SECONDS, status=504, after=0.05),
    _wire("lost_reply_before", 3),
    _wire("lost_reply_after", 4),
    _wire("error_5xx_after", 5, status=502),
    _shown("hidden_seed", 0.5, 11),
    _shown("hidden_seed", 0.2, 12, hide="null"),
    _shown("other_model_name", 0.3, 13),
    _shown("other_model_name", 0.2, 14, form="upper"),
    _shown("other_model_name", 0.1, 15, form="alias", alias="another/name-of-it"),
    _shown("model_absent", 0.05, 16),
    _shown("collapsed_text", 0.3, 17),
    _shown("emptied_input", 0.05, 18),
    _shown("created_at_absent", 0.05, 19),
)


def prompts(count: int) -> list[Prompt]:
    """Prompts of both kinds, two variants each, with white space that a provider may collapse."""
    return [replace(each, text=each.text.replace(" ", "  ", 1)) for each in workload.mixed(count)]


def kill_among_strangers(
    site: Site, wanted: Sequence[Prompt], *, kills: int, dice: random.Random
) -> tuple[Tally, Books]:
    """Kill workers until the prompts are done or asked about, and close the books."""
    site.fault(*FOREIGN)
    job = site.job(wanted)
    world = _World(site, job, dice)
    with _noise(site, dice.randrange(2**32)):
        deaths = shuffled(dice, _POINTS, longest=0.6)
        tally = kill_until_done(
            job,
            deaths,
            kills,
            between=world.turn,
            is_done=lambda life: _is_done(job, life),
            brought_by_lives=_BROUGHT_BY_LIVES,
        )
    _let_settle(site)
    return tally, close_books(site, wanted, may_ask=True)


class _World:
    """What changes between two lives."""

    def __init__(self, site: Site, job: Job, dice: random.Random) -> None:
        self._site = site
        self._stranger = replace(job, token=RIVAL, reconciles=True)
        self._dice = dice
        self._turns = 0

    def turn(self) -> None:
        """Set the clock, and now and then let the other account's token open the ledger."""
        self._site.set_clock(self._dice.choice(SKEWS))
        self._turns += 1
        if self._turns % _STRANGER_EACH == 0:
            life = worker_processes.run(self._stranger)
            assert life.exit_code == ExitCode.DONE, f"a stranger ended with {life.exit_code}"


def _is_done(job: Job, life: worker_processes.Life) -> bool:
    """Whether all is delivered, or what is not waits for a person."""
    if life.exit_code == ExitCode.DONE:
        return True
    if life.killed:
        return False
    ledger = job.open_ledger()
    try:
        with ledger.engine.connect().execution_options(reading=True) as connection:
            query = select(intents.c.state).where(intents.c.state.in_(OPEN_STATES))
            found = set(connection.execute(query).scalars())
    finally:
        ledger.close()
    return found == {IntentState.QUESTION}


def _let_settle(site: Site) -> None:
    """Wait for what is still to be accepted, and until all that was accepted has ended."""
    time.sleep(2 * _LATE_SECONDS)
    limit = time.monotonic() + _SETTLING_SECONDS
    while not all(line["settled"] for line in site.charges()):
        assert time.monotonic() < limit, "predictions do not end"
        time.sleep(0.1)


@contextlib.contextmanager
def _noise(site: Site, seed: int) -> Generator[None]:
    """Let the other account ask for what we asked for, again and again."""
    over = threading.Event()
    thread = threading.Thread(target=_copy_us, args=(site, random.Random(seed), over), daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _copy_us(site: Site, dice: random.Random, over: threading.Event) -> None:
    headers = {"Authorization": f"Bearer {RIVAL}"}
    with httpx.Client(base_url=site.url, headers=headers, trust_env=False, timeout=30) as client:
        while not over.wait(_NOISE_SECONDS):
            ours = site.charges()
            if not ours:
                continue
            path, body = _equal_create(client, dice.choice(ours))
            site.foreign_posts += 1
            with contextlib.suppress(httpx.HTTPError):
                client.post(path, json=body)


def _equal_create(client: httpx.Client, line: Mapping[str, Any]) -> tuple[str, dict[str, object]]:
    """Return path and body of a create like one of ours, its seed too where it is shown."""
    model = workload.catalog().get(line["model"])
    token = {"Authorization": "Bearer r8_sandbox"}
    reply = client.get(f"/v1/predictions/{line['id']}", headers=token)
    shown: dict[str, object] = reply.json().get("input", {}) if reply.is_success else {}
    inputs = {name: value for name, value in shown.items() if value is not None}
    inputs[model.prompt_input] = line["prompt"]
    if model.kind is Kind.IMAGE:
        inputs = {"megapixels": "0.25", "output_format": "jpg", **inputs}
    if model.official:
        return f"/v1/models/{model.name}/predictions", {"input": inputs}
    return "/v1/predictions", {"version": model.version, "input": inputs}
