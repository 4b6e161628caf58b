"""What `store harden` and `store adopt` do and show."""

from __future__ import annotations

import typer

from asset_pipeline.cli._ledger import open_whole_ledger
from asset_pipeline.cli._output import say, stderr, stdout, write_json
from asset_pipeline.custody.store_ownership import WrongStoreError
from asset_pipeline.defs.resources.store import StoreResource
from asset_pipeline.disclosure.addresses import shown_address
from asset_pipeline.errors import AssetPipelineError, ExitCode
from asset_pipeline.settings import load_settings
from asset_pipeline.stores.hardening import RuleResult, RuleStatus, each, harden
from asset_pipeline.stores.protocol import StoreError

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
    rules = StoreResource().rules(versioning=versioning)
    findings = list(each(rules, harden))
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
    settings, resource = load_settings(), StoreResource()
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
