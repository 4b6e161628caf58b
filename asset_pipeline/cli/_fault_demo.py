"""What `demo --faults` does: the demo in a folder of its own while failures are rehearsed."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from asset_pipeline.cli._output import say, show_error, show_table, stdout
from asset_pipeline.cli._selection import PromptSelection
from asset_pipeline.cli._summary import Summary, show_failures
from asset_pipeline.cli.generate import GenerateOptions, make
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.money import MicroUsd, format_usd, micro_usd
from asset_pipeline.sandbox.faults.plan import FaultPlan, load_plan
from asset_pipeline.sandbox.process import ensure_running
from asset_pipeline.settings import ProviderName, load_settings
from asset_pipeline.warehouse.query import query

_FOLDER = "demo-faults"

# A rehearsal goes by none of these: it must not meet a real ledger, store, server or token.
_LEFT_OUT = (
    "ASSET_PIPELINE_LEDGER_URL",
    "ASSET_PIPELINE_STORE_URL",
    "REPLICATE_BASE_URL",
    "REPLICATE_API_TOKEN",
)

_TROUBLED = """
SELECT kind || '/' || prompt_id, variant, count(*),
       coalesce(string_agg(error_class, ', ' ORDER BY created_at), ''),
       arg_max(state, created_at), sum(charged_usd)
FROM predictions
GROUP BY kind, prompt_id, variant
HAVING count(*) > 1 OR bool_or(state <> 'delivered')
ORDER BY 1, 2
"""


class BooksDifferError(AssetPipelineError):
    """The ledger and the provider's account do not agree."""


def rehearse(plan: Path) -> int:
    """Generate everything while the plan's faults strike, show what came of it.

    Everything is made anew in a folder of its own: neither the partitions of the real instance nor
    the clips of `demo` know anything of it.

    Returns:
        The exit code: 1 when some prompts failed, as a plan may well want.

    Raises:
        AssetPipelineError: The plan cannot be used, nothing could be run, or the books differ.
    """
    faults = load_plan(plan)
    url = _move_in()
    _strike(url, faults)
    summary = make(GenerateOptions(PromptSelection(everything=True), ask=False))
    if summary.tally.failures:
        show_failures(summary.tally)
    if summary.broken is not None:
        show_error(summary.broken)
        return summary.exit_code
    _show_faults(url)
    _show_troubled(summary)
    _show_books(url, summary)
    return summary.exit_code


def _move_in() -> str:
    """Start with an empty folder and a sandbox in it; return the sandbox's address."""
    home = load_settings().data_dir / _FOLDER
    shutil.rmtree(home, ignore_errors=True)
    for name in _LEFT_OUT:
        os.environ.pop(name, None)
    os.environ["ASSET_PIPELINE_PROVIDER"] = ProviderName.SANDBOX
    os.environ["ASSET_PIPELINE_DATA_DIR"] = str(home)
    os.environ["DAGSTER_HOME"] = str(home / "dagster_home")
    settings = load_settings()
    return ensure_running(settings.data_dir / "sandbox", config_dir=settings.config_dir)


def _strike(url: str, faults: FaultPlan) -> None:
    import httpx  # noqa: PLC0415 -- only a rehearsal asks

    rules = faults.model_dump(mode="json", exclude_defaults=True)
    httpx.post(f"{url}/sandbox/faults", json=rules, trust_env=False).raise_for_status()


def _asked(url: str, what: str) -> Mapping[str, Any]:
    import httpx  # noqa: PLC0415 -- only a rehearsal asks

    reply = httpx.get(f"{url}/sandbox/{what}", trust_env=False, timeout=60).raise_for_status()
    return cast("Mapping[str, Any]", reply.json())


def _show_faults(url: str) -> None:
    rows = [
        (rule["fault"], _described(rule.get("match", {})), rule["fired"])
        for rule in _asked(url, "faults")["faults"]
    ]
    show_table(stdout(), "Rehearsed", ["fault", "at", "times"], rows, numbers=["times"])


def _described(match: Mapping[str, object]) -> str:
    return ", ".join(f"{name} {value}" for name, value in match.items()) or "everything"


def _show_troubled(summary: Summary) -> None:
    rows = query(summary.warehouse, _TROUBLED)[1]
    show_table(
        stdout(),
        "Clips that needed more than one attempt, or did not land",
        ["clip", "variant", "attempts", "on the way", "in the end", "paid"],
        [(*row[:5], format_usd(micro_usd(str(row[5])))) for row in rows],
        numbers=["variant", "attempts", "paid"],
    )


def _show_books(url: str, summary: Summary) -> None:
    """Hold the ledger against the sandbox's own account.

    Raises:
        BooksDifferError: They do not agree to the micro-dollar.
    """
    account = _asked(url, "charges")
    asked, wasted = (
        micro_usd(str(query(summary.warehouse, text)[1][0][0] or 0))
        for text in (
            "SELECT sum(charged_usd) FROM predictions",
            "SELECT sum(charged_usd) FROM predictions WHERE state <> 'delivered'",
        )
    )
    tally, console = summary.tally, stdout()
    total = MicroUsd(account["total_micro_usd"])
    show_table(
        console,
        "Rehearsal",
        ["", ""],
        [
            ("prompts done", f"{tally.done:,} of {tally.prompts:,}"),
            ("prompts failed", f"{len(tally.failures):,}"),
            ("predictions made", f"{account['accepted']:,}"),
            ("charged, by the ledger", format_usd(asked)),
            ("charged, by the sandbox's account", format_usd(total)),
            ("of that for nothing", format_usd(wasted)),
            ("seconds", f"{summary.seconds:.1f}"),
            ("log", load_settings().log_path),
        ],
    )
    if asked != total:
        raise BooksDifferError(
            f"The ledger says {format_usd(asked)}, the sandbox {format_usd(total)}.",
            hint=f"What was rehearsed is kept in {load_settings().data_dir}.",
        )
    say(console, "Ledger and account agree to the micro-dollar.", "bold green")
    say(console, "docs/rehearsing-failure.md says how to rehearse your own failures.")
