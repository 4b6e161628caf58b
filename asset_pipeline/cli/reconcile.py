"""`reconcile`: resume the open intents, or write down what a person decided."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from typing import Annotated

import typer

from asset_pipeline.cli._calls import settle_calls
from asset_pipeline.cli._ledger import open_whole_ledger
from asset_pipeline.cli._options import AsJson, read_amount
from asset_pipeline.cli._output import say, show_table, stderr, stdout, write_json
from asset_pipeline.cli._resources import maintenance
from asset_pipeline.errors import AssetPipelineError, ExitCode
from asset_pipeline.generation.reconciliation.resume import Resumed, ResumeResult
from asset_pipeline.ledger.ledger import Ledger
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.reports import LedgerReader
from asset_pipeline.money import MicroUsd, format_usd, to_decimal
from asset_pipeline.settings import load_settings

_DECIDE = "Answer a question (ID, or how it begins)"


def reconcile(
    *,
    charge: Annotated[
        str | None,
        typer.Option(
            "--charge",
            metavar="ID",
            help="It was billed: charge it and close it.",
            rich_help_panel=_DECIDE,
        ),
    ] = None,
    usd: Annotated[
        str | None,
        typer.Option(
            "--usd",
            help="What was billed; all that is set aside for it, if not given.",
            rich_help_panel=_DECIDE,
        ),
    ] = None,
    release: Annotated[
        str | None,
        typer.Option(
            "--release",
            metavar="ID",
            help="It was never accepted: give its money back and close it.",
            rich_help_panel=_DECIDE,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Finish what dead processes left open: prove it at the provider, fetch it, close its books.

    Nothing new is sent. What can't be proved any more is a question, which a person answers with
    one of the flags below. Exit code 1 as long as anything is open.
    """
    if charge is not None and release is not None:
        raise AssetPipelineError("--charge and --release exclude each other.", hint="Give one.")
    if usd is not None and charge is None:
        raise AssetPipelineError("--usd says what --charge charges.", hint="Give --charge ID too.")
    if charge is not None:
        charge_by_hand(charge, usd, as_json=as_json)
    elif release is not None:
        release_by_hand(release, as_json=as_json)
    else:
        raise typer.Exit(resume(as_json=as_json))


_CLOSED = {ResumeResult.DELIVERED, ResumeResult.RELEASED, ResumeResult.FAILED}

# Enough to tell intents apart; a prefix is what the flags take.
_ID_SHOWN = 12


def resume(*, as_json: bool) -> ExitCode:
    """Resume all open intents, print what became of each, and return the exit code.

    Raises:
        AssetPipelineError: Provider, ledger or store cannot be opened.
    """
    resource = maintenance()
    say(stderr(), "Looking for what is open; predictions that still run are waited for.")
    resource.sweep()
    resumed = asyncio.run(resource.resume_open_intents(f"reconcile-{uuid.uuid4().hex}"))
    settle_calls()
    if as_json:
        write_json([_document(each) for each in resumed])
    else:
        _show(resumed)
    still_open = any(each.result not in _CLOSED for each in resumed)
    return ExitCode.SOME_FAILED if still_open else ExitCode.DONE


def charge_by_hand(prefix: str, usd: str | None, *, as_json: bool) -> None:
    """Close an undecided intent as billed, with the given amount or all that it holds.

    Raises:
        AssetPipelineError: There is no such intent, or nothing to decide about it.
    """
    amount = None if usd is None else read_amount("--usd", usd)
    with open_whole_ledger(load_settings()) as ledger:
        intent = LedgerReader(ledger.engine).find(prefix)
        ledger.charge_by_hand(intent, intent.reserved_microusd if amount is None else amount)
        _tell_decided(ledger, intent, as_json=as_json)


def release_by_hand(prefix: str, *, as_json: bool) -> None:
    """Close an undecided intent as never accepted.

    Raises:
        AssetPipelineError: There is no such intent, or nothing to decide about it.
    """
    with open_whole_ledger(load_settings()) as ledger:
        intent = LedgerReader(ledger.engine).find(prefix)
        ledger.release_by_hand(intent)
        _tell_decided(ledger, intent, as_json=as_json)


def _tell_decided(ledger: Ledger, before: Intent, *, as_json: bool) -> None:
    now = ledger.intent(before.intent_id)
    if as_json:
        write_json(
            {
                "intent_id": now.intent_id,
                "kind": now.kind,
                "prompt_id": now.prompt_id,
                "state": now.state,
                "charged_usd": to_decimal(now.charged_microusd),
            }
        )
        return
    back = MicroUsd(max(0, before.reserved_microusd - now.charged_microusd))
    say(
        stdout(),
        f"Intent {now.intent_id} of {now.kind}/{now.prompt_id} is closed: "
        f"{format_usd(now.charged_microusd)} charged, {format_usd(back)} given back.",
        "bold",
    )


def _show(resumed: Sequence[Resumed]) -> None:
    console = stdout()
    if not resumed:
        say(console, "Nothing is open.", "bold green")
        return
    show_table(
        console,
        f"{len(resumed):,} open predictions",
        ["intent", "prompt", "model", "state before", "result", "at stake", "reason"],
        [
            (
                each.intent.intent_id[:_ID_SHOWN],
                f"{each.intent.kind}/{each.intent.prompt_id}, {each.intent.variant}",
                each.intent.model,
                each.intent.state,
                each.result,
                format_usd(_at_stake(each.intent)),
                each.reason,
            )
            for each in resumed
        ],
        numbers=["at stake"],
    )
    _advise(resumed)


def _advise(resumed: Sequence[Resumed]) -> None:
    console = stdout()
    questions = sum(each.result is ResumeResult.QUESTION for each in resumed)
    waiting = sum(each.result in {ResumeResult.OPEN, ResumeResult.BUSY} for each in resumed)
    if any(each.result is ResumeResult.DELIVERED for each in resumed):
        say(console, "Delivered clips are shown by Dagster after the next `generate`, for nothing.")
    if questions:
        say(
            console,
            f"{questions:,} wait for a person: look the prediction up at the provider, then "
            "`reconcile --charge ID` if it was billed or `reconcile --release ID` if it is not "
            "there. Their money stays reserved until then.",
            "yellow",
        )
    if waiting:
        say(console, f"{waiting:,} are still open; run it again later.", "yellow")


def _document(each: Resumed) -> dict[str, object]:
    intent = each.intent
    return {
        "intent_id": intent.intent_id,
        "kind": intent.kind,
        "prompt_id": intent.prompt_id,
        "variant": intent.variant,
        "model": intent.model,
        "prediction_id": intent.prediction_id,
        "state_before": intent.state,
        "result": each.result,
        "at_stake_usd": to_decimal(_at_stake(intent)),
        "reason": each.reason,
    }


def _at_stake(intent: Intent) -> MicroUsd:
    """Return what an open intent holds and owes."""
    return MicroUsd(intent.reserved_microusd + intent.charged_microusd)
