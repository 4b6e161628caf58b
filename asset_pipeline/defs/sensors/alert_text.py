"""The text of an alert: one JSON document for chat tools and programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from pydantic import JsonValue

from asset_pipeline.money import MicroUsd, format_usd, to_decimal

_NAMED = 5
_ERROR_SHOWN = 500

_NEXT = (
    "`asset-pipeline generate --failed`, or the failed partitions' backfill in the UI, when the "
    "cause is gone. What landed is kept and not paid again."
)


@dataclass(frozen=True, slots=True)
class FailedClass:
    """The prompts of one run that failed in one way.

    Attributes:
        prompts: The ids of the first of them.
        next: What to do about them.
    """

    error_class: str
    count: int
    prompts: Sequence[str]
    next: str


@dataclass(frozen=True, slots=True)
class Alert:
    """One failed run, as far as it is known.

    Attributes:
        job: The job, or the assets that were to be made.
        failed: Its prompts by class; none when the run broke as a whole.
        error: What broke it.
        paid: What the run was charged; None when the ledger can't be read.
        held: What is set aside, in the whole ledger, for what is not settled yet.
        unsettled: For how many predictions.
        desk: Where the failed prompts are shown and retried; None without a service.
    """

    job: str
    run_id: str
    failed: Sequence[FailedClass]
    error: str
    paid: MicroUsd | None = None
    held: MicroUsd | None = None
    unsettled: int = 0
    desk: str | None = None

    @property
    def link(self) -> str:
        """The run's page, below the address of the Dagster UI."""
        return f"/runs/{self.run_id}"

    def payload(self) -> Mapping[str, JsonValue]:
        """Return the document to send; Slack and Mattermost show its ``text``."""
        return {
            "text": self.text(),
            "event": "run_failed",
            "job": self.job,
            "run_id": self.run_id,
            "link": self.link,
            **({} if self.desk is None else {"desk": self.desk}),
            "failed": [{**asdict(each), "prompts": list(each.prompts)} for each in self.failed],
            "error": self.error[:_ERROR_SHOWN],
            "paid_usd": None if self.paid is None else str(to_decimal(self.paid)),
            "held_usd": None if self.held is None else str(to_decimal(self.held)),
            "unsettled": self.unsettled,
            "next": _NEXT,
        }

    def text(self) -> str:
        """Return the same for people."""
        count = sum(each.count for each in self.failed)
        said = f"{count:,} {_plural(count, 'prompt')} did not land" if count else self.error
        lines = [f"*{self.job}* failed: {said[:_ERROR_SHOWN].rstrip('.')}."]
        lines += [_line(each) for each in self.failed]
        lines += [self._money(), f"Next: {_NEXT}", f"Run: {self.link}"]
        lines += [] if self.desk is None else [f"Review desk: {self.desk}"]
        return _escaped("\n".join(lines))

    def _money(self) -> str:
        if self.paid is None:
            return "What it paid is not known: the ledger can't be read."
        line = f"Paid in this run: {format_usd(self.paid)}."
        if self.held and self.unsettled:
            what = f"{self.unsettled:,} {_plural(self.unsettled, 'prediction')}"
            line += f" Held for {what} not settled yet: {format_usd(self.held)}."
        return line


def _line(each: FailedClass) -> str:
    named = ", ".join(each.prompts[:_NAMED])
    more = each.count - min(len(each.prompts), _NAMED)
    rest = f" and {more:,} more" if more > 0 else ""
    return f"• {each.error_class}, {each.count:,}: {named}{rest}. {each.next}"


def _plural(count: int, word: str) -> str:
    return word if count == 1 else f"{word}s"


def _escaped(text: str) -> str:
    """Return text in which Slack finds no link and no mention."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
