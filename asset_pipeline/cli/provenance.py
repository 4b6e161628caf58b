"""`verify`, `provenance init` and `provenance seal`: the flags; the views beside do the work."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from asset_pipeline.cli._options import AsJson

app = typer.Typer(help="Keys that files are signed with.", no_args_is_help=True)


def verify(
    *,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="From anywhere.")],
    trust: Annotated[
        Path | None,
        typer.Option("--trust", metavar="PEM", help="Authorities whose signatures are trusted."),
    ] = None,
    no_ledger: Annotated[
        bool, typer.Option("--no-ledger", help="Say only what the files say of themselves.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say where files come from: signature, marks, and the clip they were made from.

    No network is asked. With a ledger at hand, each file's clip is looked for: by its SHA-256, by
    what the file says, and at last by what it shows or sounds like. A manifest FILE.c2pa beside a
    file counts as its own. Exit code 1 if a file was changed since it was signed, or says nothing
    and is not one on record.
    """
    # The ledger and pictures: `--help` does not wait for them. The same below.
    from asset_pipeline.cli._verify import run_verify  # noqa: PLC0415

    raise typer.Exit(run_verify(files, trust, no_ledger=no_ledger, as_json=as_json))


@app.command("init")
def init(
    *,
    renew: Annotated[
        bool,
        typer.Option("--renew", help="A new certificate under the authority that is there."),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make an authority and a key for development, so that files are signed from now on.

    It shows how things work, and lets your own tools check your own files. Nobody else trusts it:
    a certificate that others do is bought, and named by ASSET_PIPELINE_SIGNING_CERT and
    ASSET_PIPELINE_SIGNING_KEY.
    """
    from asset_pipeline.cli._provenance import run_init  # noqa: PLC0415 -- as above

    raise typer.Exit(run_init(renew=renew, as_json=as_json))


@app.command("seal")
def seal(*, as_json: AsJson = False) -> None:
    """Lay the signed manifest beside each stored clip that has none by the key in force.

    A clip gets it when it lands; this is for clips from before there was a key, and after a
    rotation. The clips' own files are only read. Exit code 1 if one could not be signed.
    """
    from asset_pipeline.cli._provenance import run_seal  # noqa: PLC0415 -- as above

    raise typer.Exit(run_seal(as_json=as_json))
