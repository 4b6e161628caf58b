"""Taking back exported files whose clips may be published no more.

Only a file that is still what this ledger wrote is removed. One that a person has worked on stays
where it is, as theirs: it leaves the manifest, and whoever asked is told.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.custody.exporter import Exporter
from asset_pipeline.ledger.exports import ExportLine
from asset_pipeline.ledger.records import Clip
from asset_pipeline.provenance.marker import SIDECAR


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """One exported file that is published no more.

    Attributes:
        removed: Whether the file was deleted; False for one that a person has changed.
    """

    path: str
    uri: str
    clip: Clip
    removed: bool


def withdraw(
    exporter: Exporter, kind: Kind, prompt_ids: Collection[str], stays: Callable[[Clip], bool]
) -> list[Withdrawn]:
    """Remove the exported files of some prompts that are not to stay.

    They stay on record until an export, or :meth:`Exporter.write_manifest`, follows: by the record
    that one knows the target for its own.

    Args:
        exporter: Says where, and which ledger.
        kind: What the prompts make.
        prompt_ids: The prompts; files of others are not looked at.
        stays: Tells whether the file of a clip is to stay.

    Raises:
        AssetPipelineError: The target or the ledger can't be reached; another attempt goes on.
    """
    lines = exporter.book.of_prompts(exporter.target.name, kind, prompt_ids)
    return [_take_back(exporter, line) for line in lines if not stays(line.clip)]


def leave_to_people(exporter: Exporter, withdrawn: Iterable[Withdrawn]) -> None:
    """Drop from the manifest what was not removed because a person has changed it."""
    kept = [each.path for each in withdrawn if not each.removed]
    if kept:
        exporter.book.forget(exporter.target.name, kept)
        exporter.write_manifest()


def _take_back(exporter: Exporter, line: ExportLine) -> Withdrawn:
    target = exporter.target
    there = target.digest(line.path)
    if there == line.sha256:
        target.remove(line.path)
        target.remove(line.path + SIDECAR)
    removed = there in {None, line.sha256}
    return Withdrawn(line.path, target.uri(line.path), line.clip, removed)
