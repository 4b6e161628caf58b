"""Rules that keep a bucket private and tidy; each can be set and checked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from asset_pipeline.stores.protocol import StoreError

# Links are opened from pages that were saved to a disk or put on any host; reading needs a
# signature all the same.
CORS_METHODS: Final = ("GET", "HEAD")
CORS_SECONDS: Final = 3600

# What a killed process left half-way in is of no use after a day.
LEFTOVER_DAYS: Final = 1

# Below the prefix; no key can begin so, so that no clip can expire by it.
TEMPORARY: Final = ".incoming/"


class RuleStatus(StrEnum):
    """How a rule stands."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True)
class RuleResult:
    """How one rule stands.

    Attributes:
        rule: Its name, such as ``public access``.
        detail: What was found, as a sentence.
        advice: What to do; empty when nothing is.
        changed: It was set just now.
    """

    rule: str
    verdict: RuleStatus
    detail: str
    advice: str = ""
    changed: bool = False


class UnsupportedError(Exception):
    """The server lacks the call; its answer is the message."""


@dataclass(frozen=True, slots=True)
class BucketRule:
    """One rule of a bucket.

    Attributes:
        name: For people.
        holds: Asks the server.
        set: Makes it hold.
        wanted: What is true if it holds, as a sentence.
        missing: What is true if it does not hold, as a sentence.
        verdict: How bad that is.
    """

    name: str
    holds: Callable[[], bool]
    set: Callable[[], None]
    wanted: str
    missing: str
    verdict: RuleStatus = RuleStatus.FAIL


def check(rule: BucketRule) -> RuleResult:
    """Tell how a rule stands; nothing is changed.

    Raises:
        StoreError: The server did not answer, or refused.
    """
    try:
        if rule.holds():
            return RuleResult(rule.name, RuleStatus.OK, rule.wanted)
    except UnsupportedError as error:
        return _unsupported(rule, error)
    return RuleResult(rule.name, rule.verdict, rule.missing, "Run `asset-pipeline store harden`.")


def harden(rule: BucketRule) -> RuleResult:
    """Make a rule hold, unless it does, and ask the server again.

    Raises:
        StoreError: The server did not answer, or refused.
    """
    found = check(rule)
    if found.verdict in {RuleStatus.OK, RuleStatus.UNSUPPORTED}:
        return found
    try:
        rule.set()
        if rule.holds():
            return RuleResult(rule.name, RuleStatus.OK, rule.wanted, changed=True)
    except UnsupportedError as error:
        return _unsupported(rule, error)
    # It answered "done" and did nothing, as emulators do.
    return RuleResult(
        rule.name,
        rule.verdict,
        f"{rule.missing} The server took the setting and did not keep it.",
        "Set it by the server's own means.",
    )


def each(
    rules: Iterable[BucketRule], act: Callable[[BucketRule], RuleResult]
) -> Iterator[RuleResult]:
    """Check or harden rules one by one; what the server refuses is a finding like any other."""
    for rule in rules:
        try:
            yield act(rule)
        except StoreError as error:
            yield RuleResult(rule.name, RuleStatus.FAIL, error.message, error.hint)


def _unsupported(rule: BucketRule, error: UnsupportedError) -> RuleResult:
    return RuleResult(
        rule.name,
        RuleStatus.UNSUPPORTED,
        f"This server has no such setting ({error}).",
        "Make sure by the server's own means that nobody may read without a signature.",
    )
