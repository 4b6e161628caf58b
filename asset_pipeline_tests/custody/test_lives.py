from __future__ import annotations

import tempfile
from pathlib import Path
from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.custody.deleter import Deleter
from asset_pipeline.custody.retention_plan import choose, is_protected
from asset_pipeline.custody.retention_rules import RetentionRules
from asset_pipeline.ledger.custody import HeldClip
from asset_pipeline.ledger.deletion_guard import ObjectRemovedError
from asset_pipeline.ledger.records import Clip, Reuse
from asset_pipeline_tests.support.clocks import FakeClock
from asset_pipeline_tests.support.custody_site import Keep, Killed, killed_at
from asset_pipeline_tests.support.ledgers import place_new_ledger

PROMPTS = "abc"
DAY = 86_400


class Life:
    """A ledger and a store that clips come to and go from, by chance."""

    def __init__(self, keep: Keep, clock: FakeClock, random: Random) -> None:
        self.keep = keep
        self.clock = clock
        self.random = random
        self.landed: list[Clip] = []
        self.live = set(PROMPTS)

    def step(self) -> None:
        """Do one thing of many; time goes by."""
        self.clock.advance(self.random.choice([1, 150, DAY]))
        self.random.choice(
            [self.land, self.land, self.reuse, self.approve, self.retain, self.edit]
        )()

    def land(self) -> None:
        # Few contents, so that clips share files and deleted ones come again.
        content = self.random.choice([b"one", b"two", b"three", b"four"])
        made = f"{content!r}{self.clock.monotonic()}"
        try:
            clip = self.keep.land(self.random.choice(PROMPTS), content, generation=made)
        except ObjectRemovedError:
            return
        self.landed.append(clip)

    def reuse(self) -> None:
        if not self.landed:
            return
        clip = self.random.choice(self.landed)
        prompt_id = self.random.choice(PROMPTS)
        try:
            used = self.keep.books.ledger.reuse(
                clip,
                Reuse(
                    kind=Kind.IMAGE, prompt_id=prompt_id, collection="kit", variant=1, run_id="r"
                ),
            )
        except ObjectRemovedError:
            return
        self.landed.append(used)

    def approve(self) -> None:
        held = self.keep.held()
        clips = [clip for clip in self.landed if clip.clip_id in held]
        if clips:
            change = self.random.choice([self.keep.custody.approve, self.keep.custody.unapprove])
            change([self.random.choice(clips)], actor="ann", reason="")

    def edit(self) -> None:
        self.live = {prompt for prompt in PROMPTS if self.random.random() < 0.7}

    def retain(self) -> None:
        """Apply random rules; be killed somewhere, or not."""
        rules = RetentionRules.model_validate(
            {
                "rules": [{"name": "r", "older_than_days": self.random.randint(0, 2)}],
                "max_total_gb": self.random.choice([None, 0]),
            }
        )
        before = self.keep.held()
        point = self.random.choice(["decided", "removed", "confirmed", "never"])
        deleter = Deleter(self.keep.store, self.keep.custody, "ann", killed_at(point))
        choice = choose(before.values(), rules, is_live=self.is_live, now=self.clock.now())
        try:
            deleter.finish()
            deleter.delete(choice.doomed, self.is_protected, lambda _: None)
        except Killed:
            pass
        after = self.keep.held()
        for clip_id, clip in before.items():
            assert clip_id in after or not self.is_protected(clip)

    def is_live(self, clip: HeldClip) -> bool:
        return clip.prompt_id in self.live

    def is_protected(self, clip: HeldClip) -> bool:
        return is_protected(clip, self.is_live)

    def check(self) -> None:
        """What counts as stored is in the store, whole."""
        for clip in self.keep.custody.held():
            path = self.keep.store.root / clip.object_key
            assert path.stat().st_size == clip.bytes, "a ghost: it counts as stored, and is not"


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(seed=st.integers(0, 2**32))
def test_no_life_of_a_store_loses_what_is_protected(seed: int, tmp_path: Path) -> None:
    """Clips land, are shared, approved, superseded and deleted, with kills at every point."""
    folder = Path(tempfile.mkdtemp(dir=tmp_path))
    place_new_ledger(folder / "ledger.db")
    clock = FakeClock()
    keep = Keep(SecretStr(f"sqlite:///{folder / 'ledger.db'}"), folder, clock)
    life = Life(keep, clock, Random(seed))
    for _ in range(16):
        life.step()
        life.check()
    clock.advance(300)
    Deleter(keep.store, keep.custody, "bob").finish()
    life.check()
    assert keep.custody.undone() == []
    keep.books.close()
