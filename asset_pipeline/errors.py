"""The errors that speak to a person, and the exit codes they promise."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """What a command's exit code means; a promise of the command line."""

    DONE = 0
    SOME_FAILED = 1
    BAD_INPUT = 2
    BUDGET = 3


class AssetPipelineError(Exception):
    """An expected error: one sentence on what is wrong and one on what to do.

    Commands print it without a traceback and exit with :attr:`exit_code`.

    Args:
        message: What is wrong and where (file, prompt id, field).
        hint: What the person can do about it.
    """

    exit_code: ExitCode = ExitCode.BAD_INPUT

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class ConfigurationError(AssetPipelineError):
    """A setting, config file or environment variable is wrong."""
