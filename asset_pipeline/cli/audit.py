"""`audit`: the flags; what it does is in :mod:`asset_pipeline.cli.audit_view`."""

from __future__ import annotations

from typing import Annotated

import typer

from asset_pipeline.cli._options import AsJson
from asset_pipeline.errors import AssetPipelineError

_REACH_DAYS = 7


def audit(
    *,
    orphans: Annotated[
        bool | None,
        typer.Option(
            "--orphans/--offline",
            help="Insist on the provider's list, or leave it out. Without either it is compared "
            "when the provider can be reached.",
            show_default=False,
        ),
    ] = None,
    since: Annotated[
        int | None,
        typer.Option(
            "--since",
            metavar="DAYS",
            min=1,
            max=3650,
            help=f"How far back the provider is asked; {_REACH_DAYS} days if not given.",
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Derive every balance and state of the ledger again and list what does not agree.

    The provider's list is held against the ledger as well. It shows the whole account: whatever
    else uses the same token is recorded as spending here. Exit code 1 if anything did not agree.
    """
    # The ledger and its SQLAlchemy, the provider: `--help` does not wait for them.
    from asset_pipeline.cli.audit_view import show_audit  # noqa: PLC0415

    if since is not None and orphans is False:
        raise AssetPipelineError(
            "--since says how far back the provider is asked, and --offline asks nobody.",
            hint="Leave one of them out: the ledger itself is always audited whole.",
        )
    reach = None if orphans is False else since or _REACH_DAYS
    raise typer.Exit(show_audit(reach, insist=orphans is True, as_json=as_json))
