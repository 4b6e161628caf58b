"""What `store harden` does and shows."""

from __future__ import annotations

from asset_pipeline.cli.console import say, stdout, write_json
from asset_pipeline.errors import ExitCode
from asset_pipeline.resources.store import StoreResource
from asset_pipeline.settings import load_settings
from asset_pipeline.stores.hardening import Finding, Verdict, each, harden

_STYLES = {
    Verdict.OK: "green",
    Verdict.WARN: "yellow",
    Verdict.UNSUPPORTED: "yellow",
    Verdict.FAIL: "bold red",
}


def harden_store(*, versioning: bool, as_json: bool) -> ExitCode:
    """Make the store's rules hold, and show how each stands.

    Raises:
        AssetPipelineError: The store's URL or the settings of its library are wrong.
    """
    url = load_settings().store_url
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
    failed = any(finding.verdict is Verdict.FAIL for finding in findings)
    return ExitCode.BAD_INPUT if failed else ExitCode.DONE


def _show(finding: Finding) -> None:
    changed = " Set just now." if finding.changed else ""
    line = f"{finding.verdict:<11} {finding.rule:<14} {finding.detail}{changed} {finding.advice}"
    say(stdout(), line.rstrip(), _STYLES[finding.verdict])
