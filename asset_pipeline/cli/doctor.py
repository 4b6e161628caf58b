"""`doctor`: the flags; what it looks at is in :mod:`asset_pipeline.cli._checkups`."""

from __future__ import annotations

import typer

from asset_pipeline.cli._options import AsJson


def doctor(*, as_json: AsJson = False) -> None:
    """Look at the whole installation, and say of each part how it is and what to do.

    Token and provider, ledger, data folder and disk, prompts, DAGSTER_HOME, warehouse, and the
    store with the rules that keep a bucket private. Into a store that exists a small file is put,
    and deleted again. Nothing else is changed or created, and nothing is paid for. Exit code 2 if
    something fails.
    """
    # Everything there is: `--help` does not wait for it.
    from asset_pipeline.cli.doctor_view import show_checkups  # noqa: PLC0415

    raise typer.Exit(show_checkups(as_json=as_json))
