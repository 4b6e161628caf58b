"""What an export says of itself: a manifest for programs, one for spreadsheets, and checksums."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.custody.export_names import CHECKSUMS, MANIFEST_CSV, MANIFEST_JSON
from asset_pipeline.custody.export_targets import Target, write_text
from asset_pipeline.custody.links import SignedLink
from asset_pipeline.ledger.exports import ExportLine
from asset_pipeline.ledger.provenance import ProvenanceRecord
from asset_pipeline.ledger.records import Clip
from asset_pipeline.money import to_decimal
from asset_pipeline.prompts.spec import Prompt

FORMAT = 1
"""Raised when a field changes its meaning; new fields may come at any time."""

# What spreadsheets begin a formula with.
_FORMULA = ("=", "+", "-", "@", "\t", "\r")

LinkOf = Callable[[ExportLine], SignedLink | None]

PromptOf = Callable[[Clip], Prompt | None]
"""Gives the prompt of a clip; None once it left the files."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the manifest has from what no ledger row says.

    Attributes:
        catalog: The models' licences.
        link_of: A file's link; None where there is none.
        prompt_of: What tags and fields a clip's prompt has.
        accounts: What files say of themselves, by path.
    """

    catalog: Catalog
    link_of: LinkOf
    prompt_of: PromptOf
    accounts: Mapping[str, ProvenanceRecord | None]


def write_manifest(target: Target, lines: Sequence[ExportLine], sources: Sources) -> None:
    """Write the three files, each whole or not at all; the checksums last.

    Args:
        target: Where they go, beside the files that they are about.
        lines: The files, by path.
        sources: What else is known of them.
    """
    entries = [_entry(line, sources) for line in lines]
    document = {"format": FORMAT, "clips": entries}
    text = json.dumps(document, ensure_ascii=False, indent=1)
    write_text(target, MANIFEST_JSON, _utf8(text) + "\n", content_type="application/json")
    write_text(target, MANIFEST_CSV, _utf8(_as_csv(entries)), content_type="text/csv")
    sums = "".join(f"{line.sha256}  {line.path}\n" for line in lines)
    write_text(target, CHECKSUMS, sums, content_type="text/plain")


def _entry(line: ExportLine, sources: Sources) -> dict[str, Any]:
    clip = line.clip
    link = sources.link_of(line)
    account = sources.accounts.get(line.path)
    prompt = sources.prompt_of(clip)
    model = sources.catalog.models.get(clip.model)
    return {
        "path": line.path,
        "kind": clip.kind.value,
        "collection": clip.collection,
        "prompt_id": clip.prompt_id,
        "variant": clip.variant,
        "prompt": line.prompt_text,
        "seed": line.seed,
        "inputs": dict(line.inputs),
        "tags": [] if prompt is None else list(prompt.tags),
        "fields": {} if prompt is None else dict(prompt.fields),
        "model": clip.model,
        "licence": None if model is None else model.licence,
        "clip_id": clip.clip_id,
        "prediction_id": clip.prediction_id,
        "generation_hash": clip.generation_hash,
        "sha256": line.sha256,
        "bytes": line.bytes,
        "original_sha256": clip.sha256,
        "marks": "" if account is None else account.marks,
        "digital_source_type": "" if account is None else account.digital_source_type,
        "signed_by": "nobody" if account is None else account.signed_by.value,
        "signer": "" if account is None else account.signer,
        "provenance_note": "" if account is None else account.note,
        "mime": clip.mime,
        "width": clip.width,
        "height": clip.height,
        "duration_seconds": clip.duration_seconds,
        "cost_usd": str(to_decimal(clip.cost_microusd)),
        "created_at": clip.created_at.isoformat(),
        "exported_at": line.exported_at.isoformat(),
        "object_uri": clip.object_uri,
        "link": None if link is None else link.url,
        "link_expires_at": None if link is None else link.expires_at.isoformat(),
    }


def _as_csv(entries: Sequence[dict[str, Any]]) -> str:
    out = io.StringIO()
    if entries:
        writer = csv.DictWriter(out, fieldnames=list(entries[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows({name: _cell(value) for name, value in entry.items()} for entry in entries)
    return out.getvalue()


def _cell(value: object) -> object:
    """Write a value for a cell; a spreadsheet must not take a prompt for a formula."""
    if isinstance(value, list | dict):
        value = json.dumps(value, ensure_ascii=False) if value else ""
    is_formula = isinstance(value, str) and value.startswith(_FORMULA)
    return f"'{value}" if is_formula else value


def _utf8(text: str) -> str:
    """Return text that can be written: half a surrogate pair becomes an escape."""
    return text.encode("utf-8", "backslashreplace").decode()
