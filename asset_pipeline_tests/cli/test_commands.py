"""Commands that start no Dagster run: what they print, and how they end."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from asset_pipeline.cli.plan import PROMPTS_A_RUN
from asset_pipeline.defs.assets.clips import PARTITIONS_A_RUN
from asset_pipeline_tests.cli.conftest import COMMAND, Done, Workspace

Cli = Callable[..., Done]

_HEAVY = {"dagster", "pandas", "pyarrow", "duckdb", "numpy", "soundfile", "hibari", "onnxruntime"}


def test_plan_cuts_prompts_into_runs_as_generate_does() -> None:
    """The plan's run size, repeated so that planning needs no Dagster, is that of the assets."""
    assert PROMPTS_A_RUN == PARTITIONS_A_RUN


def test_validate_counts_what_is_usable(cli: Cli) -> None:
    """Good prompts end with 0."""
    done = cli("prompts", "validate")
    assert done.code == 0
    assert "3 prompts in 2 collections" in done.out


def test_validate_names_file_line_and_field(cli: Cli, workspace: Workspace) -> None:
    """A bad prompt ends with 2 and says where it stands; as JSON too."""
    workspace.write("images/bad.yaml", "prompts:\n  - {id: x, text: y, modle: z}\n")
    done = cli("prompts", "validate")
    assert done.code == 2
    assert "images/bad.yaml:2" in done.err
    problems = cli("prompts", "validate", "--json").json["problems"]
    assert problems[0]["line"] == 2


def test_list_shows_any_text_as_it_is(cli: Cli) -> None:
    """Rich's markup in a prompt's text is text."""
    done = cli("prompts", "list", "--kind", "image")
    assert "A [red] house \\[bold]" in done.out
    assert "hello" not in done.out
    listed = cli("prompts", "list", "--tag", "outside", "--json").json
    assert [prompt["prompt_id"] for prompt in listed] == ["red-house"]


def test_import_reports_bad_rows_and_takes_the_others(cli: Cli, workspace: Workspace) -> None:
    """A table becomes a collection; a bad row ends with 1 and is named by its line."""
    table = workspace.root / "cats.csv"
    table.write_text('text\n"A cat, it\'s black"\n""\n', encoding="utf-8")
    done = cli("prompts", "import", str(table), "--json")
    assert done.code == 1
    assert done.json["imported"] == 1
    assert done.json["problems"][0]["line"] == 3
    assert cli("prompts", "list", "--collection", "cats", "--json").json[0]["text"].startswith("A ")
    again = cli("prompts", "import", str(table))
    assert again.code == 2
    assert "exists already" in again.err


def test_plan_of_a_new_workspace(cli: Cli, workspace: Workspace) -> None:
    """Everything is to generate, at the worst case of its prices; nothing of Dagster is made."""
    plan = cli("plan", "--json").json
    assert (plan["prompts"], plan["clips"], plan["to_generate"]) == (3, 4, 4)
    assert plan["worst_case_usd"] == "0.009008"
    assert plan["fits"] is True
    assert {budget["budget"].partition(":")[0] for budget in plan["budgets"]} == {"total", "daily"}
    assert not (workspace.root / "dagster_home").exists()


def test_plan_says_when_a_budget_is_too_small(cli: Cli) -> None:
    """A plan that does not fit names the budget."""
    done = cli("plan", env={"ASSET_PIPELINE_BUDGET_TOTAL_USD": "0.005"})
    assert done.code == 0
    assert "does not fit: total" in done.out


def test_status_of_a_new_workspace(cli: Cli) -> None:
    """All prompts are missing, nothing is open."""
    status = cli("status", "--json").json
    assert [group["missing"] for group in status["collections"]] == [2, 1]
    assert status["open"] == []
    assert "No prediction is open." in cli("status").out


