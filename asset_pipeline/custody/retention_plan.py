"""Which objects may be deleted by the rules: a pure function with property tests.

An object is deleted whole or not at all, and several clips may share one: it goes only when every
one of them may.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from asset_pipeline.custody.retention_rules import RetentionRule, RetentionRules
from asset_pipeline.ledger.custody import HeldClip

TOTAL_SIZE = "max_total_gb"
"""The name under which deletions for the total size are entered."""

IsLive = Callable[[HeldClip], bool]
"""Whether a clip's prompt is in the prompt files."""


@dataclass(frozen=True, slots=True)
class Doomed:
    """An object that may go: why, and the clips that share it."""

    object_key: str
    bytes: int
    rule: str
    clips: tuple[HeldClip, ...]


@dataclass(frozen=True, slots=True)
class RetentionPlan:
    """What the rules come to.

    Attributes:
        doomed: What may go, in the order in which it is deleted.
        held_bytes: All stored clips, each object once.
        over_bytes: What is beyond the bound even then, because it is protected.
    """

    doomed: tuple[Doomed, ...]
    held_bytes: int
    over_bytes: int

    @property
    def doomed_bytes(self) -> int:
        """What deleting frees."""
        return sum(each.bytes for each in self.doomed)


def is_protected(clip: HeldClip, is_live: IsLive) -> bool:
    """Tell whether a clip is kept whatever the rules say."""
    return clip.approved_at is not None or (clip.superseded_at is None and is_live(clip))


def choose(
    held: Iterable[HeldClip], rules: RetentionRules, *, is_live: IsLive, now: datetime
) -> RetentionPlan:
    """Return the objects that the rules let go.

    Args:
        held: Every clip that the ledger counts as stored.
        rules: By which it is chosen.
        is_live: Tells of which prompts the current clips are kept.
        now: Ages are measured from it.
    """
    objects: defaultdict[str, list[HeldClip]] = defaultdict(list)
    for clip in held:
        objects[clip.object_key].append(clip)
    rank = _ranks(clip for clips in objects.values() for clip in clips)
    doomed: list[Doomed] = []
    spare: list[tuple[datetime, str]] = []
    total = 0
    for key, clips in objects.items():
        total += clips[0].bytes
        if any(is_protected(clip, is_live) for clip in clips):
            continue
        rule = _rule_for(clips, rules.rules, rank, now)
        if rule is None:
            spare.append((max(_last_used(clip) for clip in clips), key))
        else:
            doomed.append(Doomed(key, clips[0].bytes, rule, tuple(clips)))
    left = total - sum(each.bytes for each in doomed)
    bound = rules.max_bytes
    if bound is not None:
        for _, key in sorted(spare):
            if left <= bound:
                break
            clips = objects[key]
            doomed.append(Doomed(key, clips[0].bytes, TOTAL_SIZE, tuple(clips)))
            left -= clips[0].bytes
    return RetentionPlan(tuple(doomed), total, max(0, left - bound) if bound is not None else 0)


def _rule_for(
    clips: Sequence[HeldClip],
    rules: Collection[RetentionRule],
    rank: Mapping[str, int],
    now: datetime,
) -> str | None:
    """Return the rule that lets an object go: each of its clips needs one; the first is named."""
    names = [
        next((rule.name for rule in rules if _meets(clip, rule, rank, now)), None) for clip in clips
    ]
    return None if None in names else names[0]


def _meets(clip: HeldClip, rule: RetentionRule, rank: Mapping[str, int], now: datetime) -> bool:
    if rule.kinds is not None and clip.kind not in rule.kinds:
        return False
    if rule.collections is not None and clip.collection not in rule.collections:
        return False
    if rule.older_than_days is not None and now - clip.created_at <= timedelta(
        days=rule.older_than_days
    ):
        return False
    return rule.superseded_beyond is None or (
        clip.superseded_at is not None and rank[clip.clip_id] > rule.superseded_beyond
    )


def _ranks(held: Iterable[HeldClip]) -> dict[str, int]:
    """Number the superseded clips of each prompt's variant, the newest 1."""
    places: defaultdict[tuple[str, str, int], list[HeldClip]] = defaultdict(list)
    for clip in held:
        if clip.superseded_at is not None:
            places[clip.kind.value, clip.prompt_id, clip.variant].append(clip)
    ranks: dict[str, int] = {}
    for clips in places.values():
        clips.sort(key=lambda clip: (clip.superseded_at, clip.created_at), reverse=True)
        ranks.update((clip.clip_id, number) for number, clip in enumerate(clips, start=1))
    return ranks


def _last_used(clip: HeldClip) -> datetime:
    """Return when a clip was last of use: made, current, exported or linked to."""
    times = (clip.created_at, clip.superseded_at, clip.used_at)
    return max(time for time in times if time is not None)
