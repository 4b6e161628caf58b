"""What a sheet's rows are good for once their clips are made: tables, manifest, renames."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from decimal import Decimal

import duckdb

from asset_pipeline_tests.cli.conftest import Done, Sandbox, Workspace

Cli = Callable[..., Done]

SHEET = "Shot,Prompt,AR,Tags,Szene\nSP-001,A café,16:9,spring; web,4\nSP-002,A boat,1:1,,5\n"


def test_a_sheet_to_tables_and_back(cli: Cli, workspace: Workspace, sandbox: Sandbox) -> None:
    """Two commands make its clips; each column is beside them, whatever they are renamed to."""
    env = {"REPLICATE_BASE_URL": sandbox.url}
    sheet = workspace.root / "shots.csv"
    sheet.write_bytes(SHEET.encode("cp1252"))
    done = cli("prompts", "import", str(sheet), "--map", "Shot=id")
    assert done.code == 0, done.err
    assert "read as cp1252" in done.err
    assert cli("generate", "--collection", "shots", env=env).code == 0

    out = workspace.root / "out"
    told = cli("export", "--tables", "parquet", "--to", str(out), "--json", env=env).json
    assert {"clips.parquet", "predictions.parquet", "prompts.parquet", "failures.parquet"} <= set(
        told["files"]
    )
    with duckdb.connect() as tables:
        row = tables.execute(
            "SELECT tags, fields->>'Szene', inputs->>'aspect_ratio', prompt_text, cost_usd, "
            f"seed IS NOT NULL FROM '{out / 'clips.parquet'}' WHERE prompt_id = 'sp-001'"
        ).fetchone()
    assert row == (["spring", "web"], "4", "16:9", "A café", Decimal("0.003"), True)
    for wrong in (("--tables", "xml"), ("--tables", "parquet", "--kind", "image")):
        assert cli("export", "--to", str(out), *wrong, env=env).code == 2

    files = workspace.root / "files"
    assert cli("export", "--to", str(files), "--collection", "shots", env=env).code == 0
    entry = json.loads((files / "manifest.json").read_text())["clips"][0]
    assert (entry["tags"], entry["fields"]["Szene"]) == (["spring", "web"], "4")
    assert entry["inputs"]["seed"] == entry["seed"]
    line = next(csv.DictReader(io.StringIO((files / "manifest.csv").read_text())))
    assert json.loads(line["fields"]) == entry["fields"]
    _rename(cli, workspace, env)


def _rename(cli: Cli, workspace: Workspace, env: dict[str, str]) -> None:
    path = workspace.root / "prompts" / "images" / "shots.yaml"
    path.write_text(path.read_text().replace("id: sp-001", "id: cafe"))
    workspace.write("images/broken.yaml", "prompts: [")
    unsure = cli("prompts", "prune", "--json", env=env)
    assert (unsure.code, unsure.json["pruned"]) == (2, False)
    workspace.write("images/broken.yaml", "prompts: []")
    shown = cli("prompts", "prune", "--dry-run", env=env)
    assert "renamed to cafe" in shown.out
    unasked = cli("prompts", "prune", "--json", env=env)
    assert (unasked.json["pruned"], "--yes" in unasked.err) == (False, True)
    assert cli("prompts", "prune", "--yes", "--json", env=env).json == {
        "pruned": True,
        "gone": [
            {
                "kind": "image",
                "prompt_ids": ["sp-001"],
                "renamed": {"sp-001": "cafe"},
                "landed": ["sp-001"],
                "unreadable": [],
            }
        ],
    }
    assert cli("prompts", "prune", "--json", env=env).json == {"pruned": False, "gone": []}
