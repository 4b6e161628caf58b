"""How a clip's files are marked, in a word or two, for people who look at many."""

from __future__ import annotations

from collections.abc import Sequence

from asset_pipeline.ledger.provenance import ProvenanceRecord
from asset_pipeline.ledger.provenance_schema import ProvenanceRole, SignedBy


def badge_of(records: Sequence[ProvenanceRecord]) -> str:
    """Return the badge of a clip; empty where nothing was made from it and nobody signed it yet.

    What is seen of a clip is its renditions and exports. One of them without marks counts more
    than all that have some.

    Args:
        records: What is on record of the clip's files.
    """
    made = [r for r in records if r.role in {ProvenanceRole.RENDITION, ProvenanceRole.EXPORT}]
    if not made:
        signers = {record.signed_by for record in records}
        if SignedBy.PROVIDER in signers:
            return "signed by provider"
        return "original signed" if SignedBy.US in signers else ""
    if not all(record.marks for record in made):
        return "not marked"
    return "AI, signed" if all(r.signed_by is SignedBy.US for r in made) else "AI, marked"
