"""What `provenance init` and `provenance seal` do and show."""

from __future__ import annotations

import uuid

from asset_pipeline.cli import _resources as resources
from asset_pipeline.cli._count import counting
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
        say(console, "Clips, renditions and exports are signed with it from now on.", "green")
        say(console, "What is stored already: `asset-pipeline provenance seal`.")
    return ExitCode.DONE


def run_seal(*, as_json: bool) -> ExitCode:
    """Lay the manifests that are due, print what came of it and return the exit code.

    Raises:
        AssetPipelineError: There is no key, or prompts, ledger or store can't be read.
    """
    custody = resources.custody()
    with counting("clips", SystemClock()) as update:
        done = custody.seal(
            run_id=f"seal-{uuid.uuid4().hex}", report=lambda at, total: update(at, total, "")
        )
    custody.publish()
    code = ExitCode.SOME_FAILED if done.failed else ExitCode.DONE
    if as_json:
        write_json(
            {
                "signed": done.laid,
                "there_already": done.there,
                "unwanted": done.unwanted,
                "failed": [
                    {
                        "kind": each.clip.kind,
                        "prompt_id": each.clip.prompt_id,
                        "variant": each.clip.variant,
                        "object_uri": each.clip.object_uri,
                        "reason": each.reason,
                    }
                    for each in done.failed
                ],
            }
        )
        return code
    console = stdout()
    say(
        console,
        f"Manifests: {done.laid:,} signed, {done.there:,} there already, {done.unwanted:,} not "
        f"wanted by their collections, {len(done.failed):,} failed.",
    )
    for each in done.failed:
        clip = each.clip
        say(console, f"{clip.kind}/{clip.prompt_id}, variant {clip.variant}: {each.reason}", "red")
    return code
