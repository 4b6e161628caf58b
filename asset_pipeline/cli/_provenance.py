"""What `provenance init` does and shows."""

from __future__ import annotations

from asset_pipeline.cli._output import say, stdout, write_json
from asset_pipeline.clock import SystemClock
from asset_pipeline.errors import ExitCode
from asset_pipeline.provenance.keys import (
    AUTHORITY,
    CERTIFICATE,
    KEY,
    key_folder,
    make_development_key,
)
from asset_pipeline.settings import load_settings

_WORTH = (
    "It is worth something on machines that trust this authority, and nothing elsewhere: anybody "
    "can make one. Files that go to others are signed with a certificate that was bought."
)


def run_init(*, renew: bool, as_json: bool) -> ExitCode:
    """Make a development key and say what it is worth.

    Raises:
        AssetPipelineError: There is one already, or what makes it is not installed.
    """
    settings = load_settings()
    folder = key_folder(settings)
    key = make_development_key(folder, SystemClock().now(), renew=renew)
    overridden = settings.signing_cert is not None or settings.signing_key is not None
    if as_json:
        write_json(
            {
                "certificate": str(folder / CERTIFICATE),
                "key": str(folder / KEY),
                "authority": str(folder / AUTHORITY),
                "subject": key.subject,
                "certificate_sha256": key.fingerprint,
                "expires_at": key.not_after,
                "worth": _WORTH,
                "in_force": not overridden,
            }
        )
        return ExitCode.DONE
    console = stdout()
    say(console, f"Certificate and key are in {folder}, good until {key.not_after:%Y-%m-%d}.")
    say(console, _WORTH, "yellow")
    say(console, f"Others check such files with verify --trust {folder / AUTHORITY}.")
    if overridden:
        say(
            console,
            "ASSET_PIPELINE_SIGNING_CERT and _KEY are set and stay in force: this key is not used.",
            "yellow",
        )
    else:
        say(console, "Renditions and exports are signed with it from now on.", "green")
    return ExitCode.DONE
