"""Creates counted on the wire: for every failure, no POST that might be a second payment."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field, replace

import pytest

from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.sandbox.faults.names import FaultName
from asset_pipeline_tests.support.crash import workload
from asset_pipeline_tests.support.crash.site import Site, open_site
from asset_pipeline_tests.support.crash.worker import QUICK, drive

_TIMING = replace(QUICK, settle=1.0, outage=3.0, retention=1.5, cut_spread=0.5)


@dataclass(frozen=True)
class Case:
    """A failure, and all that may come of it.

    Attributes:
        posts: Creates on the wire.
        paid: Predictions that the provider charged for.
        error: The class of the failure; empty when the clip lands all the same.
    """

    fault: str
    posts: int
    paid: int
    error: str = ""
    match: Mapping[str, object] = field(default_factory=dict)
    params: Mapping[str, object] = field(default_factory=dict)
    times: int | None = 1
    sound: bool = False

    def __str__(self) -> str:
        details = [f"{name}={value}" for name, value in {**self.match, **self.params}.items()]
        return "-".join([self.fault, *details])


_FILE = {"route": "file"}
_GET = {"route": "get"}
_LIST = {"route": "list"}

_OF_WEBHOOKS = {FaultName.WEBHOOK_ABSENT, FaultName.WEBHOOK_HIDDEN, FaultName.WEBHOOK_LISTED}
_OF_CHATS = {fault for fault in FaultName if fault.value.startswith("chat_")}
_FORMS = ("version", "upper", "lower")
_SHAPES = (
    "string",
    "list",
    "object",
    "nested_list",
    "nested_object",
    "data_uri",
    "several",
)

CASES = (
    # The create itself.
    Case("lost_reply_before", posts=2, paid=1),
    Case("lost_reply_after", posts=1, paid=1),
    *(Case("error_5xx_before", 2, 1, params={"status": status}) for status in (500, 502, 503, 504)),
    *(Case("error_5xx_after", 1, 1, params={"status": status}) for status in (500, 502, 503, 504)),
    Case("rate_limited", posts=2, paid=1, params={"retry_after": 1}),
    Case("insufficient_credit", posts=1, paid=0, error="insufficient_credit"),
    Case("unauthenticated", posts=1, paid=0, error="authentication"),
    # Waiting for it, by listing and, where that does not tell, by asking.
    Case("error_5xx_before", posts=1, paid=1, match=_LIST, times=3),
    Case("lost_reply_before", posts=1, paid=1, match=_LIST, times=3),
    Case("rate_limited", 1, 1, match=_LIST, params={"retry_after": 1}),
    Case("get_5xx", posts=1, paid=1, times=3),
    Case("not_found_once", posts=1, paid=1),
    Case("rate_limited", 1, 1, match=_GET, params={"retry_after": 1}),
    Case("lost_reply_before", posts=1, paid=1, match=_GET, times=2),
    Case("outage", posts=1, paid=1, match=_GET, params={"seconds": 1.5}),
    Case("outage", posts=1, paid=1, match=_GET, params={"seconds": 1.5, "drop": True}),
    Case("slow", posts=1, paid=1, params={"seconds": 1}),
    # How it ends.
    # The rules try once more what cost nothing, and never pay a second time by themselves.
    Case("failed", posts=2, paid=1),
    Case("failed", 1, 0, "content_policy", params={"error": "NSFW content detected."}),
    Case("aborted", posts=2, paid=1),
    Case("canceled", posts=1, paid=1, error="cancelled"),
    Case("short_list", posts=1, paid=0, error="content_policy"),
    Case("wrong_output_type", posts=1, paid=1),
    # Fetching it.
    Case("lost_reply_before", posts=1, paid=1, match=_FILE, times=2),
    Case("error_5xx_before", posts=1, paid=1, match=_FILE, times=2),
    Case("truncated", posts=1, paid=1, match=_FILE),
    Case("truncated", posts=1, paid=1, match=_FILE, params={"drop": True}),
    Case("empty", posts=1, paid=1, match=_FILE),
    Case("html_page", posts=1, paid=1, match=_FILE),
    Case("blank", posts=1, paid=1, match=_FILE),
    Case("expired_output", posts=1, paid=1, match=_FILE),
    Case("truncated", 1, 1, "bad_output"),
    Case("empty", 1, 1, "output_expired"),
    Case("blank", 1, 1, "bad_output"),
    Case("silent", 1, 1, "bad_output", sound=True),
    Case("html_page", 1, 1, "output_expired"),
    Case("wrong_media", 1, 1, "bad_output"),
    Case("oversize", 1, 1, "bad_output", params={"bytes": 70_000_000}),
    Case("expired_output", 1, 1, "output_expired"),
    Case("expired_output", 1, 1, "output_expired", params={"what": "data"}),
    *(
        Case("late_file", 1, 1, times=None, params={"seconds": 1, "answer": answer})
        for answer in ("not_found", "forbidden", "error_5xx", "html_page", "empty", "truncated")
    ),
    # Accepted when nobody waits any more, known no more, or under an id that is another's.
    Case("late_acceptance", posts=1, paid=1, params={"seconds": 0.8, "drop": True}),
    Case("late_acceptance", posts=1, paid=1, params={"seconds": 0.8, "status": 504}),
    Case("forgotten", 1, 1, times=None, params={"lasting": 0.4, "listed": False}),
    Case("forgotten", 1, 1, "forgotten", times=None, params={"listed": False}),
    Case("same_id", posts=1, paid=1, error="unknown"),
    # How it is shown.
    *(Case("other_model_name", 1, 1, times=None, params={"form": form}) for form in _FORMS),
    *(
        Case(name, posts=1, paid=1, times=None)
        for name in (
            "model_absent",
            "created_at_absent",
            "hidden_seed",
            "collapsed_text",
            "emptied_input",
        )
    ),
    *(Case("output_shape", 1, 1, times=None, params={"shape": shape}) for shape in _SHAPES),
    Case("output_shape", 1, 1, "bad_output", times=None, params={"shape": "none"}),
    *(
        Case("absurd_metrics", 1, 1, times=None, params={"metrics": {"image_output_count": count}})
        for count in (1e12, 0, 0.4, -1, None)
    ),
)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Generator[Site]:
    """One site for all cases; each has a prompt of its own."""
    with open_site(tmp_path_factory.mktemp("wire"), predict="0.3") as running:
        yield running


@pytest.fixture(autouse=True)
def mended(site: Site) -> Generator[None]:
    """A case that fails leaves its trouble to no other."""
    yield
    site.mend()


def test_every_fault_of_the_sandbox_is_among_the_cases() -> None:
    """A new fault brings its count along; no create here asks for a webhook or is a chat."""
    assert {case.fault for case in CASES} == {*FaultName} - _OF_WEBHOOKS - _OF_CHATS


@pytest.mark.parametrize("case", CASES, ids=str)
def test_no_failure_is_answered_by_a_blind_repeat(site: Site, case: Case) -> None:
    """The wire sees exactly the creates that are certain to be no second payment."""
    prompt = _prompt(case)
    mine = {"prompt": prompt.prompt_id}
    rule: dict[str, object] = {
        "fault": case.fault,
        "match": case.match if case.match in (_FILE, _LIST) else {**case.match, **mine},
        "params": case.params,
    }
    site.fault(rule if case.times is None else {**rule, "times": case.times})
    if case.match == _GET or case.fault in {"get_5xx", "not_found_once"}:
        # Long enough that the listing alone does not tell its end.
        site.fault(
            {"fault": "slow", "match": mine, "params": {"seconds": 1.5}},
        )
    before = site.posts()
    summary = asyncio.run(drive(site.job([prompt], timing=_TIMING)))
    assert site.struck(case.fault) >= 1
    site.mend()
    assert [found for found, _ in summary.failures] == ([case.error] if case.error else [])
    assert site.posts() - before == case.posts
    assert _payments(site, prompt) == case.paid


def test_a_listing_that_fails_leaves_the_question_open(site: Site) -> None:
    """Who cannot list does not send: the next run lists, and finds what was paid for."""
    prompt = workload.picture("listing-fails")
    site.fault(
        {"fault": "lost_reply_after", "match": {"prompt": prompt.prompt_id}, "times": 1},
        {"fault": "lost_reply_before", "match": {"route": "list"}},
    )
    before = site.posts()
    job = site.job([prompt], timing=_TIMING)
    first = asyncio.run(drive(job))
    site.mend()
    second = asyncio.run(drive(job))
    assert [found for found, _ in first.failures] == ["network"]
    assert (second.landed, second.failures) == (1, [])
    assert site.posts() - before == 1
    assert _payments(site, prompt) == 1


def test_a_landed_clip_is_never_asked_for_again(site: Site) -> None:
    """A second run over stored clips asks for nothing but the account that they belong to."""
    prompts = [workload.picture("again", variants=2), workload.speech("again", variants=2)]
    asyncio.run(drive(site.job(prompts)))
    before = site.requests()
    summary = asyncio.run(drive(site.job(prompts)))
    assert summary.landed == 4
    account = "GET /v1/account"
    assert site.requests() == before | {account: before[account] + 1}


def _prompt(case: Case) -> Prompt:
    name = "".join(sign if sign.isalnum() else "-" for sign in str(case)).lower()
    return workload.speech(name) if case.sound else workload.picture(name)


def _payments(site: Site, prompt: Prompt) -> int:
    """Count what was charged for a prompt, once all of it has ended."""
    limit = time.monotonic() + 10
    while True:
        bill = [line for line in site.charges() if line["prompt"] == prompt.full_text]
        if all(line["settled"] for line in bill):
            return sum(line["charge_micro_usd"] > 0 for line in bill)
        assert time.monotonic() < limit, "a prediction does not end"
        time.sleep(0.05)
