"""`sandbox serve`: a server that speaks Replicate's API and costs nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="The server that stands in for Replicate.", no_args_is_help=True)


@app.callback()
def sandbox() -> None:
    """Keep `serve` a command of its own: a group of one would otherwise swallow its name."""


@app.command()
def serve(
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option("--port", min=0, max=65535, help="Port; 0 for a free one.")
    ] = 0,
    state_dir: Annotated[
        Path | None,
        typer.Option("--state-dir", help="Folder of its state; the one that `generate` uses."),
    ] = None,
    predict_seconds: Annotated[
        str | None,
        typer.Option("--predict-seconds", help="2 or 0.5-3; else by the work asked for."),
    ] = None,
    creates_per_minute: Annotated[
        int | None, typer.Option("--creates-per-minute", min=0, help="0: no limit.")
    ] = None,
    clock_skew: Annotated[
        float | None,
        typer.Option("--clock-skew", help="Seconds that its clock is ahead; -90 is behind."),
    ] = None,
    created_skew: Annotated[
        float | None,
        typer.Option("--created-skew", help="Seconds that created_at alone is ahead, on top."),
    ] = None,
    faults: Annotated[
        Path | None, typer.Option("--faults", help="A fault plan to rehearse failures with.")
    ] = None,
) -> None:
    """Serve until Ctrl-C. The address is printed; REPLICATE_BASE_URL points commands to it.

    Without it, `generate` starts such a server by itself when there is no token.
    """
    # The server and all that draws and speaks: only this command needs them.
    from asset_pipeline.sandbox.__main__ import main  # noqa: PLC0415
    from asset_pipeline.settings import load_settings  # noqa: PLC0415

    settings = load_settings()
    arguments = ["--host", host, "--port", str(port), "--config-dir", str(settings.config_dir)]
    arguments += ["--state-dir", str(state_dir or settings.data_dir / "sandbox")]
    if predict_seconds is not None:
        arguments += ["--predict-seconds", predict_seconds]
    if creates_per_minute is not None:
        arguments += ["--creates-per-minute", str(creates_per_minute)]
    if clock_skew is not None:
        arguments += [f"--clock-skew={clock_skew}"]
    if created_skew is not None:
        arguments += [f"--created-skew={created_skew}"]
    if faults is not None:
        arguments += ["--faults", str(faults)]
    raise typer.Exit(main(arguments))
