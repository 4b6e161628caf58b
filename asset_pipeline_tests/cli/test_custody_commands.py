"""`fsck`, `retention`, `export`, `link`, `approve` on a real sandbox, as a person runs them."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from asset_pipeline_tests.cli.conftest import Done, Sandbox, Workspace
from asset_pipeline_tests.support.servers.fixtures import seaweed, seaweed_server
from asset_pipeline_tests.support.servers.seaweed import SeaweedFS
from asset_pipeline_tests.support.settled_files import write_settled

__all__ = ["seaweed", "seaweed_server"]

Cli = Callable[..., Done]


@pytest.fixture
def made(cli: Cli, sandbox: Sandbox) -> Cli:
    """A workspace whose two pictures of three clips are made; later commands know the sandbox."""

    def run(*arguments: str, env: dict[str, str] | None = None) -> Done:
        return cli(*arguments, env={"REPLICATE_BASE_URL": sandbox.url} | (env or {}))

    assert run("generate", "--kind", "image").code == 0
    return run


def clip_paths(cli: Cli) -> dict[tuple[str, int], Path]:
    rows = cli("sql", "--json", "SELECT prompt_id, variant, object_uri FROM clips").json
    return {
        (row["prompt_id"], row["variant"]): Path(unquote(urlsplit(row["object_uri"]).path))
        for row in rows
    }


def states(cli: Cli) -> dict[str, Any]:
    (group,) = [
        each for each in cli("status", "--json").json["collections"] if each["kind"] == "image"
    ]
    return group


def end_the_hour(workspace: Workspace) -> None:
    """Let the provider have forgotten the outputs."""
    with sqlite3.connect(workspace.root / "data" / "ledger.sandbox.db") as ledger:
        ledger.execute("UPDATE intents SET completed_at = '2026-01-01 00:00:00'")


def test_what_is_gone_is_fetched_again_and_after_the_hour_made_again(
    made: Cli, sandbox: Sandbox, workspace: Workspace
) -> None:
    """Within the provider's hour nothing is paid; after it the partition shows as failed."""
    paths = clip_paths(made)
    content = {key: path.read_bytes() for key, path in paths.items()}
    bill = sandbox.bill()["total_micro_usd"]
    paths["red-house", 1].unlink()
    paths["blue-boat", 2].chmod(0o644)
    paths["blue-boat", 2].write_bytes(b"rotten")
    told = made("fsck", "--json")
    assert (told.code, told.json["flaws"], told.json["objects"]) == (1, 2, 3)
    mended = made("fsck", "--repair", "--json")
    assert mended.code == 0, mended.err
    assert {each["outcome"] for each in mended.json["findings"]} == {"repaired"}
    assert {key: path.read_bytes() for key, path in paths.items()} == content
    assert sandbox.bill()["total_micro_usd"] == bill
    assert states(made)["landed"] == 2
    rows = made("sql", "--json", "SELECT problem, outcome FROM fsck_report ORDER BY found_at").json
    assert [row["outcome"] for row in rows] == ["reported", "reported", "repaired", "repaired"]

    paths["blue-boat", 1].unlink()
    end_the_hour(workspace)
    lost = made("fsck", "--repair")
    assert lost.code == 1
    assert "1 clips are lost" in lost.out
    group = states(made)
    assert (group["landed"], group["failed"]) == (1, 1)
    planned = made("plan", "--kind", "image", "--json").json
    assert (planned["prompts"], planned["to_generate"], planned["cached"]) == (1, 1, 1)
    again = made("generate", "--kind", "image", "--json").json
    assert (again["clips_generated"], again["clips_cached"]) == (1, 1)
    assert states(made)["landed"] == 2
    assert made("fsck").code == 0
    assert made("audit", "--offline").code == 0


def test_retention_keeps_what_is_live_or_approved(made: Cli, workspace: Workspace) -> None:
    """A dry run by default; with --delete former clips go, but for the one that was approved."""
    (workspace.root / "config").mkdir(exist_ok=True)
    write_settled(
        workspace.root / "config" / "retention.yaml",
        "rules: [{name: former clips, superseded_beyond: 0}]",
    )
    former = clip_paths(made)
    assert made("generate", "--kind", "image", "--force", "--yes").code == 0
    rows = made("sql", "--json", "SELECT * FROM clips WHERE superseded_at IS NOT NULL").json
    (kept,) = [row for row in rows if row["prompt_id"] == "red-house"]
    assert made("approve", kept["clip_id"], "--reason", "printed").code == 0

    dry = made("retention", "--json").json
    assert (dry["dry_run"], len(dry["may_go"]), dry["deleted"]) == (True, 2, 0)
    assert all(path.exists() for path in former.values())
    done = made("retention", "--delete", "--json").json
    assert (done["deleted"], done["failed"]) == (2, [])
    assert [path.exists() for path in former.values()].count(False) == 2
    assert former["red-house", 1].exists()
    entries = made("sql", "--json", "SELECT action, actor, reason FROM custody").json
    assert [each["action"] for each in entries].count("deleted") == 2
    assert {each["reason"] for each in entries if each["action"] == "deleted"} == {
        "retention rule: former clips"
    }
    assert made("fsck").code == 0
    assert made("retention").out.count("may go") == 1

    # Prompts that can't be read must not look as if they had left the files.
    assert made("unapprove", kept["clip_id"]).code == 0
    write_settled(
        workspace.root / "config" / "retention.yaml", "rules: [{name: all, older_than_days: 0}]"
    )
    images = workspace.root / "prompts" / "images" / "houses.yaml"
    text = images.read_text()
    for content in ("prompts: [", text):
        images.write_text(content)
        (former_one,) = made("retention", "--json").json["may_go"]
        assert former_one["clip_ids"] == [kept["clip_id"]]
    images.unlink()
    assert len(made("retention", "--json").json["may_go"]) == 4


