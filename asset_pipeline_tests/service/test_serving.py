"""The process: where it may listen, and how it ends."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager

import httpx
import pytest

from asset_pipeline.cli import _service
from asset_pipeline.errors import ConfigurationError
from asset_pipeline.service.context import open_context
from asset_pipeline.service.serving import check_address, is_loopback, own_names
from asset_pipeline.settings import load_settings
from asset_pipeline_tests.service.conftest import Place, Served


@contextmanager
def _process() -> Generator[tuple[subprocess.Popen[str], str]]:
    start = "from asset_pipeline.cli import main; main()"
    command = [sys.executable, "-c", start, "serve", "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()


@pytest.mark.usefixtures("place")
def test_it_ends_in_time_with_an_open_stream() -> None:
    """A stop takes less than five seconds while somebody follows a job, and is in order."""
    with _process() as (process, url):
        taken = httpx.post(f"{url}/api/v1/generations", json={"text": "A cat"}, timeout=60).json()
        with httpx.stream("GET", f"{url}{taken['events_url']}", timeout=60) as stream:
            lines = stream.iter_lines()
            assert next(line for line in lines if line.startswith("id:")) == "id: 1"
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=30) == 0
            assert time.monotonic() - began < 5


def test_without_its_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who installed the project alone reads the command, and no traceback."""
    monkeypatch.setattr(_service, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError) as refused:
        _service.run_service("127.0.0.1", 0)
    assert "pip install 'asset-pipeline[service]'" in refused.value.hint


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.com"])
def test_other_addresses_need_a_key(place: Place, host: str) -> None:
    """Where others may come in nobody listens before somebody said who may."""
    assert place.root.is_dir()
    context = open_context(load_settings())
    with pytest.raises(ConfigurationError, match="anybody"):
        check_address(context, host)
    context.engine.dispose()


def test_with_a_key_it_may_listen_anywhere(alone: Served) -> None:
    """A key, or a trusted proxy, is what is asked for."""
    alone.key("admin")
    context = open_context(load_settings())
    check_address(context, "0.0.0.0")
    context.engine.dispose()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "localhost", "::1"])
def test_this_machines_own_addresses(host: str) -> None:
    """They are reached from here alone."""
    assert is_loopback(host)


def test_on_loopback_only_our_own_names_count() -> None:
    """A page whose own name was pointed here is refused, also behind a proxy with a public name."""
    plain = own_names("127.0.0.1", None)
    proxied = own_names("127.0.0.1", "https://desk.example.org/clips")
    assert "evil.example" not in plain | proxied
    assert {"localhost", "127.0.0.1"} <= plain < proxied
    assert "desk.example.org" in proxied
    assert own_names("0.0.0.0", None) == frozenset()
