"""A workspace in a temporary folder, a sandbox that many tests share, and the real command."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from asset_pipeline.cli import main

_OURS = ("ASSET_PIPELINE_", "REPLICATE_", "OPENROUTER_", "DAGSTER_", "PYTHONDONTWRITE")

COMMAND = [sys.executable, "-c", "from asset_pipeline.cli import main; main()"]

IMAGES = """
collection: houses
defaults: {model: black-forest-labs/flux-schnell, inputs: {megapixels: "0.25"}}
prompts:
  - {id: red-house, text: "A [red] house \\\\[bold]", tags: [outside]}
  - {id: blue-boat, text: A blue boat, variants: 2}
"""
AUDIO = """
collection: greetings
defaults: {model: jaaari/kokoro-82m}
prompts:
  - {id: hello, text: Hello there.}
"""


@dataclass
class Workspace:
    """A folder with prompts, and the environment that points commands to it."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def write(self, name: str, content: str) -> Path:
        path = self.root / "prompts" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
        return path

    @property
    def env(self) -> dict[str, str]:
        kept = {
            name: value
            for name, value in os.environ.items()
            # Compiled modules are kept between the processes of a test, as an installation does.
            if not name.startswith(_OURS)
        }
        return {
            **kept,
            "ASSET_PIPELINE_PROMPTS_DIR": str(self.root / "prompts"),
            "ASSET_PIPELINE_DATA_DIR": str(self.root / "data"),
            "ASSET_PIPELINE_CONFIG_DIR": str(self.root / "config"),
            "DAGSTER_HOME": str(self.root / "dagster_home"),
            "COLUMNS": "200",
            **self.environment,
        }

    def start(
        self,
        *arguments: str,
        env: dict[str, str] | None = None,
        shell: str | None = None,
    ) -> subprocess.Popen[str]:
        before = ["sh", "-c", f'{shell}; exec "$@"', "sh"] if shell else []
        process = subprocess.Popen(
            [*before, *COMMAND, *arguments],
            env={**self.env, **(env or {})},
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def run(
        self,
        *arguments: str,
        env: dict[str, str] | None = None,
        shell: str | None = None,
    ) -> Done:
        """Run the command in a process of its own, as a person does."""
        process = self.start(*arguments, env=env, shell=shell)
        try:
            out, err = process.communicate(timeout=120)
        finally:
            process.kill()
        return Done(process.returncode, out, err)


@dataclass
class Done:
    """What a command said and how it ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:  # noqa: ANN401 -- any document
        return json.loads(self.out)


@dataclass
class Sandbox:
    """A running sandbox server."""

    url: str

    def pass_time(self, seconds: float) -> None:
        httpx.post(f"{self.url}/sandbox/clock", json={"seconds": seconds}).raise_for_status()

    def bill(self) -> dict[str, Any]:
        return httpx.get(f"{self.url}/sandbox/charges").json()


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    """A workspace with three prompts: four clips."""
    made = Workspace(tmp_path)
    made.write("images/houses.yaml", IMAGES)
    made.write("audio/greetings.yaml", AUDIO)
    yield made
    for process in made.started:
        if process.poll() is None:  # a test failed half-way
            process.kill()
            process.communicate()


@pytest.fixture
def cli(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Run the command in this process: quick, for it shares its imports with the other tests."""

    def run(*arguments: str, env: dict[str, str] | None = None) -> Done:
        for name in [
            name for name in os.environ if name.startswith(("ASSET_", "REPLICATE_", "OPENROUTER_"))
        ]:
            monkeypatch.delenv(name)
        for name, value in {**workspace.env, **(env or {})}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "argv", ["asset-pipeline", *arguments])
        monkeypatch.chdir(workspace.root)
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        return Done(int(ended.value.code or 0), said.out, said.err)

    return run


def serve_sandbox(folder: Path, *arguments: str) -> Iterator[Sandbox]:
    """Serve by the command under test until the generator is closed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "server.err").open("w") as errors:
        process = subprocess.Popen(
            [*COMMAND, "sandbox", "serve", "--state-dir", str(folder), *arguments],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        assert process.stdout is not None
        yield Sandbox(process.stdout.readline().strip())
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0


@pytest.fixture(scope="session")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """A sandbox whose predictions take a moment."""
    yield from serve_sandbox(tmp_path_factory.mktemp("sandbox"), "--predict-seconds", "0.05")


@pytest.fixture
def slow_sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A sandbox whose predictions end only when a test lets time pass."""
    yield from serve_sandbox(tmp_path / "slow", "--predict-seconds", "60")


def until(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    """Wait for something that another process does."""
    give_up = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < give_up, "it never came about"
        time.sleep(0.05)
