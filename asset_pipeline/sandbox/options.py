"""What can be chosen about a sandbox server; the defaults behave like Replicate, only faster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class SandboxOptions:
    """The choices of one server process.

    Args:
        predict_seconds: Shortest and longest running time of a prediction; None scales it with
            the work asked for, about a second for a one-megapixel picture.
        start_seconds: Time a prediction stays ``starting``.
        creates_per_minute: Predictions accepted a minute, 0 for no limit.
        requests_per_minute: Other API requests answered a minute, 0 for no limit.
        idle_seconds: The server ends after so long without a request, 0 for never.
        config_dir: Folder whose ``models.yaml`` overlays the packaged catalog.
        clock_skew_seconds: How far the clock that clients see is off, ahead when positive; None
            leaves it to the fault plan.
        created_skew_seconds: How far ``created_at`` alone is off, on top of that; None likewise.
        faults_file: A fault plan to load at start; see :mod:`asset_pipeline.sandbox.faults.plan`.
        bad_token_prefix: Tokens that begin so are refused with 401.
        poor_token_prefix: Tokens that begin so may read but not create: 402.
    """

    predict_seconds: tuple[float, float] | None = None
    start_seconds: float = 0.1
    creates_per_minute: int = 600
    requests_per_minute: int = 3000
    idle_seconds: float = 0.0
    config_dir: Path | None = None
    clock_skew_seconds: float | None = None
    created_skew_seconds: float | None = None
    faults_file: Path | None = None
    bad_token_prefix: str = "r8_wrong"  # noqa: S105 -- opens nothing
    poor_token_prefix: str = "r8_poor"  # noqa: S105 -- opens nothing
