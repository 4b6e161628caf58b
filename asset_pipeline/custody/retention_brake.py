"""A guard that keeps retention from deleting current clips by mistake.

The current clip of a live prompt is kept whatever the rules say, and which prompts are live is read
from the prompt files. A folder that is not mounted, moved or renamed looks as if its prompts had
been given up: their clips would be deleted, and paid for again when the folder is back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.custody.retention_plan import Doomed
from asset_pipeline.errors import AssetPipelineError, ExitCode
from asset_pipeline.ledger.custody import HeldClip

# So many current clips, or so large a share of them, go without a question.
_MOST = 2
_MOST_PERCENT = 10

_NAMED = 5


class TooMuchGoesError(AssetPipelineError):
    """So many current clips would go that prompt files are probably missing."""

    exit_code = ExitCode.SOME_FAILED


@dataclass(frozen=True, slots=True)
class Leaving:
    """The current clips that would go, because their prompts are not in the prompt files.

    Attributes:
        clips: How many they are.
        of: How many current clips there are in all.
        away: The collections of which the prompt files have nothing at all.
    """

    clips: int = 0
    of: int = 0
    away: tuple[str, ...] = ()

    @property
    def is_suspicious(self) -> bool:
        """Whether prompt files are probably missing."""
        return bool(self.away) or self.clips > max(_MOST, self.of * _MOST_PERCENT // 100)

    def refuse(self) -> None:
        """Stop before anything is deleted.

        Raises:
            TooMuchGoesError: It is suspicious.
        """
        if self.is_suspicious:
            raise TooMuchGoesError(f"{self} Nothing was deleted.", hint=self.advice)

    @property
    def advice(self) -> str:
        """What to do about it."""
        return (
            "Is ASSET_PIPELINE_PROMPTS_DIR the right folder, and are all its files there? If these "
            "prompts were given up: `asset-pipeline retention --delete --accept-loss`."
        )

    def __str__(self) -> str:
        named = ", ".join(self.away[:_NAMED])
        more = f" and {len(self.away) - _NAMED:,} more" if len(self.away) > _NAMED else ""
        away = f" Nothing is left of the prompts of {named}{more}." if self.away else ""
        return (
            f"{self.clips:,} of {self.of:,} current clips would be deleted, because their prompts "
            f"are not in the prompt files.{away}"
        )


def leaving(
    doomed: Iterable[Doomed], held: Iterable[HeldClip], collections: Collection[tuple[Kind, str]]
) -> Leaving:
    """Return which current clips would go.

    Args:
        doomed: What the rules let go.
        held: Every clip that counts as stored.
        collections: Those of which the prompt files have a prompt, by kind.
    """
    going = [clip for each in doomed for clip in each.clips if clip.superseded_at is None]
    away = {clip.collection for clip in going if (clip.kind, clip.collection) not in collections}
    current = sum(clip.superseded_at is None for clip in held)
    return Leaving(len(going), current, tuple(sorted(away)))
