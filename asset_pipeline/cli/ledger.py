"""`ledger`: the database itself: bringing it up to date, copying it, putting a copy back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asset_pipeline.cli.console import say, stdout

app = typer.Typer(help="Upgrade, back up and restore the ledger.", no_args_is_help=True)


@app.command()
def upgrade() -> None:
    """Bring the ledger's schema up to date; every command that opens it does the same."""
    # SQLAlchemy: `--help` does not wait for it. The same below.
    from asset_pipeline.ledger.engine import HEAD_REVISION  # noqa: PLC0415
    from asset_pipeline.ledger.engine import upgrade as upgrade_ledger  # noqa: PLC0415
    from asset_pipeline.settings import load_settings  # noqa: PLC0415

    before = upgrade_ledger(load_settings().ledger_url)
    if before == HEAD_REVISION:
        said = f"The ledger is at revision {HEAD_REVISION}, the newest."
    elif before is None:
        said = f"The ledger was created at revision {HEAD_REVISION}."
    else:
        said = f"The ledger was at revision {before} and is at {HEAD_REVISION} now."
    say(stdout(), said)


@app.command()
def backup(
    file: Annotated[Path, typer.Argument(help="A file that does not exist yet.")],
) -> None:
    """Copy the ledger to a file while runs go on; the copy shows one moment and is verified."""
    from asset_pipeline.ledger.backup import backup as back_up  # noqa: PLC0415
    from asset_pipeline.settings import load_settings  # noqa: PLC0415

    size = back_up(load_settings().ledger_url, file.expanduser())
    say(stdout(), f"{file}: {size:,} bytes, verified.")


@app.command()
def restore(
    file: Annotated[Path, typer.Argument(help="A file that `ledger backup` wrote.")],
) -> None:
    """Put a backup in the ledger's place, when no process uses it; the former one is kept."""
    from asset_pipeline.clock import SystemClock  # noqa: PLC0415
    from asset_pipeline.ledger.backup import restore as put_back  # noqa: PLC0415
    from asset_pipeline.settings import load_settings  # noqa: PLC0415

    kept = put_back(load_settings().ledger_url, file.expanduser(), now=SystemClock().now())
    console = stdout()
    if kept is not None:
        say(console, f"The ledger that was there is kept as {kept}.")
    say(
        console,
        "Restored. What was paid since the backup is not in it: `asset-pipeline audit --orphans` "
        "enters it as spending, and `generate` would pay for those clips again.",
        "yellow",
    )
