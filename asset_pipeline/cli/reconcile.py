"""`reconcile`: the flags; what it does is in :mod:`asset_pipeline.cli.reconcile_view`."""

from __future__ import annotations

from typing import Annotated

import typer

from asset_pipeline.cli._options import AsJson
from asset_pipeline.errors import AssetPipelineError

_DECIDE = "Answer a question (ID, or how it begins)"


def reconcile(
    *,
    charge: Annotated[
        str | None,
        typer.Option(
            "--charge",
            metavar="ID",
            help="It was billed: charge it and close it.",
            rich_help_panel=_DECIDE,
        ),
    ] = None,
    usd: Annotated[
        str | None,
        typer.Option(
            "--usd",
            help="What was billed; all that is set aside for it, if not given.",
            rich_help_panel=_DECIDE,
        ),
    ] = None,
    release: Annotated[
        str | None,
        typer.Option(
            "--release",
            metavar="ID",
            help="It was never accepted: give its money back and close it.",
            rich_help_panel=_DECIDE,
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Finish what dead processes left open: prove it at the provider, fetch it, close its books.

    Nothing new is sent. What can't be proved any more is a question, which a person answers with
    one of the flags below. Exit code 1 as long as anything is open.
    """
    # Dagster and the provider: `--help` does not wait for them.
    from asset_pipeline.cli import reconcile_view  # noqa: PLC0415

    if charge is not None and release is not None:
        raise AssetPipelineError("--charge and --release exclude each other.", hint="Give one.")
    if usd is not None and charge is None:
        raise AssetPipelineError("--usd says what --charge charges.", hint="Give --charge ID too.")
    if charge is not None:
        reconcile_view.charge_by_hand(charge, usd, as_json=as_json)
    elif release is not None:
        reconcile_view.release_by_hand(release, as_json=as_json)
    else:
        raise typer.Exit(reconcile_view.resume(as_json=as_json))
