"""The page about briefs, carried out: its commands in their order, on the sandbox."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

from asset_pipeline_tests.cli.conftest import Done, Sandbox, Workspace

_PAGE = (Path(__file__).parents[2] / "docs" / "briefs.md").read_text(encoding="utf-8")

Cli = Callable[..., Done]


def _shown(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", _PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def _commands() -> list[list[str]]:
    lines = _shown("sh").splitlines()
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


def test_a_brief_of_24_becomes_a_gallery_and_its_second_draft_is_free(
    cli: Cli, workspace: Workspace, sandbox: Sandbox
) -> None:
    """Draft, accept, generate, look: each is the line that the page shows, and the books agree."""
    small = _shown("yaml").replace('aspect_ratio: "3:4"', 'aspect_ratio: "3:4", megapixels: "0.25"')
    workspace.write("briefs/herbal-teas.yaml", small)
    environment = {"REPLICATE_BASE_URL": sandbox.url}

    def run(*arguments: str) -> Done:
        done = cli(*arguments, env=environment)
        assert done.code == 0, done.err
        return done

    draft, accept, generate, look = _commands()
    for program, *arguments in (draft, accept, generate):
        assert program == "asset-pipeline"
        run(*arguments)
    page = (workspace.root / look[-1]).read_text(encoding="utf-8")
    assert page.count("<figure") == 24

    again = run(*draft[1:], "--json").json
    assert (again["cached"], Decimal(again["charged_usd"]), len(again["proposals"])) == (
        True,
        0,
        24,
    )
    assert {each["standing"] for each in again["proposals"]} == {"same"}
    (call,) = run(
        "sql", "SELECT operation, state, charged_usd, evidence FROM llm_calls", "--json"
    ).json
    assert (call["operation"], call["state"], call["evidence"]) == ("draft", "delivered", "answer")
    assert Decimal(call["charged_usd"]) > 0
    chain = run(
        "sql",
        "SELECT count(*) AS n FROM lineage AS clip JOIN lineage AS prompt "
        "ON prompt.child_uri = clip.parent_id JOIN lineage AS draft "
        "ON draft.child_uri = 'draft/' || prompt.parent_id "
        "WHERE clip.parent_type = 'prompt' AND draft.parent_id = 'herbal-teas'",
        "--json",
    ).json
    assert chain == [{"n": 24}]


def test_every_view_of_spending_counts_calls(
    cli: Cli, workspace: Workspace, sandbox: Sandbox
) -> None:
    """By day, model and collection, and in the budgets: a draft's cost is in each, and once."""
    workspace.write("briefs/teas.yaml", "goal: Labels for teas\ncount: 2\n")
    environment = {"REPLICATE_BASE_URL": sandbox.url}
    assert cli("prompts", "draft", "teas", env=environment).code == 0
    paid = cli("costs", "--json", env=environment).json
    (llm,) = [row for row in paid if row["model"] == "openai/gpt-4o-mini"]
    charged = Decimal(llm["charged_usd"])
    assert charged > 0
    for by in ("day", "collection"):
        rows = cli("costs", "--by", by, "--json", env=environment).json
        assert sum(Decimal(row["charged_usd"]) for row in rows) == charged
    rows = cli("sql", "SELECT budget, charged_usd FROM budgets", "--json", env=environment).json
    budgets = {row["budget"]: Decimal(row["charged_usd"]) for row in rows}
    assert budgets["llm"] == budgets["total"] == charged
