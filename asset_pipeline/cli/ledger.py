"""`ledger`: the database itself: upgrading, copying, putting a copy back, correcting a charge."""

from __future__ import annotations

from typing import Annotated

import typer

from asset_pipeline.cli._backups import back_up, put_back
from asset_pipeline.cli._ledger import actor, open_whole_ledger
from asset_pipeline.cli._options import read_amount
from asset_pipeline.cli._output import say, stdout
from asset_pipeline.clock import SystemClock
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger import engine
from asset_pipeline.ledger.engine import HEAD_REVISION
from asset_pipeline.ledger.reports import LedgerReader
from asset_pipeline.money import format_usd
from asset_pipeline.settings import load_settings

app = typer.Typer(help="Upgrade, back up, restore and correct the ledger.", no_args_is_help=True)


@app.command()
def upgrade() -> None:
    """Bring the ledger's schema up to date; every command that opens it does the same."""
    before = engine.upgrade(load_settings().ledger_url)
    if before == HEAD_REVISION:
        said = f"The ledger is at revision {HEAD_REVISION}, the newest."
    elif before is None:
        said = f"The ledger was created at revision {HEAD_REVISION}."
    else:
        said = f"The ledger was at revision {before} and is at {HEAD_REVISION} now."
    say(stdout(), said)


@app.command()
def backup(
    target: Annotated[
        str,
        typer.Argument(
            metavar="FILE", help="A file that does not exist yet, or s3:// or gs://bucket/prefix."
        ),
    ],
) -> None:
    """Copy the ledger while runs go on; the copy shows one moment and is verified.

    In a bucket its name holds the time. A ledger on Postgres is copied with pg_dump.
    """
    where, size = back_up(load_settings(), target, SystemClock().now())
    say(stdout(), f"{where}: {size:,} bytes, verified.")


@app.command()
def restore(
    source: Annotated[
        str,
        typer.Argument(metavar="FILE", help="What `ledger backup` wrote, also in a bucket."),
    ],
) -> None:
    """Put a backup in the ledger's place, when no process uses it; the former one is kept.

    On Postgres it goes into an empty database, with pg_restore.
    """
    kept = put_back(load_settings(), source, SystemClock().now())
    console = stdout()
    if kept is not None:
        say(console, f"The ledger that was there is kept as {kept}.")
    say(
        console,
        "Restored. What was paid since the backup is not in it: `asset-pipeline audit --orphans` "
        "enters it as spending, and `generate` would pay for those clips again.",
        "yellow",
    )


@app.command()
def correct(
    intent: Annotated[str, typer.Argument(metavar="ID", help="An intent, or how its id begins.")],
    *,
    usd: Annotated[str, typer.Option("--usd", help="What the provider billed in truth.")],
    because: Annotated[str, typer.Option("--because", help="How you know; kept in the ledger.")],
) -> None:
    """Set what a clip or a failed attempt was charged, where the provider's bill says otherwise.

    The difference becomes an entry in every budget that the payment falls under.
    """
    amount = read_amount("--usd", usd)
    if not because.strip():
        raise AssetPipelineError("--because is empty.", hint="Say how you know what was billed.")
    with open_whole_ledger(load_settings()) as ledger:
        before = LedgerReader(ledger.engine).find(intent)
        after = ledger.correct(before, amount, f"{actor()}: {' '.join(because.split())}")
    say(
        stdout(),
        f"Intent {after.intent_id}: {format_usd(before.charged_microusd)} is "
        f"{format_usd(after.charged_microusd)} now, in every budget that it falls under.",
    )
