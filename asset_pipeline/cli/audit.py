"""`audit`: hold the ledger against itself, and the provider's list against it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated

import typer

from asset_pipeline.cli._charges import charge_fields, show_charges
from asset_pipeline.cli._ledger import open_whole_ledger
from asset_pipeline.cli._options import AsJson
from asset_pipeline.cli._output import say, show_table, stderr, stdout, write_json
from asset_pipeline.cli._resources import maintenance
from asset_pipeline.errors import AssetPipelineError, ExitCode
from asset_pipeline.generation.reconciliation.orphans import OrphanReport, ProviderSilentError
from asset_pipeline.ledger.audit import AuditReport, Mismatch
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.reports import LedgerReader
from asset_pipeline.money import MicroUsd, format_usd, to_decimal
from asset_pipeline.settings import load_settings

_REACH_DAYS = 7


def audit(
    *,
    orphans: Annotated[
        bool | None,
        typer.Option(
            "--orphans/--offline",
            help="Insist on the provider's list, or leave it out. Without either it is compared "
            "when the provider can be reached.",
            show_default=False,
        ),
    ] = None,
    since: Annotated[
        int | None,
        typer.Option(
            "--since",
            metavar="DAYS",
            min=1,
            max=3650,
            help=f"How far back the provider is asked; {_REACH_DAYS} days if not given.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Derive every balance and state of the ledger again and list what does not agree.

    The provider's list is held against the ledger as well. It shows the whole account: whatever
    else uses the same token is recorded as spending here. Exit code 1 if anything did not agree.
    """
    if since is not None and orphans is False:
        raise AssetPipelineError(
            "--since says how far back the provider is asked, and --offline asks nobody.",
            hint="Leave one of them out: the ledger itself is always audited whole.",
        )
    reach = None if orphans is False else since or _REACH_DAYS
    raise typer.Exit(show_audit(reach, insist=orphans is True, as_json=as_json))


def show_audit(reach_days: int | None, *, insist: bool, as_json: bool) -> ExitCode:
    """Audit, print what was found, and return the exit code.

    Args:
        reach_days: How far back the provider is asked; None asks only the ledger.
        insist: A provider that can't be asked is an error. Else it is said on stderr, and the
            ledger alone decides.
        as_json: One JSON document instead of tables.

    Raises:
        AssetPipelineError: Ledger or provider cannot be read.
    """
    # First, so that what is recorded now is audited too.
    orphans = None if reach_days is None else _ask(timedelta(days=reach_days), insist=insist)
    with open_whole_ledger(load_settings()) as ledger:
        report = ledger.audit()
        noted = LedgerReader(ledger.engine).noted_charges()
    if as_json:
        _write(report, orphans, noted)
    else:
        _show(report, orphans)
        show_charges(stdout(), noted)
    agreed = not report.mismatches and (orphans is None or orphans.agrees)
    return ExitCode.DONE if agreed else ExitCode.SOME_FAILED


def _ask(reach: timedelta, *, insist: bool) -> OrphanReport | None:
    try:
        return asyncio.run(maintenance().audit_orphans(reach))
    except ProviderSilentError as error:
        if insist:
            raise
        say(stderr(), f"{error.message} The ledger alone was audited.", "yellow")
        return None


def _show(report: AuditReport, orphans: OrphanReport | None) -> None:
    console = stdout()
    _show_mismatches("in the ledger", report.mismatches)
    held = (
        f"{report.budgets:,} budgets, {report.intents:,} intents, {report.entries:,} entries and "
        f"{report.clips:,} clips"
    )
    verdict = "do not agree." if report.mismatches else "agree."
    say(console, f"{held} {verdict}", "bold red" if report.mismatches else "bold green")
    if orphans is not None:
        _show_orphans(orphans)


def _show_mismatches(where: str, mismatches: Sequence[Mismatch]) -> None:
    if mismatches:
        show_table(
            stdout(),
            f"{len(mismatches):,} mismatches {where}",
            ["what", "rule", "expected", "found"],
            [(each.subject, each.rule, each.expected, each.found) for each in mismatches],
        )


def _show_orphans(orphans: OrphanReport) -> None:
    console = stdout()
    _show_mismatches("between the ledger and the provider", orphans.mismatches)
    if orphans.recorded:
        show_table(
            console,
            f"{len(orphans.recorded):,} predictions that nobody asked for, recorded now",
            ["prediction", "model", "made at", "charged", "prompt"],
            [
                (
                    each.prediction_id,
                    each.model,
                    f"{each.created_at:%Y-%m-%d %H:%M:%S}",
                    format_usd(each.amount),
                    each.prompt_text[:100],
                )
                for each in orphans.recorded
            ],
            numbers=["charged"],
        )
    spent = MicroUsd(sum(each.amount for each in orphans.recorded))
    say(
        console,
        f"The provider lists {orphans.listed:,} predictions: {orphans.known:,} known, "
        f"{orphans.decided:,} charged by hand, {len(orphans.recorded):,} recorded as orphans for "
        f"{format_usd(spent)}, {orphans.running:,} without an owner still run, "
        f"{orphans.waiting:,} may belong to open intents.",
        "bold green" if orphans.agrees else "bold red",
    )
    if orphans.gap:
        say(console, f"The provider did not list everything: {orphans.gap}.", "yellow")
    if orphans.unpriced:
        say(
            console,
            f"{len(orphans.unpriced):,} have no price in the catalog and are not in the books: "
            f"{', '.join(orphans.unpriced)}. Price their models in models.yaml in the config "
            "folder.",
            "yellow",
        )


def _write(report: AuditReport, orphans: OrphanReport | None, noted: Sequence[Intent]) -> None:
    document: dict[str, object] = {
        "budgets": report.budgets,
        "intents": report.intents,
        "entries": report.entries,
        "clips": report.clips,
        "mismatches": report.mismatches,
        "charges_to_look_at": charge_fields(noted),
    }
    if orphans is not None:
        document["orphans"] = {
            "listed": orphans.listed,
            "known": orphans.known,
            "decided": orphans.decided,
            "running": orphans.running,
            "waiting": orphans.waiting,
            "unpriced": orphans.unpriced,
            "mismatches": orphans.mismatches,
            "gap": orphans.gap,
            "recorded": [
                {
                    "prediction_id": each.prediction_id,
                    "kind": each.kind,
                    "model": each.model,
                    "created_at": each.created_at,
                    "charged_usd": to_decimal(each.amount),
                    "prompt": each.prompt_text,
                }
                for each in orphans.recorded
            ],
        }
    write_json(document)
