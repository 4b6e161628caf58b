"""The commands put together, and what a person sees when one of them cannot go on.

Commands are loaded by name when they are used (Click's lazy group): `--help` answers at once, and
only what runs a command pays for its imports. What is in a command belongs in its own module.
"""

from __future__ import annotations

import errno
import importlib
import signal
import sys
from collections.abc import Callable
from importlib import metadata
from typing import Annotated, Any, Final, NamedTuple, cast

import typer
from typer.core import TyperCommand, TyperGroup

from asset_pipeline.cli._limits import shortage
from asset_pipeline.cli._output import say, show_error, show_traceback, stderr
from asset_pipeline.errors import AssetPipelineError, ExitCode

INTERRUPTED = 130
"""What a shell says of a command that Ctrl-C ended."""

_DISK_HINTS = {
    errno.ENOSPC: "The disk is full: free some space and run the command again.",
    errno.EDQUOT: "Your disk quota is used up: free some space and run the command again.",
    errno.EFBIG: "The file is larger than this system allows to write.",
    errno.EROFS: "The file system is read-only: set ASSET_PIPELINE_DATA_DIR and DAGSTER_HOME.",
}
_DISK_HINT = "Make it readable and writable for this user, or set ASSET_PIPELINE_DATA_DIR."


class _Place(NamedTuple):
    """Where a command is, and what the list of commands says of it."""

    module: str
    summary: str
    name: str = "app"  # of a group of commands; else that of the command's function


# In the order of the list. A test holds each summary against the command's own first sentence.
COMMANDS: Final = {
    "prompts": _Place("prompts", "Check, list and import what there is to make."),
    "models": _Place(
        "models", "Models: what they take and cost, and adding one by the provider's schema."
    ),
    "plan": _Place(
        "plan",
        "Show what `generate` with the same flags would make and at most cost. Nothing is sent.",
        "plan",
    ),
    "generate": _Place(
        "generate",
        "Generate the clips of the chosen prompts, those that are missing if none are named.",
        "generate",
    ),
    "render": _Place(
        "render",
        "Make the renditions of the chosen prompts' clips; what is there already is kept.",
        "render",
    ),
    "check": _Place(
        "render",
        "Read clips back and check them: whole, decodable, not blank, of the size asked for.",
        "check",
    ),
    "status": _Place(
        "status",
        "Show how the prompts stand by collection, what is open, and what the budgets have left.",
        "status",
    ),
    "costs": _Place(
        "costs",
        "Show what was charged, from the warehouse, which is published first if it is behind.",
        "costs",
    ),
    "sql": _Place(
        "sql",
        "Ask the published warehouse in SQL, read-only; it shows what was last published.",
        "sql",
    ),
    "reconcile": _Place(
        "reconcile",
        "Finish what dead processes left open: prove it at the provider, fetch it, close its "
        "books.",
        "reconcile",
    ),
    "audit": _Place(
        "audit",
        "Derive every balance and state of the ledger again and list what does not agree.",
        "audit",
    ),
    "link": _Place(
        "link", "Print a link to a stored clip, good for anybody until it expires.", "link"
    ),
    "export": _Place(
        "export",
        "Copy current clips under human names, with manifest.json, manifest.csv and SHA256SUMS.",
        "export",
    ),
    "fsck": _Place(
        "fsck",
        "Hold the store against the ledger, both ways: every object is read and hashed.",
        "fsck",
    ),
    "retention": _Place(
        "retention", "Show what retention.yaml lets go, and delete it if told so.", "retention"
    ),
    "approve": _Place("approve", "Keep clips for good: no retention rule deletes them.", "approve"),
    "unapprove": _Place("approve", "Leave clips to the retention rules again.", "unapprove"),
    "verify": _Place(
        "provenance",
        "Say where files come from: signature, marks, and the clip they were made from.",
        "verify",
    ),
    "provenance": _Place("provenance", "Keys that files are signed with."),
    "doctor": _Place(
        "doctor",
        "Look at the whole installation, and say of each part how it is and what to do.",
        "doctor",
    ),
    "metrics": _Place(
        "metrics",
        "Print money, clips, failures and health of all processes, as Prometheus reads them.",
        "metrics",
    ),
    "store": _Place(
        "store",
        "The place that clips are kept in: make it private, or say that it is the right one.",
    ),
    "breaker": _Place("breaker", "Show the models' circuit breakers, and close one."),
    "ledger": _Place("ledger", "Upgrade, back up, restore and correct the ledger."),
    "instance": _Place("instance", "Bring Dagster's instance in line with the ledger."),
    "sandbox": _Place("sandbox", "The embedded server that stands in for Replicate."),
    "serve": _Place("service", "Serve the HTTP API and the page of clips until Ctrl-C.", "serve"),
    "keys": _Place("service", "Keys to the service."),
    "demo": _Place(
        "demo",
        "Make everything in the prompts folder on the embedded sandbox, where nothing costs money.",
        "demo",
    ),
}