def test_an_export_is_whole_and_idempotent(made: Cli, tmp_path: Path) -> None:
    """Human names, a manifest, checksums that sha256sum accepts; again it copies nothing."""
    place = tmp_path / "out"
    first = made("export", "--to", str(place), "--json")
    assert (first.code, first.json["copied"]) == (0, 3), first.err
    names = {"blue-boat-1.webp", "blue-boat-2.webp", "red-house-1.webp"}
    assert {path.name for path in (place / "houses").iterdir()} == names
    check = subprocess.run(
        ["sha256sum", "-c", "SHA256SUMS"], cwd=place, capture_output=True, text=True, check=False
    )
    assert (check.returncode, check.stdout.count("OK")) == (0, 3)
    manifest = json.loads((place / "manifest.json").read_text())
    entry = next(each for each in manifest["clips"] if each["prompt_id"] == "red-house")
    assert entry["prompt"] == "A [red] house \\[bold]"
    assert entry["licence"] == "Apache-2.0 (weights)"
    assert (entry["cost_usd"], entry["link"]) == ("0.003000", None)
    before = {path: path.stat().st_mtime_ns for path in place.rglob("*")}
    again = made("export", "--to", str(place), "--json").json
    assert (again["copied"], again["unchanged"]) == (0, 3)
    assert {path: path.stat().st_mtime_ns for path in place.rglob("*")} == before
    assert made("export", "--to", str(place), "--template", "../{prompt_id}").code == 2

    # New clips take the places of the old ones; somebody else's file is left, and said so.
    place = tmp_path / "out-2"
    assert made("export", "--to", str(place), "--prompt", "red-house").code == 0
    (place / "houses" / "blue-boat-1.webp").write_bytes(b"mine")
    assert made("generate", "--kind", "image", "--force", "--yes").code == 0
    done = made("export", "--to", str(place), "--json")
    assert (done.code, done.json["copied"], done.json["refused"]) == (1, 2, 1)
    assert (place / "houses" / "blue-boat-1.webp").read_bytes() == b"mine"
    listed = {each["path"] for each in json.loads((place / "manifest.json").read_text())["clips"]}
    assert listed == {"houses/red-house-1.webp", "houses/blue-boat-2.webp"}


def test_links_of_a_folder_and_of_a_bucket(
    cli: Cli, sandbox: Sandbox, seaweed: SeaweedFS, tmp_path: Path
) -> None:
    """A bucket's link is good for anybody until it expires; a folder has none to give."""
    env = {"REPLICATE_BASE_URL": sandbox.url}
    assert cli("generate", "--prompt", "red-house", env=env).code == 0
    plain = cli("link", "red-house", env=env)
    assert (plain.code, "file://" in plain.out) == (0, True)
    assert cli("link", "nobody", env=env).code == 2

    bucket = env | {"ASSET_PIPELINE_STORE_URL": seaweed.new_url()}
    assert cli("generate", "--prompt", "blue-boat", env=bucket).code == 0
    made = cli("link", "image/blue-boat", "--hours", "1", "--json", env=bucket).json
    assert [each["variant"] for each in made] == [1, 2]
    with urllib.request.urlopen(made[0]["link"]) as reply:
        assert reply.headers["Content-Type"] == "image/webp"
        assert reply.read(4) == b"RIFF"

    place = bucket["ASSET_PIPELINE_STORE_URL"] + "/shared"
    assert cli("export", "--to", place, "--prompt", "blue-boat", env=bucket).code == 0
    assert (
        cli("export", "--to", place, "--prompt", "blue-boat", "--json", env=bucket).json[
            "unchanged"
        ]
        == 2
    )
    out = tmp_path / "out"
    assert cli("export", "--to", str(out), "--prompt", "blue-boat", env=bucket).code == 0
    entry = json.loads((out / "manifest.json").read_text())["clips"][0]
    assert "X-Amz-Expires=604800" in entry["link"]
    assert entry["link_expires_at"] > entry["exported_at"]
    page = (tmp_path / "data" / "gallery" / "index.html").read_text()
    assert "X-Amz-Signature" in page
    assert "Links expire" in page
    events = b"".join(path.read_bytes() for path in (tmp_path / "dagster_home").rglob("*.db"))
    assert b"asset-pipeline link image/blue-boat" in events
    for kept in (tmp_path / "dagster_home", tmp_path / "data"):
        for path in kept.rglob("*"):
            if path.is_file() and path.suffix != ".html":
                assert b"X-Amz-Signature" not in path.read_bytes(), path
    assert cli("fsck", "--json", env=bucket).json["objects"] == 3
