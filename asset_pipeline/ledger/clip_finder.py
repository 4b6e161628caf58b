"""Finding stored clips by prompt id or clip id."""

from __future__ import annotations

from sqlalchemy import select

from asset_pipeline.ledger.access import LedgerAccess
from asset_pipeline.ledger.engine import LedgerError
from asset_pipeline.ledger.records import Clip, clip_from
from asset_pipeline.ledger.schema import clips

_NAMED = 5
_SHORTEST_PREFIX = 6


class ClipFinder(LedgerAccess):
    """Finds clips for commands that are told a name."""

    def find(self, name: str) -> list[Clip]:
        """Return the stored clips with a name that a user typed.

        Args:
            name: A prompt id (its current clips), also as ``image/prompt-id``; or a clip id, or
                how it begins.

        Raises:
            LedgerError: It names none, or several clip ids begin so.
        """
        kind, _, prompt_id = name.rpartition("/")
        stored = select(clips).where(clips.c.removed_at.is_(None))
        of_prompt = stored.where(clips.c.prompt_id == prompt_id, clips.c.superseded_at.is_(None))
        if kind:
            of_prompt = of_prompt.where(clips.c.kind == kind)
        with self._reading() as connection:
            found = connection.execute(of_prompt.order_by(clips.c.kind, clips.c.variant)).mappings()
            named = [clip_from(row) for row in found]
            if named or kind or len(name) < _SHORTEST_PREFIX:
                prefixed = []
            else:
                by_id = stored.where(clips.c.clip_id.startswith(name, autoescape=True))
                rows = connection.execute(by_id.limit(_NAMED)).mappings()
                prefixed = [clip_from(row) for row in rows]
        if len(prefixed) > 1:
            listed = ", ".join(clip.clip_id for clip in prefixed)
            raise LedgerError(f"Several clips begin with {name!r}: {listed}.", hint="Give more.")
        if not named and not prefixed:
            raise LedgerError(
                f"No stored clip is called {name!r}.",
                hint="Give a prompt id, kind/prompt-id, or at least six characters of a clip id; "
                '`asset-pipeline sql "SELECT clip_id, prompt_id FROM clips"` lists them.',
            )
        return named or prefixed
