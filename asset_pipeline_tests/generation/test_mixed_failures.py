"""A batch with failures of every kind among it: the clean land, the recoverable land in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from asset_pipeline.media.probe import verify
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline_tests.support.crash import workload
from asset_pipeline_tests.support.crash.site import Site, open_site
from asset_pipeline_tests.support.ledger_invariants import violations
from asset_pipeline_tests.support.stage import QUICK, Stage, classes

NSFW = {"error": "NSFW content detected. Try running it again, or try a different prompt."}


@dataclass(frozen=True)
class Trouble:
    """What one prompt of the batch meets.

    Attributes:
        times: How often it strikes; for ever if None.
        error: The class of the failure in the end; empty when the clip lands all the same.
        attempts: Intents that the prompt takes.
    """

    fault: str
    times: int | None = 1
    error: str = ""
    attempts: int = 2
    params: dict[str, Any] = field(default_factory=dict)
    match: dict[str, Any] = field(default_factory=dict)


TROUBLES = (
    Trouble("failed", params={"error": "Prediction interrupted; please retry (code: PA)"}),
    Trouble("failed", times=3, attempts=4, params={"error": "Director: unexpected (E9828)"}),
    Trouble("failed", None, "server_error", 4, {"error": "(E1000)"}),
    Trouble("failed", None, "out_of_memory", 1, {"error": "Out of memory (E1001)"}),
    Trouble("failed", None, "content_policy", 1, NSFW),
    Trouble("failed", times=1, params={"error": "list index out of range"}),
    Trouble("error_5xx_before", params={"status": 503}),
    Trouble("error_5xx_after", attempts=1),
    Trouble("lost_reply_before"),
    Trouble("lost_reply_after", attempts=1),
    Trouble("rate_limited", params={"retry_after": 0}),
    Trouble("insufficient_credit", None, "insufficient_credit", 1),
    Trouble("unauthenticated", None, "authentication", 1),
    Trouble("aborted"),
    Trouble("aborted", None, "timeout", 3),
    Trouble("canceled", None, "cancelled", 1),
    Trouble("blank", None, "bad_output", 1),
    Trouble("truncated", None, "bad_output", 1),
    Trouble("html_page", None, "output_expired", 1),
    Trouble("wrong_media", None, "bad_output", 1),
    Trouble("expired_output", None, "output_expired", 1),
    Trouble("html_page", match={"route": "file"}, attempts=1),
    Trouble("expired_output", match={"route": "file"}, attempts=1),
)
CLEAN = 37


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A server of this module's own: removed inputs make other tests' listings unsure."""
    with open_site(tmp_path_factory.mktemp("mixed"), predict="0.1") as running:
        yield running


def _troubled() -> dict[str, Trouble]:
    return {f"trouble-{number:02}-x": trouble for number, trouble in enumerate(TROUBLES)}


def test_sixty_prompts_with_every_failure_among_them(site: Site) -> None:
    """Whoever can land does, the rest fail with their class, and both accounts agree.

    Every stored file is a whole, real clip; and what was asked for again, and how often, is what
    the rules say, to the micro-dollar.
    """
    troubled = _troubled()
    site.fault(
        *(
            {"fault": each.fault, "match": each.match | {"prompt": name}, "params": each.params}
            | ({"times": each.times} if each.times else {})
            for name, each in troubled.items()
        )
    )
    # Sixty pictures at once: on a busy machine the second look at a file comes seconds later.
    stage = Stage(site, plan={"timing": replace(QUICK, retention=8.0)})
    prompts = [*map(workload.picture, troubled)]
    prompts += [workload.picture(f"clean-{number:02}-x") for number in range(CLEAN)]
    outcomes = stage.run(*prompts)
    assert len(outcomes) == 60
    found = {name: classes(outcomes[name]) for name in troubled}
    assert found == {name: [each.error] if each.error else [] for name, each in troubled.items()}
    assert all(outcome.done for name, outcome in outcomes.items() if name.startswith("clean"))

    by_prompt: dict[str, int] = {}
    for intent in stage.intents():
        by_prompt[intent.prompt_id] = by_prompt.get(intent.prompt_id, 0) + 1
    assert {name: by_prompt[name] for name in troubled} == {
        name: each.attempts for name, each in troubled.items()
    }
    bill = {line["id"]: line["charge_micro_usd"] for line in site.charges()}
    ledger = {i.prediction_id: i.charged_microusd for i in stage.intents() if i.prediction_id}
    assert ledger == bill
    assert site.posts() == len(stage.intents())
    books = stage.ledger()
    assert violations(books.engine) == []
    (total,) = books.balances()
    assert (total.charged, total.reserved) == (sum(bill.values()), 0)
    clips = books.current_clips()
    books.close()
    assert len(clips) == sum(outcome.done for outcome in outcomes.values())
    for clip in clips:
        info = verify(site.folder / "clips" / clip.object_key, clip.kind)
        assert info.sha256 == clip.sha256
    for name, each in troubled.items():
        if each.error in {"bad_output", "output_expired"}:
            stake = outcomes[name].stake
            assert stake is not None
            assert (stake.attempts, stake.charged, stake.reserved) == (1, 3000, 0)


def test_a_second_run_pays_for_the_failed_alone(site: Site) -> None:
    """Once the cause is gone only they are asked for, once each; the landed are cache hits."""
    names = [f"{name}-again" for name in _troubled()]
    broken = [name for name, each in zip(names, TROUBLES, strict=True) if each.error]
    site.fault(*({"fault": "failed", "match": {"prompt": name}, "params": NSFW} for name in broken))
    stage = Stage(site)
    prompts: list[Prompt] = [replace(workload.picture(name)) for name in names]
    first = stage.run(*prompts)
    assert sum(not outcome.done for outcome in first.values()) == len(broken)
    posts = site.posts()
    site.mend()
    second = stage.run(*prompts)
    assert all(outcome.done for outcome in second.values())
    assert site.posts() - posts == len(broken)
