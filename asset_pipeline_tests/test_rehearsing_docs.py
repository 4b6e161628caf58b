"""What docs/rehearsing-failure.md promises: plans load, tables are whole, the query runs."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import duckdb
import httpx
import pytest
from typer.testing import CliRunner

from asset_pipeline.cli.app import app
from asset_pipeline.sandbox.faults.names import FaultName
from asset_pipeline.sandbox.faults.plan import FAILED_ERRORS, ClockSkew, Match, Params, load_plan
from asset_pipeline_tests.support.project import sandbox_url

__all__ = ["sandbox_url"]

ROOT = Path(__file__).parent.parent
_SET = ("REPLICATE_BASE_URL=", "ASSET_PIPELINE_PROVIDER=")
TEXT = (ROOT / "docs" / "rehearsing-failure.md").read_text()


def _blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXT, flags=re.DOTALL)


def _first_cells(heading: str) -> set[str]:
    part = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return set(re.findall(r"^\| `([a-z0-9_]+)` \|", part, flags=re.MULTILINE))


def test_the_plans_load(tmp_path: Path) -> None:
    """The example in the text and the one of the demo are plans."""
    (example,) = _blocks("yaml")
    path = tmp_path / "plan.yaml"
    path.write_text(example)
    plan = load_plan(path)
    assert (len(plan.faults), plan.clock) == (6, ClockSkew(skew_seconds=-90))
    assert len(load_plan(ROOT / "docs" / "examples" / "faults.yaml").faults) > 10


def test_every_fault_field_and_code_is_listed() -> None:
    """Nothing that can be rehearsed is left out of the tables, and nothing else is in them."""
    assert _first_cells("Faults") == {fault.value for fault in FaultName}
    described = TEXT.partition("## Faults\n")[2]
    assert {name for name in Params.model_fields if f"`{name}" not in described} == set()
    assert all(name in described for name in ClockSkew.model_fields)
    assert _first_cells("Which requests") | {"seed"} == set(Match.model_fields)
    codes = TEXT.partition("Codes of `failed`:")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", codes)) == set(FAILED_ERRORS)


def test_the_calls_work(sandbox_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The example adds a rule, reads it back and takes it away."""
    seen: list[int] = []
    for verb in ("post", "get", "delete"):
        real = getattr(httpx, verb)

        def call(url: str, real: object = real, **more: object) -> object:
            reply = real(url, **more)  # type: ignore[operator]
            seen.append(reply.status_code)
            return reply

        monkeypatch.setattr(httpx, verb, call)
    (example,) = _blocks("python")
    exec(compile(example, "docs", "exec"), {"url": sandbox_url})
    assert seen == [201, 200, 204]


def test_the_commands_exist() -> None:
    """Each command is known, with each of its options, and make has its target."""
    lines = [line for block in _blocks("sh") for line in block.splitlines()]
    for line in lines:
        words = [word for word in shlex.split(line, comments=True) if not word.startswith(_SET)]
        if words[0] == "asset-pipeline":
            result = CliRunner().invoke(app, [*words[1:], "--help"])
            assert result.exit_code == 0, result.output
        else:
            makefile = (ROOT / "Makefile").read_text()
            assert re.search(rf"^{words[1]}:", makefile, flags=re.MULTILINE)


def test_the_pictures_exist() -> None:
    """No broken picture."""
    for target in re.findall(r"!\[[^\]]*\]\(([^)]+)\)", TEXT):
        assert (ROOT / "docs" / target).is_file(), target


def test_the_query_reads_a_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is opened by DuckDB as it is."""
    monkeypatch.chdir(tmp_path)
    log = tmp_path / "data" / "logs" / "asset-pipeline.jsonl"
    log.parent.mkdir(parents=True)
    lines = [
        {"time": "2026-11-22T02:00:00.000+00:00", "message": "x", "partition": "will-cover"},
        {"time": "2026-11-22T02:00:01.000+00:00", "message": "y", "ms": 2.5, "status": 502},
    ]
    log.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    (query,) = _blocks("sql")
    with duckdb.connect() as connection:
        assert [row[1] for row in connection.execute(query).fetchall()] == ["x"]
