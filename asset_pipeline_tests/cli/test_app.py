"""The list of commands: at once, true to the commands, complete on a shell."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from typer.core import TyperCommand
from typer.testing import CliRunner

from asset_pipeline.cli.app import COMMANDS, app, load
from asset_pipeline_tests.cli.conftest import COMMAND


@pytest.mark.parametrize("name", COMMANDS)
def test_the_list_says_of_a_command_what_it_says_itself(name: str) -> None:
    """The list is written without importing the commands, and is none the less true."""
    command = load(name)
    assert command.name == name
    if isinstance(command, TyperCommand):
        words = " ".join((command.help or "").split())
        assert words.startswith(COMMANDS[name].summary)


def test_the_list_comes_at_once(tmp_path: Path) -> None:
    """`--help` computes little more than importing Typer and Rich does; the best of three counts.

    A quarter of a second on an idle machine; as a ratio it holds on busy ones and under coverage.
    """
    bare = _computed([sys.executable, "-c", "import typer.rich_utils"], tmp_path)
    assert _computed([*COMMAND, "--help"], tmp_path) < 2 * bare


def _computed(command: list[str], folder: Path) -> float:
    """Return the least computing that a command took of three times, in seconds."""
    spent: list[float] = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run(command, cwd=folder, capture_output=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        spent.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(spent)


def test_the_version_is_said() -> None:
    """`--version` names the program and its version, and runs nothing."""
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert result.output == "asset-pipeline 0.1.0\n"


def test_a_name_that_is_nearly_right_is_suggested() -> None:
    """A command that does not exist ends with 2 and the one that was meant."""
    result = CliRunner().invoke(app, ["genrate"])
    assert result.exit_code == 2
    assert "Did you mean 'generate'?" in result.output


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        ("asset-pipeline rec", {"reconcile"}),
        ("asset-pipeline ledger ", {"upgrade", "backup", "restore", "correct"}),
        ("asset-pipeline plan --max", {"--max-usd"}),
    ],
)
def test_a_shell_completes_commands_and_flags(words: str, offered: set[str]) -> None:
    """Commands, their own commands and their flags are completed."""
    done = subprocess.run(
        COMMAND,
        env={
            **os.environ,
            "_ASSET_PIPELINE_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split(" ")) - 1),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert set(done.stdout.split()) == offered


def test_completion_is_installed_where_the_shell_looks(tmp_path: Path) -> None:
    """`--install-completion bash` adds the completion of this name to the shell's own files."""
    (tmp_path / ".bashrc").touch()
    done = subprocess.run(
        [str(Path(sys.executable).with_name("asset-pipeline")), "--install-completion", "bash"],
        env={
            **os.environ,
            "HOME": str(tmp_path),
            "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
        },
        capture_output=True,
        text=True,
        check=True,
    )
    assert "completion" in done.stdout
    written = "".join(path.read_text() for path in tmp_path.rglob("*") if path.is_file())
    assert "_ASSET_PIPELINE_COMPLETE" in written
