"""Arguments in any bytes, few handles, little memory: a sentence and an exit code, at once."""

from __future__ import annotations

import errno
from collections.abc import Sequence

import pytest
from typer.testing import CliRunner

from asset_pipeline.cli._limits import shortage
from asset_pipeline.cli.app import app

_ODD = "x\udcff\udcfe"  # as Python reads the bytes 78 FF FE of an argument

COMMANDS: Sequence[Sequence[str]] = [
    ("prompts", "list", "--collection", _ODD),
    ("prompts", "list", "--tag", _ODD),
    ("prompts", "import", _ODD, "--kind", "image", "--model", _ODD),
    ("plan", "--prompt", _ODD),
    ("plan", "--collection", _ODD, "--json"),
    ("generate", "--prompt", _ODD, "--yes"),
    ("sql", f"SELECT '{_ODD}'"),
    ("link", _ODD),
    ("approve", _ODD),
    ("unapprove", _ODD),
    ("breaker", "reset", _ODD),
    ("breaker", "trip", _ODD),
    ("ledger", "restore", _ODD),
    ("costs", "--by", _ODD),
    (_ODD,),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda words: " ".join(words[:2]).split("x")[0])
def test_arguments_may_be_any_bytes(
    arguments: Sequence[str], tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is no text is told as bad input: no traceback of whoever could not encode it."""
    for name in ("PROMPTS", "DATA", "CONFIG"):
        monkeypatch.setenv(f"ASSET_PIPELINE_{name}_DIR", f"{tmp_path}/{name}")
    done = CliRunner().invoke(app, list(arguments))
    assert done.exit_code == 2
    assert isinstance(done.exception, SystemExit)
    assert "Traceback" not in done.output
    assert done.output.strip()


@pytest.mark.parametrize(
    ("shell", "said"),
    [("ulimit -n 24", "may open 24 files"), ("ulimit -v 300000", "MiB of memory")],
)
def test_a_run_does_not_start_without_room(workspace: object, shell: str, said: str) -> None:
    """It would stall for minutes, or break where no step can say why."""
    process = workspace.start("generate", "--yes", shell=shell)  # type: ignore[attr-defined]
    out, err = process.communicate(timeout=120)
    assert (process.returncode, said in err, "Traceback" in out + err) == (2, True, False)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (MemoryError(), "too little memory"),
        (ImportError("libx.so: failed to map segment from shared object"), "too little memory"),
        (RuntimeError("can't start new thread"), "too little memory"),
        (OSError(errno.EMFILE, "Too many open files"), "may not open that many files"),
    ],
)
def test_a_shortage_is_seen_through_what_a_library_made_of_it(error: Exception, said: str) -> None:
    """Its cause counts; an error that has another reason is left alone."""
    wrapped = ValueError("a library's own words")
    wrapped.__cause__ = error
    found = shortage(wrapped)
    assert found is not None
    assert said in found.message
    assert shortage(ValueError("something else")) is None
