"""Talks with a hostile provider: single questions by the thousand, and whole batches that pay.

Both say what went wrong as sentences. They are run by a test in a slice, by a benchmark in full,
and by either in a process of its own, whose memory is measured.
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from pydantic import JsonValue
from sqlalchemy import select

from asset_pipeline.foreign.text import is_clean, is_id
from asset_pipeline.generation.batch import PromptOutcome
from asset_pipeline.ledger.schema import IntentState, clips, intents
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.providers.listing import gathered
from asset_pipeline.providers.prediction import Prediction
from asset_pipeline.providers.protocol import ProviderError
from asset_pipeline.providers.replicate import ReplicateProvider
from asset_pipeline_tests.support.crash.site import Site
from asset_pipeline_tests.support.generation_samples import COVER
from asset_pipeline_tests.support.hostile_provider import HostileProvider, Oddity, Stage
from asset_pipeline_tests.support.ledger_invariants import violations
from asset_pipeline_tests.support.odd_replies import (
    CHANGED,
    CHANGES,
    HUGE_REPLIES,
    ODD_OUTPUTS,
    PICTURE_REPLIES,
    REPLIES,
    OddReply,
)
from asset_pipeline_tests.support.provider_samples import SCHNELL, provider
from asset_pipeline_tests.support.retry_rules import no_retries
from asset_pipeline_tests.support.scripted_server import Answer, Received, reply, serving
from asset_pipeline_tests.support.stage import Stage as PaidStage

IN_ONE_TALK = 20
ODD_IN_ONE_BATCH = 16
GOOD_IN_ONE_BATCH = 4

LONGEST_SECONDS = 10.0
MOST_MEGABYTES = 600

# The client's patience with a reply that drips in or never comes; thirty seconds and more in use.
_PATIENCE = {"request_seconds": 1.0, "download_seconds": 1.0}
# Of the client that pays: what a busy machine is late with is no odd reply.
_PAYING_PATIENCE = 4.0
_LARGEST_FILE = 1024 * 1024
_LONGEST_ERROR = 4000


@dataclass
class Figures:
    """What came of many talks.

    Attributes:
        replies: Odd replies that were given.
        longest: Seconds of the longest question or of the longest prompt.
        megabytes: The most that the process held.
        flaws: What was wrong.
    """

    replies: int = 0
    batches: int = 0
    longest: float = 0.0
    landed: int = 0
    failed: dict[str, int] = field(default_factory=dict[str, int])
    megabytes: float = 0.0
    flaws: list[str] = field(default_factory=list[str])

    def add_failures(self, outcomes: Sequence[PromptOutcome]) -> None:
        """Count what landed, and what did not by its class."""
        for outcome in outcomes:
            self.landed += len(outcome.landed)
            for failure in outcome.failures:
                name = failure.error_class.value
                self.failed[name] = self.failed.get(name, 0) + 1


def generated(strategy: st.SearchStrategy[Any], count: int, number: int) -> list[Any]:
    """Return values of a strategy, the same ones for the same number."""
    found: list[Any] = []

    @seed(number)
    @settings(
        max_examples=count + 1,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def collect(value: object) -> None:
        found.append(value)

    collect()
    return found[1:]  # the first is the simplest there is, over and over


def talk(count: int, number: int, huge: int = 0) -> Figures:
    """Ask a server with odd answers all its questions, so often.

    Args:
        count: Generated replies.
        number: The seed.
        huge: How many replies of forty megabytes there are beside them.
    """
    talks = st.lists(
        REPLIES | CHANGED | PICTURE_REPLIES, min_size=IN_ONE_TALK, max_size=IN_ONE_TALK
    )
    figures = Figures()
    for replies in generated(talks, count // IN_ONE_TALK, number):
        asyncio.run(_one_talk(replies, figures))
    for each in generated(HUGE_REPLIES, huge, number) if huge else ():
        asyncio.run(_one_talk([each, each], figures))
    figures.megabytes = peak_megabytes()
    return figures


async def _one_talk(replies: Sequence[OddReply], figures: Figures) -> None:
    waiting = list(replies)
    unhandled = _watch_loop()

    def choose(request: Received) -> Answer:
        if not waiting:
            return reply(404, {"detail": "no more"})
        figures.replies += 1
        return waiting.pop().answer(_honest(request))

    with tempfile.TemporaryDirectory() as folder:
        async with serving() as server:
            server.choose = choose
            replicate = provider(server.url, **_PATIENCE)
            try:
                questions = [
                    _question(replicate, server.url, number, Path(folder) / str(number))
                    for number in range(len(replies))
                ]
                said = await asyncio.gather(*(_timed(each, figures) for each in questions))
            finally:
                await replicate.aclose()
    figures.flaws += [flaw for flaws in said for flaw in flaws]
    figures.flaws += unhandled


def _honest(request: Received) -> object:
    if request.path.startswith("/f"):
        return b"\x89PNG"
    row: dict[str, object] = {"id": "p1", "status": "starting", "input": {"prompt": "x"}}
    return {"results": [row], "next": None} if "?" in request.path else row


async def _timed(question: Awaitable[list[str]], figures: Figures) -> list[str]:
    began = time.monotonic()
    try:
        flaws = await question
    except Exception as error:  # noqa: BLE001 -- any other error than ours is a flaw
        flaws = [f"{type(error).__name__}: {error!r:.300}"]
    seconds = time.monotonic() - began
    figures.longest = max(figures.longest, seconds)
    return flaws


async def _question(replicate: ReplicateProvider, url: str, number: int, target: Path) -> list[str]:
    since = datetime.now(UTC) - timedelta(hours=1)
    rows: list[Prediction] = []
    try:
        match number % 6:
            case 0:
                rows = [await replicate.create(SCHNELL)]
            case 1:
                rows = [await replicate.get("p1")]
            case 2:
                rows = (await gathered(replicate, since))[0]
            case 3:
                await replicate.origin()
            case 4:
                rows = [await replicate.cancel("p1")]
            case _:
                size = await replicate.download(f"{url}/f", target, max_bytes=_LARGEST_FILE)
                there = (await asyncio.to_thread(target.stat)).st_size
                return [] if size == there else [f"a file of {there} bytes passes for {size}"]
    except ProviderError as error:
        words = [error.message, *(word for pair in error.invalid_fields for word in pair)]
        return [f"odd words: {word!r:.200}" for word in words if not is_clean(word, 2500)]
    return [flaw for row in rows for flaw in flaws_of(row)]


def flaws_of(row: Prediction) -> list[str]:
    """Return what of a prediction no database stores or no screen should show."""
    shown = [row.model, row.version or "", row.raw_status, row.error or "", row.web_url]
    shown += [row.webhook, *row.inputs, *row.metrics]
    flaws = [f"odd text: {each!r:.200}" for each in shown if not is_clean(each, 100_000)]
    for each in (row.inputs, row.output):
        try:
            json.dumps(each, ensure_ascii=False).encode()
        except ValueError as error:
            flaws.append(f"what can't be stored: {error}")
    if not is_id(row.prediction_id) or len(row.error or "") > _LONGEST_ERROR:
        flaws.append(f"an odd id or a long error: {row.prediction_id!r:.100}")
    return flaws + [f"metric {k}" for k, v in row.metrics.items() if not 0 <= v <= 1e12]


def _with_output(output: JsonValue) -> OddReply:
    return OddReply(changes={"output": output})


ODDITIES = st.one_of(
    st.builds(Oddity, st.just(Stage.CREATE), REPLIES | CHANGED, st.booleans()),
    st.builds(Oddity, st.just(Stage.GET), REPLIES | CHANGED),
    st.builds(Oddity, st.just(Stage.LIST), REPLIES | CHANGED),
    st.builds(Oddity, st.just(Stage.ROW), CHANGES.map(lambda changes: OddReply(changes=changes))),
    st.builds(
        Oddity,
        st.just(Stage.ROW),
        ODD_OUTPUTS.map(_with_output),
    ),
    st.builds(Oddity, st.sampled_from([Stage.FILE, Stage.EACH_FILE]), PICTURE_REPLIES),
)
"""What can be odd about one paid clip."""


def pay(folder: Path, ledger_url: str, count: int, number: int) -> Figures:
    """Run batches in which four prompts of five meet an odd reply, each batch again when mended.

    Args:
        folder: For the store.
        ledger_url: An empty ledger.
        count: Odd replies.
        number: The seed.
    """
    batches = st.lists(ODDITIES, min_size=ODD_IN_ONE_BATCH, max_size=ODD_IN_ONE_BATCH)
    figures = Figures()
    for batch, oddities in enumerate(generated(batches, count // ODD_IN_ONE_BATCH, number)):
        asyncio.run(_one_batch(_Place(folder, ledger_url, batch), oddities, figures))
        figures.batches += 1
    figures.megabytes = peak_megabytes()
    return figures


@dataclass(frozen=True)
class _Place:
    folder: Path
    ledger_url: str
    batch: int


async def _one_batch(place: _Place, oddities: Sequence[Oddity], figures: Figures) -> None:
    odd = [_prompt(place.batch, f"odd-{number}") for number in range(len(oddities))]
    good = [_prompt(place.batch, f"good-{number}") for number in range(GOOD_IN_ONE_BATCH)]
    by_text = {p.text: o for p, o in zip(odd, oddities, strict=True)}
    mind = HostileProvider(by_text, f"batch{place.batch}")
    unhandled = _watch_loop()
    prompts = [*good[:2], *odd, *good[2:]]
    async with serving() as server:
        server.choose, mind.url = mind.choose, server.url
        site = Site(place.folder, place.ledger_url, place.folder, "0", url=server.url)
        stage = PaidStage(site, rules=no_retries(), patience=_PAYING_PATIENCE)
        first = await stage.generate(prompts)
        posts = dict(mind.posts)
        figures.replies += mind.given.total()
        figures.longest = max(figures.longest, *(each.seconds for each in first.values()))
        figures.add_failures(list(first.values()))
        mind.is_mended = True
        again = await stage.generate(prompts)
    names = {p.text: f"{p.prompt_id} {mind.odd.get(p.text)!r:.600}" for p in prompts}
    flaws = [
        f"does not land: {names[p.text]} {first[p.prompt_id].failures!r:.600}"
        for p in good
        if not first[p.prompt_id].done
    ]
    flaws += [f"no outcome: {names[p.text]}" for p in prompts if p.prompt_id not in first]
    flaws += [
        f"sent {n} times: {names[text]}"
        for text, n in posts.items()
        if n > 1 and not _is_throttled(mind.odd.get(text))
    ]
    flaws += [
        f"paid again for a clip: {names[p.text]}"
        for p in prompts
        if first[p.prompt_id].done
        and (mind.posts[p.text] > posts[p.text] or not again[p.prompt_id].done)
    ]
    figures.flaws += [*flaws, *_account(stage, mind, names), *unhandled]


def _is_throttled(oddity: Oddity | None) -> bool:
    """Tell whether a create was answered by 429: certainly unpaid, and due again in its turn."""
    return oddity is not None and oddity.stage is Stage.CREATE and oddity.reply.status == 429


def _account(stage: PaidStage, mind: HostileProvider, names: dict[str, str]) -> list[str]:
    """Compare the ledger with what the provider accepted."""
    ledger = stage.ledger()
    flaws = violations(ledger.engine)
    with ledger.engine.connect() as connection:
        rows = connection.execute(select(intents)).mappings().all()
        current = connection.execute(
            select(clips.c.prompt_id).where(clips.c.superseded_at.is_(None))
        ).scalars()
        landed = Counter(current)
    ledger.close()
    flaws += [f"{count} clips of {name}" for name, count in landed.items() if count > 1]
    for text, name in names.items():
        own = [row for row in rows if row["prompt_text"] == text]
        over = [row for row in own if row["state"] in {IntentState.FAILED, IntentState.REFUSED}]
        given_up = [row for row in own if row["state"] == IntentState.REFUSED]
        accepted = mind.accepted(text)
        if len(accepted) - len(over) > 1:
            flaws.append(f"paid twice: {name}")
        if len(own) - len(given_up) < len(accepted):
            flaws.append(f"accepted and given back: {name} {[dict(r) for r in given_up]!r:.800}")
        for row in own:
            shown = [str(value) for value in row.values() if isinstance(value, str)]
            flaws += [f"stored {each!r:.200}" for each in shown if not is_clean(each, 200_000)]
    return flaws


def _prompt(batch: int, name: str) -> Prompt:
    prompt_id = f"{name}-of-{batch}"
    return replace(COVER, prompt_id=prompt_id, text=f"a lighthouse called {prompt_id}")


def _watch_loop() -> list[str]:
    """Return a list to which the running loop adds what nobody handles."""
    unhandled: list[str] = []

    def note(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        unhandled.append(f"unhandled: {context.get('message')} {context.get('exception')!r:.300}")

    asyncio.get_running_loop().set_exception_handler(note)
    return unhandled


def peak_megabytes() -> float:
    """Return the most memory that this process has held."""
    status = Path("/proc/self/status")
    if status.exists():
        # getrusage counts what the process was forked from too, which may be the whole test suite.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1024 * 1024 if sys.platform == "darwin" else 1024)
