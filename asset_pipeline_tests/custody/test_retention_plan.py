from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.custody.retention_plan import TOTAL_SIZE, RetentionPlan, choose, is_protected
from asset_pipeline.custody.retention_rules import RetentionRule, RetentionRules
from asset_pipeline.ledger.custody import HeldClip
from asset_pipeline_tests.support.clocks import NOON
from asset_pipeline_tests.support.custody_site import ago

COLLECTIONS = ["kit", "tea", "old"]


def held(clip_id: str, **changes: object) -> HeldClip:
    """A current clip that landed now, but for the changes."""
    fields: dict[str, object] = {
        "clip_id": clip_id,
        "kind": Kind.IMAGE,
        "prompt_id": clip_id,
        "collection": "kit",
        "variant": 1,
        "object_key": clip_id,
        "bytes": 100,
        "created_at": NOON,
        "superseded_at": None,
        "approved_at": None,
        "used_at": None,
    }
    return HeldClip(**(fields | changes))  # pyright: ignore[reportArgumentType]


def rules(*given: dict[str, object], max_total_gb: str | None = None) -> RetentionRules:
    """Rules as the file has them."""
    named = [{"name": f"rule {number}"} | rule for number, rule in enumerate(given)]
    return RetentionRules.model_validate({"rules": named, "max_total_gb": max_total_gb})


def run(
    clips: list[HeldClip], chosen_by: RetentionRules, live: frozenset[str] = frozenset()
) -> RetentionPlan:
    return choose(clips, chosen_by, is_live=lambda clip: clip.prompt_id in live, now=NOON)


def keys(choice: RetentionPlan) -> list[str]:
    return [each.object_key for each in choice.doomed]


def any_clips(seed: int) -> list[HeldClip]:
    """Clips as they come: a seed is drawn at once, which field by field takes a minute."""
    random = Random(seed)

    def sometimes() -> datetime | None:
        return random.choice([None, ago(NOON, random.randint(0, 400))])

    made: list[HeldClip] = []
    current: set[tuple[Kind, str, int]] = set()
    for number in range(random.randint(0, 25)):
        place = random.choice(list(Kind)), random.choice("abcde"), random.randint(1, 2)
        superseded = sometimes()
        if superseded is None and place in current:
            superseded = NOON
        if superseded is None:
            current.add(place)
        made.append(
            HeldClip(
                clip_id=f"clip-{number}",
                kind=place[0],
                prompt_id=place[1],
                variant=place[2],
                collection=random.choice(COLLECTIONS),
                # Few keys, so that clips share objects.
                object_key=f"object-{random.randint(0, 12)}",
                bytes=1,
                created_at=ago(NOON, random.randint(0, 400)),
                superseded_at=superseded,
                approved_at=sometimes(),
                used_at=sometimes(),
            )
        )
    return made


CLIPS = st.integers(0, 2**32).map(any_clips)

ANY_RULES = st.builds(
    RetentionRules,
    rules=st.lists(
        st.builds(
            RetentionRule,
            name=st.uuids().map(str),
            kinds=st.none() | st.frozensets(st.sampled_from(Kind)),
            collections=st.none() | st.frozensets(st.sampled_from(COLLECTIONS)),
            older_than_days=st.integers(0, 400),
            superseded_beyond=st.none() | st.integers(0, 3),
        ),
        max_size=4,
    ).map(tuple),
    max_total_gb=st.none() | st.integers(0, 30).map(lambda n: Decimal(n) / 1_000_000_000),
)


@settings(max_examples=300)
@given(clips=CLIPS, chosen_by=ANY_RULES, live=st.frozensets(st.sampled_from("abcde")))
def test_no_protected_clip_is_ever_chosen(
    clips: list[HeldClip], chosen_by: RetentionRules, live: frozenset[str]
) -> None:
    """Whatever the rules and the clips: a live prompt's current clip and what is approved stay."""
    choice = run(clips, chosen_by, live)
    doomed = {clip.clip_id for each in choice.doomed for clip in each.clips}
    for clip in clips:
        if clip.approved_at is not None or (clip.superseded_at is None and clip.prompt_id in live):
            assert clip.clip_id not in doomed
            assert clip.object_key not in keys(choice)
    # An object goes with all clips that share it, and once.
    sharing: defaultdict[str, set[str]] = defaultdict(set)
    for clip in clips:
        sharing[clip.object_key].add(clip.clip_id)
    assert len(set(keys(choice))) == len(choice.doomed)
    for each in choice.doomed:
        assert {clip.clip_id for clip in each.clips} == sharing[each.object_key]
    if not chosen_by.rules and chosen_by.max_total_gb is None:
        assert not choice.doomed


