"""What `verify` looks at and shows."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asset_pipeline.cli._output import say, stderr, stdout, write_json
from asset_pipeline.clock import SystemClock
from asset_pipeline.errors import AssetPipelineError, ExitCode
from asset_pipeline.ledger.provenance import ProvenanceBook
from asset_pipeline.media.preview_cache import PreviewCache
from asset_pipeline.money import format_usd, to_decimal
from asset_pipeline.provenance.keys import trust_anchors
from asset_pipeline.provenance.lookup import ClipFinder, FoundBy, FoundClip
from asset_pipeline.provenance.verification import FileReport, Verdict, Verifier
from asset_pipeline.settings import Settings, load_settings
from asset_pipeline.stores.environment import bucket_settings
from asset_pipeline.stores.factory import open_store

_STYLES = {
    Verdict.TRUSTED: "bold green",
    Verdict.VALID: "green",
    Verdict.MARKED: "green",
    Verdict.UNMARKED: "yellow",
    Verdict.INVALID: "bold red",
    Verdict.DAMAGED: "bold red",
}
_MEANINGS = {
    Verdict.TRUSTED: "signed by somebody who is trusted here, and unchanged since",
    Verdict.VALID: "signed and unchanged since; nobody here vouches for the signer",
    Verdict.MARKED: "says that a model made it; without a signature anybody could have written so",
    Verdict.UNMARKED: "says nothing of where it comes from",
    Verdict.INVALID: "was changed since it was signed",
    Verdict.DAMAGED: "is damaged",
}


@dataclass(frozen=True, slots=True)
class _Looked:
    report: FileReport
    found: FoundClip | None

    @property
    def holds(self) -> bool:
        """Whether what the file says can be believed, or the very file is on record."""
        verdict = self.report.verdict
        if verdict in {Verdict.INVALID, Verdict.DAMAGED}:
            return False
        on_record = self.found is not None and self.found.by is FoundBy.SHA256
        return verdict is not Verdict.UNMARKED or on_record


def run_verify(
    files: Sequence[Path], trust: Path | None, *, no_ledger: bool, as_json: bool
) -> ExitCode:
    """Look at files and show what was found; return the exit code.

    Raises:
        AssetPipelineError: A file is not there, or authorities can't be read.
    """
    settings = load_settings()
    verifier = Verifier(trust_anchors(settings, trust))
    looked: list[_Looked] = []
    with _finder(settings, no_ledger=no_ledger) as finder:
        for path in files:
            report = verifier.verify(path)
            each = _Looked(report, None if finder is None else finder.find(report))
            looked.append(each)
            if not as_json:
                _show(each)
        if as_json:
            write_json({"ledger": finder is not None, "files": [_row(each) for each in looked]})
    return ExitCode.DONE if all(each.holds for each in looked) else ExitCode.SOME_FAILED


@contextlib.contextmanager
def _finder(settings: Settings, *, no_ledger: bool) -> Generator[ClipFinder | None]:
    """Yield what asks the ledger; None where there is none, or it is not to be asked."""
    has_ledger = (
        settings.chosen_ledger_url is not None
        or settings.default_ledger_path(settings.provider).is_file()
    )
    if no_ledger or not has_ledger:
        yield None
        return
    # The ledger's library takes most of a second, which files alone have no use for.
    from asset_pipeline.ledger.provider_ledger import open_own_engine  # noqa: PLC0415

    try:
        engine = open_own_engine(settings)
    except AssetPipelineError as error:
        say(stderr(), f"The ledger was not asked: {error}", "yellow")
        yield None
        return
    shelf = PreviewCache(settings.previews_dir)

    def preview_of(sha256: str) -> bytes | None:
        preview = shelf.get(sha256)
        return None if preview is None else preview.webp

    try:
        yield ClipFinder(
            ProvenanceBook(engine, SystemClock()),
            lambda: open_store(settings.store_url, bucket_settings(settings)),
            preview_of,
        )
    finally:
        engine.dispose()


def _show(looked: _Looked) -> None:
    report, console = looked.report, stdout()
    say(
        console,
        f"{report.verdict:<9}{report.path}: {_MEANINGS[report.verdict]}.",
        _STYLES[report.verdict],
    )
    for name, text in _facts(report):
        say(console, f"  {name + ':':<15}{text}")
    if looked.found is not None:
        for name, text in _clip_facts(looked.found):
            say(console, f"  {name + ':':<15}{text}")
    for note in report.notes:
        say(console, f"  {note}", "yellow")


def _facts(report: FileReport) -> list[tuple[str, str]]:
    signature, marks = report.signature, report.marks
    facts: list[tuple[str, str]] = []
    if signature.signer:
        where = " (in the file beside it)" if report.is_beside else ""
        facts.append(("signer", f"{signature.signer}, by {signature.issuer or '?'}{where}"))
    if signature.problems:
        facts.append(("problems", ", ".join(signature.problems)))
    facts.extend(
        ("made from", f"{each.title} ({each.mime}{', signed' if each.is_signed else ''})")
        for each in signature.ingredients
    )
    source = signature.digital_source_type or marks.digital_source_type
    if source:
        facts.append(("source type", source.rpartition("/")[2]))
    facts.extend((name.replace("_", " "), str(value)) for name, value in report.says.items())
    if marks.kinds:
        facts.append(("marks", ", ".join(marks.kinds)))
    return facts


def _clip_facts(found: FoundClip) -> list[tuple[str, str]]:
    clip = found.clip
    how = {
        FoundBy.SHA256: f"this very file is on record as its {found.role or 'file'}",
        FoundBy.MARKS: "the file names it; the file itself is not on record",
        FoundBy.LIKENESS: f"it looks or sounds {found.likeness or 0:.0%} the same",
    }[found.by]
    return [
        ("clip", f"{clip.kind}/{clip.prompt_id} #{clip.variant}, {clip.clip_id} ({how})"),
        ("model", clip.model),
        ("cost", format_usd(clip.cost_microusd)),
        ("run", clip.run_id),
        ("original", clip.object_uri),
    ]


def _row(looked: _Looked) -> dict[str, Any]:
    report = looked.report
    signature, marks = report.signature, report.marks
    return {
        "path": str(report.path),
        "sha256": report.sha256,
        "format": report.format,
        "verdict": report.verdict,
        "holds": looked.holds,
        "signature": {
            "state": signature.state,
            "beside": report.is_beside,
            "signer": signature.signer,
            "issuer": signature.issuer,
            "serial": signature.serial,
            "generator": signature.generator,
            "signed_at": signature.signed_at,
            "problems": list(signature.problems),
            "actions": list(signature.actions),
            "digital_source_type": signature.digital_source_type,
            "ingredients": [
                {
                    "title": each.title,
                    "relationship": each.relationship,
                    "mime": each.mime,
                    "signed": each.is_signed,
                    "problems": list(each.problems),
                }
                for each in signature.ingredients
            ],
        },
        "marks": {
            "kinds": list(marks.kinds),
            "digital_source_type": marks.digital_source_type,
            "credit": marks.credit,
            "description": marks.description,
            "parameters": marks.parameters,
            "original_sha256": marks.original_sha256,
        },
        "says": dict(report.says),
        "clip": None if looked.found is None else _clip_row(looked.found),
        "notes": list(report.notes),
    }


def _clip_row(found: FoundClip) -> dict[str, Any]:
    clip = found.clip
    return {
        "found_by": found.by,
        "role": found.role,
        "likeness": found.likeness,
        "clip_id": clip.clip_id,
        "kind": clip.kind,
        "prompt_id": clip.prompt_id,
        "collection": clip.collection,
        "variant": clip.variant,
        "model": clip.model,
        "prediction_id": clip.prediction_id,
        "run_id": clip.run_id,
        "cost_usd": str(to_decimal(clip.cost_microusd)),
        "object_uri": clip.object_uri,
        "sha256": clip.sha256,
        "prompt": found.known.prompt_text,
    }
