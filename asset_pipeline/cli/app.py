"""The commands put together, and what a person sees when one of them cannot go on."""

from __future__ import annotations

import errno
import signal
import sys
from typing import Any

import typer
from typer.core import TyperGroup

from asset_pipeline.cli import (
    audit,
    breaker,
    doctor,
    generate,
    keeping,
    ledger,
    plan,
    prompts,
    reconcile,
    sandbox,
    service,
    status,
    store,
    warehouse,
)
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


class SpokenErrors(TyperGroup):
    """Turns expected errors into a sentence on stderr and the promised exit code."""

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 -- Typer's own signature, whose types it keeps private
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
        except OSError as error:
            _show_os_error(error)
            raise typer.Exit(ExitCode.BAD_INPUT) from None
        except Exception as error:
            if not _is_database_error(error):
                raise
            _show_database_error(error)
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


def _build() -> typer.Typer:
    built = typer.Typer(
        cls=SpokenErrors,
        help="Prompts to images and audio on Replicate: never paid twice, never over budget.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
    )
    built.add_typer(prompts.app, name="prompts")
    built.command("plan")(plan.plan)
    built.command("generate")(generate.generate)
    built.command("status")(status.status)
    built.command("costs")(warehouse.costs)
    built.command("sql")(warehouse.sql)
    built.command("reconcile")(reconcile.reconcile)
    built.command("audit")(audit.audit)
    built.command("link")(keeping.link)
    built.command("export")(keeping.export)
    built.command("fsck")(keeping.fsck)
    built.command("retention")(keeping.retention)
    built.command("approve")(keeping.approve)
    built.command("unapprove")(keeping.unapprove)
    built.command("doctor")(doctor.doctor)
    built.add_typer(store.app, name="store")
    built.add_typer(breaker.app, name="breaker")
    built.add_typer(ledger.app, name="ledger")
    built.add_typer(sandbox.app, name="sandbox")
    built.command("serve")(service.serve)
    built.add_typer(service.app, name="keys")
    built.command("demo")(generate.demo)
    return built


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