def test_costs_publish_what_is_not_published_yet(cli: Cli, workspace: Workspace) -> None:
    """`costs` of an empty ledger is an empty list, and leaves a warehouse to query."""
    assert cli("costs", "--json").json == []
    assert (workspace.root / "data" / "warehouse.duckdb").is_file()
    rows = cli(
        "sql", "SELECT prompt_id, 0.1::DECIMAL(18,6) AS usd FROM prompts ORDER BY 1", "--json"
    )
    assert rows.json[0] == {"prompt_id": "blue-boat", "usd": "0.100000"}
    assert cli("sql", "SELECT 'a,b' AS x", "--csv").out == 'x\n"a,b"\n'
    assert "red-house" in cli("sql", "FROM prompts").out


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (["plan", "--collection", "huoses"], {}, "Did you mean houses?"),
        (["plan", "--prompt", "red-huose"], {}, "Did you mean red-house?"),
        (["plan", "--kind", "video"], {}, "video"),
        (["plan"], {"ASSET_PIPELINE_PROMPTS_DIR": "/nowhere"}, "/nowhere cannot be read"),
        (["plan"], {"ASSET_PIPELINE_MAX_IN_FLIGHT": "many"}, "ASSET_PIPELINE_MAX_IN_FLIGHT"),
        (["plan"], {"ASSET_PIPELINE_DATA_DIR": "/proc/none"}, "ASSET_PIPELINE_DATA_DIR"),
        (["status"], {"ASSET_PIPELINE_LEDGER_URL": "mysql://x/y"}, "mysql is not supported"),
        (["sql", "SELECT 1"], {}, "There is no published warehouse"),
        (["costs", "--by", "week"], {}, "week"),
        (["generate", "--max-usd", "lots"], {}, "'lots' is not an amount"),
        (["generate", "--max-usd", "-1"], {}, "'-1' is not an amount"),
        (["generate", "--limit", "0"], {}, "--limit"),
        (["generate"], {"ASSET_PIPELINE_PROVIDER": "replicate"}, "REPLICATE_API_TOKEN is not set"),
        (["generate"], {"ASSET_PIPELINE_STORE_URL": "ftp://x"}, "ftp"),
        (["generate"], {"DAGSTER_HOME": "/proc/none"}, "DAGSTER_HOME"),
        (["sandbox", "serve", "--host", "1.2.3.4"], {}, "cannot listen on 1.2.3.4"),
    ],
)
def test_bad_input_is_a_sentence_and_exit_code_2(
    cli: Cli, arguments: list[str], environment: dict[str, str], said: str
) -> None:
    """Wrong names, settings and folders never show a traceback."""
    done = cli(*arguments, env=environment)
    assert done.code == 2, done.err
    assert said in done.err
    assert "Traceback" not in done.err
    assert not done.out


def test_a_warehouse_that_is_being_written_is_a_sentence(cli: Cli, workspace: Workspace) -> None:
    """A DuckDB file that another program holds open for writing ends with 2 and says so."""
    cli("costs")
    path = workspace.root / "data" / "warehouse.duckdb"
    holder = subprocess.Popen(
        [
            sys.executable,
            "-c",
            f"import duckdb; c = duckdb.connect({str(path)!r}); print(1); input()",
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        holder.stdout.readline()
        done = cli("sql", "SELECT 1")
    finally:
        holder.communicate("\n", timeout=20)
    assert done.code == 2
    assert "open for writing elsewhere" in done.err


def test_wrong_sql_is_a_sentence(cli: Cli) -> None:
    """SQL that cannot be run ends with 2 and DuckDB's own words."""
    cli("costs")
    done = cli("sql", "FROM nothing")
    assert done.code == 2
    assert "nothing does not exist" in done.err


@pytest.mark.servers
@pytest.mark.parametrize(
    ("arguments", "also"),
    [
        (["--help"], {"sqlalchemy", "pydantic"}),
        (["generate", "--help"], {"sqlalchemy"}),
        (["prompts", "validate"], {"sqlalchemy"}),
        (["plan"], set[str]()),
        (["status"], set[str]()),
    ],
)
def test_quick_commands_import_nothing_heavy(
    workspace: Workspace, arguments: list[str], also: set[str]
) -> None:
    """What answers from files and the ledger imports neither Dagster nor data libraries."""
    script = (
        "import atexit, sys; from asset_pipeline.cli import main;"
        "names = lambda: ' '.join({name.partition('.')[0] for name in sys.modules});"
        "atexit.register(lambda: print(names(), file=sys.stderr)); main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        env=workspace.env,
        cwd=workspace.root,
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stderr.splitlines()[-1].split())
    assert "asset_pipeline" in loaded
    assert not loaded & (_HEAVY | also)


def test_costs_and_sql_do_without_dagster(workspace: Workspace, cli: Cli, tmp_path: Path) -> None:
    """Questions to the warehouse load DuckDB alone."""
    cli("costs")
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *COMMAND[1:], "sql", "SELECT 1 AS x", "--json"],
        env=workspace.env,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert json.loads(done.stdout) == [{"x": 1}]
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "duckdb" in loaded
    assert not loaded & {"dagster", "pandas", "sqlalchemy", "pyarrow"}