@settings(max_examples=100)
@given(clips=CLIPS, bound=st.integers(0, 30))
def test_the_bound_holds_unless_protected_clips_pass_it(clips: list[HeldClip], bound: int) -> None:
    """What is left fits, or nothing more may go; and never more goes than has to."""
    chosen_by = RetentionRules.model_validate({"max_total_gb": Decimal(bound) / 1_000_000_000})
    choice = run(clips, chosen_by, frozenset("ab"))
    left = choice.held_bytes - choice.doomed_bytes
    assert choice.over_bytes == max(0, left - bound)
    protected = {
        clip.object_key for clip in clips if is_protected(clip, lambda c: c.prompt_id in "ab")
    }
    if left > bound:
        assert {clip.object_key for clip in clips} - set(keys(choice)) == protected
    elif choice.doomed:
        assert left + choice.doomed[-1].bytes > bound


def test_age_and_collection_narrow_a_rule() -> None:
    """Only what is in the collection and older than the days goes."""
    clips = [
        held("old", created_at=ago(NOON, 91), collection="tea"),
        held("young", created_at=ago(NOON, 89), collection="tea"),
        held("other", created_at=ago(NOON, 91)),
        held("sound", created_at=ago(NOON, 91), collection="tea", kind=Kind.AUDIO),
    ]
    by = {"collections": ["tea"], "older_than_days": 90}
    assert keys(run(clips, rules(by))) == ["old", "sound"]
    assert keys(run(clips, rules(by | {"kinds": ["image"]}))) == ["old"]


def test_the_newest_superseded_generations_are_kept() -> None:
    """Of each variant the newest superseded ones stay; the current one is not among the counted."""
    clips = [
        held("now", prompt_id="p", object_key="now"),
        *(held(f"was-{n}", prompt_id="p", superseded_at=ago(NOON, n)) for n in (1, 2, 3)),
        held("of-another", prompt_id="q", superseded_at=ago(NOON, 9)),
    ]
    found = run(clips, rules({"superseded_beyond": 1}), frozenset("pq"))
    assert keys(found) == ["was-2", "was-3"]
    assert found.doomed[0].rule == "rule 0"
    everything = run(clips, rules({"superseded_beyond": 0}), frozenset("pq"))
    assert keys(everything) == ["was-1", "was-2", "was-3", "of-another"]


def test_the_least_recently_used_go_first() -> None:
    """What was made, replaced, exported or linked to last is of use."""

    def used(days: int) -> datetime:
        return ago(NOON, days)

    old = {"created_at": used(300)}
    clips = [
        held("a", **old, superseded_at=used(200)),
        held("b", **old, superseded_at=used(250), used_at=used(10)),
        held("c", **old, superseded_at=used(100)),
        held("kept", **old),
    ]
    bound = rules(max_total_gb="0.0000002")
    choice = run(clips, bound, frozenset({"kept"}))
    assert [(each.object_key, each.rule) for each in choice.doomed] == [
        ("a", TOTAL_SIZE),
        ("c", TOTAL_SIZE),
    ]
    assert choice.over_bytes == 0


def test_a_shared_object_needs_a_rule_for_each_of_its_clips() -> None:
    """A file that another collection shows too is not that rule's to delete."""
    old = {"created_at": NOON - timedelta(days=100), "object_key": "shared"}
    clips = [held("a", **old, collection="tea"), held("b", **old, collection="kit")]
    assert keys(run(clips, rules({"collections": ["tea"], "older_than_days": 1}))) == []
    assert keys(run(clips, rules({"older_than_days": 1}))) == ["shared"]
