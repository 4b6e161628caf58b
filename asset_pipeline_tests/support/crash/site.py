"""A place to pay at: a sandbox server process of its own, a ledger and a store in one folder."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import httpx

from asset_pipeline.prompts.spec import Prompt
from asset_pipeline_tests.support.crash.worker import Job
from asset_pipeline_tests.support.ledgers import place_new_ledger

_LEDGER = "ledger.db"

_CREATE_ROUTES = ("POST /v1/predictions", "POST /v1/models/{owner}/{name}/predictions")


@dataclass
class Site:
    """A running sandbox server and the folder that workers share.

    Attributes:
        folder: Ledger, store and scratch files.
        state_dir: The server's state.
        predict: The shortest and longest running time of a prediction in seconds.
        config_dir: Holds a ``models.yaml`` that server and workers go by.
        foreign_posts: Creates of other accounts on the wire.
    """

    folder: Path
    ledger_url: str
    state_dir: Path
    predict: str
    port: int = 0
    url: str = ""
    config_dir: Path | None = None
    _server: subprocess.Popen[str] | None = field(default=None, repr=False)
    _earlier: frozenset[str] = frozenset()
    _earlier_posts: int = 0
    foreign_posts: int = 0

    def beside(self, folder: Path) -> Site:
        """Return a site with a ledger and a store of its own at the same server.

        It sees none of the bill that was there before; prompts must have texts of their own.
        """
        place_new_ledger(folder / _LEDGER)
        return replace(
            self,
            folder=folder,
            ledger_url=_ledger_in(folder),
            _server=None,
            _earlier=frozenset(line["id"] for line in self._get("charges")["charges"]),
            _earlier_posts=self._all_posts(),
        )

    def open_server(self) -> None:
        """Start the server, on the port it had before if it ran before."""
        command = [sys.executable, "-m", "asset_pipeline.sandbox", "--port", str(self.port)]
        command += ["--state-dir", str(self.state_dir), "--predict-seconds", self.predict]
        command += ["--start-seconds", "0.02", "--idle-seconds", "1800"]
        command += ["--creates-per-minute", "0", "--requests-per-minute", "0"]
        if self.config_dir is not None:
            command += ["--config-dir", str(self.config_dir)]
        # Its log is long: every worker that dies with half a request sent leaves a traceback.
        self.state_dir.mkdir(parents=True, exist_ok=True)
        with (self.state_dir / "server.log").open("ab") as log:
            self._server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._server.stdout is not None
        self.url = self._server.stdout.readline().strip()
        assert self.url, "the sandbox server did not start"
        self.port = httpx.URL(self.url).port or 0

    def kill_server(self) -> None:
        """SIGKILL the server: its state stays in the folder."""
        self._end_server(subprocess.Popen.kill)

    def close_server(self) -> None:
        """Stop the server as a person would."""
        self._end_server(subprocess.Popen.terminate)

    def job(self, prompts: Iterable[Prompt], **choices: Any) -> Job:  # noqa: ANN401 -- Job's own fields
        """Return a job at this site."""
        made = {"config_dir": self.config_dir, **choices}
        return Job(self.folder, self.url, self.ledger_url, tuple(prompts), **made)

    def fault(self, *rules: Mapping[str, object]) -> None:
        """Add fault rules; see :mod:`asset_pipeline.sandbox.faults.plan`."""
        reply = httpx.post(f"{self.url}/sandbox/faults", json={"faults": rules}, trust_env=False)
        reply.raise_for_status()

    def set_clock(self, skew_seconds: float) -> None:
        """Put the server's clock off, ahead when positive."""
        clock = {"clock": {"skew_seconds": skew_seconds}}
        reply = httpx.post(f"{self.url}/sandbox/faults", json=clock, trust_env=False)
        reply.raise_for_status()

    def mend(self) -> None:
        """Remove all fault rules."""
        httpx.delete(f"{self.url}/sandbox/faults", trust_env=False).raise_for_status()

    def struck(self, fault: str) -> int:
        """Return how often the rules in force for a fault have struck."""
        return sum(rule["fired"] for rule in self.rules() if rule["fault"] == fault)

    def rules(self) -> list[dict[str, Any]]:
        """Return the fault rules in force, with how often each has struck."""
        return self._get("faults")["faults"]

    def charges(self) -> list[dict[str, Any]]:
        """Return the provider's own bill of our account, one line for each accepted prediction."""
        bill = self._get("charges?account=sandbox")["charges"]
        return [line for line in bill if line["id"] not in self._earlier]

    def posts(self) -> int:
        """Return how many creates came in on the wire, whatever became of them."""
        return self._all_posts() - self._earlier_posts - self.foreign_posts

    def requests(self) -> dict[str, int]:
        """Return how many requests came in, by method and route."""
        return self._get("requests")

    def _all_posts(self) -> int:
        counts = self._get("requests")
        return sum(counts.get(route, 0) for route in _CREATE_ROUTES)

    def _get(self, name: str) -> Any:  # noqa: ANN401 -- JSON
        reply = httpx.get(f"{self.url}/sandbox/{name}", trust_env=False, timeout=30)
        return reply.raise_for_status().json()

    def _end_server(self, how: Any) -> None:  # noqa: ANN401 -- a method of Popen
        if self._server is None:
            return
        how(self._server)
        try:
            self._server.wait(10)
        except subprocess.TimeoutExpired:
            self._server.kill()
            self._server.wait()
        if self._server.stdout is not None:
            self._server.stdout.close()
        self._server = None


@contextlib.contextmanager
def open_site(
    folder: Path,
    *,
    predict: str = "0.1-0.4",
    ledger_url: str | None = None,
    config_dir: Path | None = None,
) -> Generator[Site]:
    """Yield a site with its server running; stop the server at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    url = ledger_url or _ledger_in(folder)
    site = Site(folder, url, folder / "sandbox", predict, config_dir=config_dir)
    site.open_server()
    try:
        yield site
    finally:
        site.close_server()


def _ledger_in(folder: Path) -> str:
    return f"sqlite:///{folder / _LEDGER}"
