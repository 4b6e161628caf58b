"""SIGTERM and Ctrl-C in mid-batch: nothing more is sent, what was never sent is given back."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from asset_pipeline_tests.cli.conftest import Done, Sandbox, Workspace, serve_sandbox, until

Cli = Callable[..., Done]

_PROMPTS = 16
_PROMISED_SECONDS = 10


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox whose predictions take two seconds."""
    yield from serve_sandbox(tmp_path_factory.mktemp("sandbox"), "--predict-seconds", "2")


@pytest.fixture
def garden(workspace: Workspace, sandbox: Sandbox, request: pytest.FixtureRequest) -> Workspace:
    """More prompts than are in flight at once, with texts that no other test has."""
    for path in (workspace.root / "prompts").rglob("*.yaml"):
        path.unlink()
    document = {
        "collection": "garden",
        "defaults": {"model": "black-forest-labs/flux-schnell", "inputs": {"megapixels": "0.25"}},
        "prompts": [
            {"id": f"plant-{number:02}", "text": f"Plant {number} of {request.node.name}"}
            for number in range(_PROMPTS)
        ],
    }
    workspace.write("images/garden.yaml", yaml.safe_dump(document))
    workspace.environment["REPLICATE_BASE_URL"] = sandbox.url
    return workspace


class SilentServer(ThreadingHTTPServer):
    """Takes every request and never answers."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Silence)
        self.posts = 0
        self.closing = threading.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Silence(BaseHTTPRequestHandler):
    server: SilentServer

    def do_POST(self) -> None:
        self.server.posts += 1
        self.server.closing.wait()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 -- as it is called
        """Say nothing."""


@pytest.fixture
def silent_server() -> Iterator[SilentServer]:
    """A provider that is there and gone at the same time."""
    with SilentServer() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.closing.set()
        server.shutdown()


def _ledger(workspace: Workspace) -> Path:
    return workspace.root / "data" / "ledger.sandbox.db"


def _states(workspace: Workspace) -> Counter[str]:
    if not _ledger(workspace).exists():
        return Counter()
    with closing(sqlite3.connect(_ledger(workspace), timeout=30)) as ledger:
        return Counter(row[0] for row in ledger.execute("SELECT state FROM intents"))


def _money(workspace: Workspace) -> tuple[int, int]:
    """Charged in all, and reserved by intents that were never submitted."""
    with closing(sqlite3.connect(_ledger(workspace))) as ledger:
        (charged,) = ledger.execute("SELECT sum(charged_microusd) FROM intents").fetchone()
        (unsent,) = ledger.execute(
            "SELECT coalesce(sum(reserved_microusd), 0) FROM intents WHERE submitted_at IS NULL"
        ).fetchone()
    return charged, unsent


def _bill(sandbox: Sandbox, request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return [line for line in sandbox.bill()["charges"] if request.node.name in line["prompt"]]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_sends_nothing_more_and_the_next_run_pays_nothing_twice(
    cli: Cli,
    garden: Workspace,
    sandbox: Sandbox,
    request: pytest.FixtureRequest,
    number: signal.Signals,
) -> None:
    """Within ten seconds; half the batch is in flight, held back by our own rate limit."""
    # Two creates a second: of eight in flight, some wait for their turn with money set aside.
    slowly = {"ASSET_PIPELINE_RATE_LIMIT_PER_MINUTE": "120"}
    process = garden.start("generate", "--all", "--max-in-flight", "8", env=slowly)
    until(lambda: len(_bill(sandbox, request)) >= 5 and _states(garden)["reserved"] > 0)
    started = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    seconds = time.monotonic() - started
    sent = len(_bill(sandbox, request))
    assert process.returncode == 130, err
    assert seconds < _PROMISED_SECONDS
    assert "Traceback" not in err
    assert 5 <= sent <= 8, "what was on the wire at the signal, and no more"
    assert _states(garden)["reserved"] == 0
    assert _money(garden)[1] == 0
    assert cli("audit", "--offline").code == 0

    done = cli("generate", "--all", "--json")
    assert done.code == 0, done.err
    assert done.json["done"] == _PROMPTS
    bill = _bill(sandbox, request)
    assert Counter(line["prompt"] for line in bill).most_common(1)[0][1] == 1
    assert len(bill) == _PROMPTS
    assert sum(line["charge_micro_usd"] for line in bill) == _money(garden)[0]


def test_a_stop_before_anything_was_sent_leaves_nothing(
    cli: Cli, garden: Workspace, sandbox: Sandbox, request: pytest.FixtureRequest
) -> None:
    """While it still reads and plans, a signal ends it at once."""
    process = garden.start("generate", "--all")
    time.sleep(0.5)
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert time.monotonic() - started < _PROMISED_SECONDS
    assert process.returncode != 0
    assert _bill(sandbox, request) == []
    assert cli("audit", "--offline", "--json").json["mismatches"] == []


def test_a_provider_that_never_answers_holds_nobody_up(
    cli: Cli, garden: Workspace, silent_server: SilentServer
) -> None:
    """The replies are waited for, but not longer than promised; their money stays reserved."""
    env = {"REPLICATE_BASE_URL": silent_server.url}
    process = garden.start("generate", "--all", "--max-in-flight", "4", env=env)
    until(lambda: silent_server.posts >= 4)
    started = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert time.monotonic() - started < _PROMISED_SECONDS, err
    assert process.returncode == 130, err
    assert silent_server.posts == 4
    states = _states(garden)
    assert states["submitting"] + states["unknown"] == 4
    assert cli("audit", "--offline").code == 0


_IN_THE_BACKGROUND = """
import contextlib, signal, sys
signal.signal(signal.SIGINT, signal.SIG_IGN)
from asset_pipeline.cli import main
sys.argv = ["asset-pipeline", "--help"]
with contextlib.suppress(SystemExit):
    main()
from dagster._utils.interrupts import setup_interrupt_handlers
setup_interrupt_handlers()
assert signal.getsignal(signal.SIGTERM) is signal.default_int_handler
"""


def test_a_command_in_the_background_of_a_script_can_be_stopped() -> None:
    """There SIGINT is ignored, and Dagster would have SIGTERM ignored with it."""
    subprocess.run([sys.executable, "-c", _IN_THE_BACKGROUND], check=True, capture_output=True)