def load(name: str) -> TyperCommand | TyperGroup:
    """Return a command, its module imported.

    Args:
        name: One of COMMANDS.
    """
    place = COMMANDS[name]
    module = importlib.import_module(f"asset_pipeline.cli.{place.module}")
    found: typer.Typer | Callable[..., None] = getattr(module, place.name)
    if not isinstance(found, typer.Typer):
        alone = typer.Typer(add_completion=False, rich_markup_mode="rich")
        alone.command(name)(found)
        found = alone
    command = cast("TyperCommand | TyperGroup", typer.main.get_command(found))
    command.name = name
    return command


class _Lazy(TyperCommand):
    """A command that is not imported yet: it stands in the list, and is loaded to run."""

    def make_context(self, *arguments: Any, **extra: Any) -> Any:  # noqa: ANN401 -- Typer keeps the types of its own signatures private; the same below
        """Return the context of the command itself."""
        return load(self.name or "").make_context(*arguments, **extra)


class Commands(TyperGroup):
    """The commands by name.

    It turns expected errors into a sentence on stderr and the promised exit code.
    """

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 -- as above
        super().__init__(**settings)
        self.commands = {name: _Lazy(name, help=each.summary) for name, each in COMMANDS.items()}

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 -- as above
        """Run the command; only what nobody expected keeps its traceback."""
        try:
            return super().invoke(ctx)
        except AssetPipelineError as error:
            show_error(error)
            raise typer.Exit(error.exit_code) from None
        except KeyboardInterrupt:
            say(stderr(), "Interrupted.", "yellow")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:
            # The reader of our output, such as `head`, has had enough.
            sys.stderr.close()
            raise typer.Exit(ExitCode.DONE) from None
        except Exception as error:
            if not _is_told(error):
                raise
            raise typer.Exit(ExitCode.BAD_INPUT) from None


def main() -> None:
    """Run the command line."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # So it is in the background of a script. Dagster gives SIGTERM whatever SIGINT has, and a
        # command that was told to stop before its first payment would go on and pay.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        app(prog_name="asset-pipeline")
    except Exception as error:  # noqa: BLE001 -- Python's own traceback would tell secrets
        show_traceback(error)
        raise SystemExit(ExitCode.SOME_FAILED) from None


def _show_version(*, asked: bool) -> None:
    if asked:
        typer.echo(f"asset-pipeline {metadata.version('asset-pipeline')}")
        raise typer.Exit


def _common(
    *,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Show the version, and end."
        ),
    ] = False,
) -> None:
    """Prompts to images and audio on Replicate: never paid twice, never over budget."""
    del version


def _build() -> typer.Typer:
    built = typer.Typer(
        cls=Commands,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    built.callback()(_common)
    return built


def _is_told(error: Exception) -> bool:
    """Say what the machine, the disk or a database did not give; nothing of any other error."""
    known = shortage(error)
    if known is not None:
        show_error(known)
    elif isinstance(error, OSError):
        _show_os_error(error)
    elif _is_database_error(error):
        _show_database_error(error)
    else:
        return False
    return True


def _show_os_error(error: OSError) -> None:
    where = f"{error.filename}: " if error.filename else ""
    what = f"{where}{error.strerror or error}."
    hint = _DISK_HINTS.get(error.errno or 0, _DISK_HINT)
    show_error(AssetPipelineError(what, hint=hint))


def _is_database_error(error: Exception) -> bool:
    """Tell whether it is SQLAlchemy's, without importing that for commands that never did."""
    known = sys.modules.get("sqlalchemy.exc")
    return known is not None and isinstance(error, known.OperationalError)


def _show_database_error(error: Exception) -> None:
    cause = getattr(error, "orig", error)
    show_error(
        AssetPipelineError(
            f"The database cannot be used: {cause}.",
            hint="Check that the data folder and DAGSTER_HOME are writable and the disk has room.",
        )
    )


app = _build()
