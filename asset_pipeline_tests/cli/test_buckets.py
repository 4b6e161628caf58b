"""The whole main job with a bucket as store, by one variable: killed, resumed, and private."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
import yaml

from asset_pipeline.settings import load_settings
from asset_pipeline.stores.factory import open_store
from asset_pipeline.warehouse.query import query
from asset_pipeline_tests.cli.conftest import Done, Sandbox, Workspace
from asset_pipeline_tests.support.servers.fixtures import gcs, gcs_server, seaweed, seaweed_server
from asset_pipeline_tests.support.servers.gcs import Gcs
from asset_pipeline_tests.support.servers.proxy import Proxy, Request, running_proxy
from asset_pipeline_tests.support.servers.seaweed import BUCKET, SECRET_KEY, SeaweedFS

__all__ = ["gcs", "gcs_server", "seaweed", "seaweed_server"]

Cli = Callable[..., Done]

_PROMPTS = 10
_SIGNATURES = ("X-Amz-Signature", "X-Goog-Signature")


def _kill_at_the_fourth_put(workspace: Workspace, proxy: Proxy, env: dict[str, str]) -> Done:
    """Run `generate` and kill it while its fourth clip is on its way into the bucket."""
    puts, killed = 0, threading.Lock()
    allowed = proxy.check

    def check(request: Request) -> int | None:
        nonlocal puts
        is_put = request.method == "PUT" or request.path.startswith("/upload/")
        puts += is_put
        if is_put and puts >= 4 and killed.acquire(blocking=False):
            process.kill()  # and the request still arrives
        return allowed(request)

    proxy.check = check
    process = workspace.start("generate", "--kind", "image", env=env)
    out, err = process.communicate(timeout=120)
    proxy.check = allowed
    assert process.returncode == -9, err
    return Done(process.returncode, out, err)


def _main_job(
    workspace: Workspace, sandbox: Sandbox, cli: Cli, proxy: Proxy, url: str, name: str
) -> list[Done]:
    """Run the main job, killed and resumed; hold sandbox, ledger and bucket against each other."""
    for path in (workspace.root / "prompts").rglob("*.yaml"):
        path.unlink()
    document = {
        "collection": "garden",
        "defaults": {"model": "black-forest-labs/flux-schnell", "inputs": {"megapixels": "0.25"}},
        "prompts": [{"id": f"p-{n}", "text": f"Plant {n} of {name}"} for n in range(_PROMPTS)],
    }
    workspace.write("images/garden.yaml", yaml.safe_dump(document))
    env = {"REPLICATE_BASE_URL": sandbox.url, "ASSET_PIPELINE_STORE_URL": url}
    before = sandbox.bill()
    said = [_kill_at_the_fourth_put(workspace, proxy, env)]
    said.append(cli("generate", "--kind", "image", "--json", env=env))
    assert said[-1].code == 0, said[-1].err
    after = sandbox.bill()
    assert after["accepted"] - before["accepted"] == _PROMPTS, "nothing was paid twice"
    with sqlite3.connect(workspace.root / "data" / "ledger.sandbox.db") as ledger:
        charged, reserved = ledger.execute(
            "SELECT sum(charged_microusd), sum(reserved_microusd) FROM intents"
        ).fetchone()
        clips = ledger.execute("SELECT object_key, object_uri, bytes, sha256 FROM clips").fetchall()
    ledger.close()
    assert charged == after["total_micro_usd"] - before["total_micro_usd"]
    assert not reserved
    store = open_store(url)
    stored = {(each.key, each.uri, each.bytes, each.sha256) for each in store.list("image/")}
    assert stored == set(clips), "each clip once, and nothing else"
    assert len(clips) == _PROMPTS
    return said


def _everything_written(workspace: Workspace) -> dict[str, bytes]:
    """All that the runs left on the disk but the gallery, with the tables as text."""
    written = {
        str(path.relative_to(workspace.root)): path.read_bytes()
        for path in workspace.root.rglob("*")
        if path.is_file() and "gallery" not in path.parts
    }
    warehouse = load_settings().warehouse_path
    for (table,) in query(warehouse, "SELECT table_name FROM information_schema.tables")[1]:
        rows = query(warehouse, f'SELECT * FROM "{table}"')[1]
        written[f"table {table}"] = repr(rows).encode()
    return written


def _hold_no_secret(workspace: Workspace, said: list[Done], *secrets: str) -> None:
    written = _everything_written(workspace)
    assert any(name.startswith("table ") for name in written)
    assert any("dagster_home" in name for name in written)
    for number, done in enumerate(said):
        written[f"output {number}"] = (done.out + done.err).encode()
    for secret in (*secrets, *_SIGNATURES):
        holding = [name for name, content in written.items() if secret.encode() in content]
        assert not holding, secret


def test_the_main_job_on_s3(
    workspace: Workspace,
    sandbox: Sandbox,
    seaweed: SeaweedFS,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Killed in mid-put and run again: nothing is lost, paid twice or public, no secret written."""
    url = seaweed.new_url()
    with running_proxy(seaweed.url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        said = _main_job(workspace, sandbox, cli, proxy, url, "s3")
        for each in open_store(url).list(""):
            name = each.uri.removeprefix(f"s3://{BUCKET}/")
            assert httpx.get(f"{seaweed.url}/{BUCKET}/{name}").status_code == 403
        said.append(cli("doctor", env={"ASSET_PIPELINE_STORE_URL": url}))
        refused = {"AWS_SECRET_ACCESS_KEY": SECRET_KEY[::-1], "ASSET_PIPELINE_STORE_URL": url}
        said.append(cli("doctor", env=refused))
        assert (said[-1].code, "SignatureDoesNotMatch" in said[-1].out) == (2, True)
    _hold_no_secret(workspace, said, SECRET_KEY, SECRET_KEY[::-1])


def test_the_main_job_on_gcs(workspace: Workspace, sandbox: Sandbox, gcs: Gcs, cli: Cli) -> None:
    """The same on GCS, by the same variable."""
    said = _main_job(workspace, sandbox, cli, gcs.proxy, gcs.new_url(), "gcs")
    address = f"{gcs.proxy.url}/clips-of-tests"
    assert httpx.get(f"{address}/image/x.webp").status_code == 401
    secret = Path(gcs.environment["GOOGLE_APPLICATION_CREDENTIALS"]).read_text()
    _hold_no_secret(workspace, said, secret[200:260])
