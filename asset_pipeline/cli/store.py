"""`store`: the place that clips are kept in: its rules, and whose it is."""

from __future__ import annotations

from typing import Annotated

import typer

from asset_pipeline.cli import _resources as resources
from asset_pipeline.cli._ledger import open_whole_ledger
from asset_pipeline.cli._options import AsJson
from asset_pipeline.cli._output import say, stderr, stdout, write_json
from asset_pipeline.custody.store_ownership import WrongStoreError
from asset_pipeline.disclosure.addresses import shown_address
from asset_pipeline.errors import AssetPipelineError, ExitCode
from asset_pipeline.settings import load_settings
from asset_pipeline.stores import hardening
from asset_pipeline.stores.hardening import RuleResult, RuleStatus
from asset_pipeline.stores.protocol import StoreError

app = typer.Typer(
    help="The place that clips are kept in: make it private, or say that it is the right one.",
    no_args_is_help=True,
)


@app.callback()
def store() -> None:
    """The place that clips are kept in: make it private, or say that it is the right one."""


@app.command()
def harden(
    *,
    versioning: Annotated[
        bool, typer.Option("--versioning", help="Keep deleted and replaced objects as versions.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Close the bucket to the public, tidy it by itself, and say what the server can't do.

    Public access is blocked, access lists are off, objects encrypted; unfinished uploads end after
    a day; pages such as the gallery may read what signed links serve. What holds already is left
    alone. Needs the rights of whoever administers the bucket. Exit code 2 if a rule does not hold.
    """
    raise typer.Exit(harden_store(versioning=versioning, as_json=as_json))


@app.command()
def adopt(
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say that ASSET_PIPELINE_STORE_URL is the store of this ledger from now on.

    Needed when a command says that store and ledger don't belong together and you know better: the
    clips were given up, or a new ledger is meant to begin beside clips of an old one, which are
    then paid for again where they are wanted. No clip is touched: the store's marker is written.
    """
    raise typer.Exit(adopt_store(ask=not yes, as_json=as_json))


_STYLES = {
    RuleStatus.OK: "green",
    RuleStatus.WARN: "yellow",
    RuleStatus.UNSUPPORTED: "yellow",
    RuleStatus.FAIL: "bold red",
}


def harden_store(*, versioning: bool, as_json: bool) -> ExitCode:
    """Make the store's rules hold, and show how each stands.

    Raises:
        AssetPipelineError: The store's URL or the settings of its library are wrong.
    """
    url = shown_address(load_settings().store_url)
    rules = resources.store().rules(versioning=versioning)
    findings = list(hardening.each(rules, hardening.harden))
    if as_json:
        write_json({"store": url, "findings": findings})
    elif not rules:
        say(stdout(), f"{url} is a folder: who may read it is decided by its permissions.")
    else:
        say(stdout(), url, "bold")
        for finding in findings:
            _show(finding)
    failed = any(finding.verdict is RuleStatus.FAIL for finding in findings)
    return ExitCode.BAD_INPUT if failed else ExitCode.DONE


def adopt_store(*, ask: bool, as_json: bool) -> ExitCode:
    """Make the configured store that of the configured ledger.

    Raises:
        AssetPipelineError: The person said no, or ledger or store can't be used.
    """
    settings, resource = load_settings(), resources.store()
    store = resource.open()
    with open_whole_ledger(settings) as ledger:
        belonging = resource.belonging(store, ledger.engine)
        try:
            belonging.check(claim=True)
        except (WrongStoreError, StoreError) as trouble:
            _confirm(trouble, ask=ask)
            belonging.adopt()
            changed = True
        else:
            changed = False
    url = shown_address(settings.store_url)
    if as_json:
        write_json({"store": url, "changed": changed})
    elif changed:
        say(stdout(), f"{url} is the store of this ledger from now on.", "bold green")
    else:
        say(stdout(), f"{url} is the store of this ledger already.", "bold green")
    return ExitCode.DONE


def _confirm(trouble: AssetPipelineError, *, ask: bool) -> None:
    """Ask a person who knows better than what was found.

    Raises:
        AssetPipelineError: The person said no, or nobody is there to ask.
    """
    if not ask:
        return
    say(stderr(), trouble.message, "yellow")
    try:
        agreed = typer.confirm("Is it the store of this ledger from now on?", err=True)
    except typer.Abort:
        agreed = False
    if not agreed:
        raise AssetPipelineError("Nothing was changed.", hint="--yes answers for you.")


def _show(finding: RuleResult) -> None:
    changed = " Set just now." if finding.changed else ""
    line = f"{finding.verdict:<11} {finding.rule:<14} {finding.detail}{changed} {finding.advice}"
    say(stdout(), line.rstrip(), _STYLES[finding.verdict])
