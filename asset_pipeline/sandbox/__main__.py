"""``python -m asset_pipeline.sandbox``: one server process that leaves a record of itself."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.sandbox.faults.plan import ClockSkew
from asset_pipeline.sandbox.faults.registry import FaultRegistry
from asset_pipeline.sandbox.options import SandboxOptions
from asset_pipeline.sandbox.process import remove_record, write_record
from asset_pipeline.sandbox.server import serve
from asset_pipeline.sandbox.state import State


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the arguments, serve, and return the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    state_dir: Path = given.state_dir.resolve()
    options = SandboxOptions(
        predict_seconds=given.predict_seconds,
        start_seconds=given.start_seconds,
        creates_per_minute=given.creates_per_minute,
        requests_per_minute=given.requests_per_minute,
        idle_seconds=given.idle_seconds,
        config_dir=given.config_dir,
        clock_skew_seconds=given.clock_skew,
        created_skew_seconds=given.created_skew,
        faults_file=given.faults,
    )

    def ready(url: str) -> None:
        write_record(state_dir, url)
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()
        faults = FaultRegistry(State(state_dir))
        if rules := len(faults.report()):
            told = f"{rules} fault rules are in force; DELETE {url}/sandbox/faults ends them.\n"
            sys.stderr.write(told)
        if faults.clock() != ClockSkew():
            sys.stderr.write(f"The clock is off; DELETE {url}/sandbox/faults sets it right.\n")

    try:
        serve(given.host, given.port, state_dir, options, ready=ready)
    except AssetPipelineError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    except KeyboardInterrupt:
        pass
    finally:
        remove_record(state_dir)
    return 0


def seconds_range(text: str) -> tuple[float, float]:
    """Read ``2`` or ``0.5-3`` as the shortest and the longest time in seconds."""
    shortest, _, longest = text.partition("-")
    return float(shortest), float(longest or shortest)


def _parser() -> argparse.ArgumentParser:
    defaults = SandboxOptions()
    parser = argparse.ArgumentParser(prog="python -m asset_pipeline.sandbox", description=__doc__)
    add = parser.add_argument
    add("--state-dir", type=Path, required=True, help="folder of the state")
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=0, help="0 for a free one")
    add("--predict-seconds", type=seconds_range, help="2 or 0.5-3; else by the work asked for")
    add("--start-seconds", type=float, default=defaults.start_seconds)
    add("--creates-per-minute", type=int, default=defaults.creates_per_minute, help="0: no limit")
    add("--requests-per-minute", type=int, default=defaults.requests_per_minute, help="0: no limit")
    add("--idle-seconds", type=float, default=0.0, help="end after so long unasked; 0: never")
    add("--config-dir", type=Path, help="folder whose models.yaml overlays the catalog")
    add("--clock-skew", type=float, help="seconds that its clock is ahead, -90 behind")
    add("--created-skew", type=float, help="seconds that created_at alone is ahead, on top of that")
    add("--faults", type=Path, help="a fault plan to start with")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
