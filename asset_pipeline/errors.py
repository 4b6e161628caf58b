"""The errors that speak to a person, and the exit codes they promise."""

from __future__ import annotations

from enum import IntEnum

from asset_pipeline.disclosure.process_redactor import redacted

_LONGEST = 2_000


class ExitCode(IntEnum):
    """What a command's exit code means; a promise of the command line."""

    DONE = 0
    SOME_FAILED = 1
    BAD_INPUT = 2
    BUDGET = 3


class AssetPipelineError(Exception):
    """An expected error: one sentence on what is wrong and one on what to do.

    Commands print it without a traceback and exit with :attr:`exit_code`. Events, tables and
    alerts keep it, so that secrets are taken out of it here.

    Args:
        message: What is wrong and where (file, prompt id, field).
        hint: What the person can do about it.
    """

    exit_code: ExitCode = ExitCode.BAD_INPUT

    def __init__(self, message: str, *, hint: str = "") -> None:
        self.message = redacted(message)
        self.hint = redacted(hint)
        super().__init__(self.message)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()


class ConfigurationError(AssetPipelineError):
    """A setting, config file or environment variable is wrong.

    What it quotes is cut: a file may hold ten thousand wrong fields, or one of a megabyte.
    """

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(shortened(message, _LONGEST), hint=shortened(hint, _LONGEST))


def shortened(text: str, most: int) -> str:
    """Return at most so many characters of a text; a cut one ends in three dots."""
    return text if len(text) <= most else f"{text[: most - 3]}..."
