"""The newest wanted request of a place is its current clip, whoever ends last.

A machine lets runs overlap, prompts be edited, renamed, lowered and raised in their variants, and
predictions end in any order, some of them long after they were given up. It knows nothing of the
ledger's rows: at the end it asks only what was wanted last of each place.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule
from pydantic import SecretStr

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.ledger.intents import NEVER_ACCEPTED
from asset_pipeline.ledger.ledger import Payer
from asset_pipeline.ledger.records import Clip, Intent, Reuse
from asset_pipeline.ledger.wants import Want
from asset_pipeline_tests.support.ledgers import (
    Books,
    generation_hash,
    new_intent,
    place_new_ledger,
    stored_file,
)

PROMPTS = ("fox", "fox-renamed")
TEXTS = ("a red fox", "a blue fox", "a green fox")
MOST = 3
Place = tuple[str, int]


@dataclass
class Run:
    """A run that lives: its number, and the prompts as it read them."""

    order: int
    texts: dict[str, str]
    variants: dict[str, int]


@dataclass
class Machine:
    """What people and runs did, and the ledger that they did it to."""

    books: Books
    texts: dict[str, str] = field(default_factory=lambda: dict.fromkeys(PROMPTS, TEXTS[0]))
    variants: dict[str, int] = field(default_factory=lambda: dict.fromkeys(PROMPTS, 1))
    runs: list[Run] = field(default_factory=list[Run])
    flying: list[Intent] = field(default_factory=list[Intent])
    given_up: list[Intent] = field(default_factory=list[Intent])
    wanted: dict[Place, tuple[int, str | None]] = field(
        default_factory=dict[Place, tuple[int, str | None]]
    )
    made: set[str] = field(default_factory=set[str])

    def begin(self) -> Run:
        """Begin a run: it takes its number, then reads the prompts."""
        run = Run(self.books.ledger.take_order(), dict(self.texts), dict(self.variants))
        self.runs.append(run)
        return run

    def land(self, run: Run, prompt: str, variant: int) -> None:
        """Let a run ask for one clip, as the paid call does."""
        ledger, worker = self.books.ledger, self.books.payer.worker_id
        generation = generation_hash(f"{run.texts[prompt]}-{variant}")
        want = Want(Kind.IMAGE, prompt, variant, run.variants[prompt], generation, run.order)
        self._note(want)
        found = ledger.find(generation)
        if found is None:
            new = new_intent(
                "x",
                generation_hash=generation,
                prompt_id=prompt,
                variant=variant,
                variants=run.variants[prompt],
                wanted_order=run.order,
            )
            found = ledger.reserve(new, Payer("run", worker, wanted_order=run.order))
            assert isinstance(found, Intent)
            sent = ledger.start_submitting(found)
            self.flying.append(sent)
        elif isinstance(found, Clip):
            ledger.reuse(
                found,
                Reuse(
                    kind=Kind.IMAGE,
                    prompt_id=prompt,
                    collection="kit",
                    variant=variant,
                    run_id="run",
                    variants=run.variants[prompt],
                    wanted_order=run.order,
                ),
            )
        else:
            ledger.want(want)

    def deliver(self, intent: Intent) -> Clip:
        """Let a prediction end: its clip is stored."""
        ledger = self.books.ledger
        if intent.prediction_id is None:
            intent = ledger.accept(intent, f"p-{intent.intent_id}")
        charged = self.books.charge(intent, 3000)
        clip = ledger.deliver(charged, stored_file(intent.intent_id), [])
        self.made.add(intent.generation_hash)
        return clip

    def give_up(self, intent: Intent) -> None:
        """Release an intent whose reply was lost and which no listing shows."""
        lost = self.books.ledger.lose_reply(intent, "ReadTimeout")
        self.books.ledger.refuse(lost, "timeout", NEVER_ACCEPTED)
        self.given_up.append(self.books.ledger.intent(intent.intent_id))

    def turn_up(self, intent: Intent) -> None:
        """Take an intent back that was given up, and let it end."""
        ledger = self.books.ledger
        revived = ledger.revive(intent, f"p-{intent.intent_id}")
        self.deliver(ledger.adopt(revived, self.books.payer.worker_id))

    def current(self) -> dict[Place, str]:
        """Return the generation of each place's current clip."""
        return {
            (clip.prompt_id, clip.variant): clip.generation_hash
            for clip in self.books.ledger.current_clips()
        }

    def check_newest(self) -> None:
        """What was wanted last of a place is shown there once it is made; nothing else lands."""
        current = self.current()
        for place, (_, generation) in self.wanted.items():
            if generation is None:
                assert place not in current
            elif generation in self.made and place in current:
                assert current[place] == generation

    def _note(self, want: Want) -> None:
        place = (want.prompt_id, want.variant)
        if self.wanted.get(place, (0, None))[0] >= want.order:
            return
        self.wanted[place] = (want.order, want.wanted_hash)
        for variant in range(want.variants + 1, MOST + 1):
            above = (want.prompt_id, variant)
            if above in self.wanted and self.wanted[above][0] < want.order:
                self.wanted[above] = (want.order, None)


class Precedence(RuleBasedStateMachine):
    """Any life of two prompts that ask for the same, under a new name."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        file = Path(self.folder.name) / "ledger.db"
        place_new_ledger(file)
        self.machine = Machine(Books(SecretStr(f"sqlite:///{file}")))
        self.machine.begin()

    @rule(prompt=st.sampled_from(PROMPTS), text=st.sampled_from(TEXTS))
    def edit(self, prompt: str, text: str) -> None:
        self.machine.texts[prompt] = text

    @rule(prompt=st.sampled_from(PROMPTS), variants=st.integers(1, MOST))
    def set_variants(self, prompt: str, variants: int) -> None:
        self.machine.variants[prompt] = variants

    @rule()
    def begin(self) -> None:
        self.machine.begin()

    @rule(data=st.data())
    def ask(self, data: st.DataObject) -> None:
        run = data.draw(st.sampled_from(self.machine.runs[-3:]))
        prompt = data.draw(st.sampled_from(PROMPTS))
        variant = data.draw(st.integers(1, run.variants[prompt]))
        self.machine.land(run, prompt, variant)

    @precondition(lambda self: self.machine.flying)
    @rule(choice=st.integers(0, 20))
    def end(self, choice: int) -> None:
        flying = self.machine.flying
        intent = flying.pop(choice % len(flying))
        clip = self.machine.deliver(intent)
        newest = self.machine.wanted[intent.prompt_id, intent.variant][1]
        shown = self.machine.current().get((intent.prompt_id, intent.variant))
        assert (clip.superseded_at is None) == (newest == intent.generation_hash)
        assert shown != intent.generation_hash or newest == shown

    @precondition(lambda self: self.machine.flying)
    @rule(choice=st.integers(0, 20))
    def lose(self, choice: int) -> None:
        flying = self.machine.flying
        self.machine.give_up(flying.pop(choice % len(flying)))

    @precondition(lambda self: self.machine.given_up)
    @rule(choice=st.integers(0, 20))
    def turn_up(self, choice: int) -> None:
        given_up = self.machine.given_up
        self.machine.turn_up(given_up.pop(choice % len(given_up)))
        self.machine.check_newest()

    def teardown(self) -> None:
        machine = self.machine
        while machine.flying:
            machine.deliver(machine.flying.pop())
        last = machine.begin()
        for prompt in PROMPTS:
            for variant in range(1, last.variants[prompt] + 1):
                machine.land(last, prompt, variant)
        while machine.flying:
            machine.deliver(machine.flying.pop())
        for prompt in PROMPTS:
            for variant in range(1, last.variants[prompt] + 1):
                machine.land(last, prompt, variant)
        wanted = {
            (prompt, variant): generation_hash(f"{last.texts[prompt]}-{variant}")
            for prompt in PROMPTS
            for variant in range(1, last.variants[prompt] + 1)
        }
        assert machine.current() == wanted
        machine.books.close()
        self.folder.cleanup()


TestPrecedence = pytest.mark.searches(Precedence.TestCase)
TestPrecedence.settings = settings(
    max_examples=40,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """Two prompts that ask for a red fox."""
    return Machine(Books(SecretStr(f"sqlite:///{tmp_path / 'ledger.db'}")))


def test_a_late_finisher_lands_superseded(machine: Machine) -> None:
    """A run was killed after its create; the prompt was edited, made anew, and then reconciled."""
    red = machine.begin()
    machine.land(red, "fox", 1)
    machine.texts["fox"] = TEXTS[1]
    blue = machine.begin()
    machine.land(blue, "fox", 1)
    killed, edited = machine.flying
    machine.deliver(edited)
    late = machine.deliver(killed)
    assert late.superseded_at is not None
    assert machine.current() == {("fox", 1): edited.generation_hash}


def test_an_edit_that_was_taken_back_is_wanted_again(machine: Machine) -> None:
    """Red is stored, blue is under way, red is wanted again: blue lands superseded."""
    machine.land(machine.begin(), "fox", 1)
    red = machine.flying.pop()
    machine.deliver(red)
    machine.texts["fox"] = TEXTS[1]
    machine.land(machine.begin(), "fox", 1)
    machine.texts["fox"] = TEXTS[0]
    machine.land(machine.begin(), "fox", 1)
    machine.deliver(machine.flying.pop())
    assert machine.current() == {("fox", 1): red.generation_hash}


def test_a_run_that_began_earlier_takes_nothing_back(machine: Machine) -> None:
    """Two living runs: the older one asks for its older text again, and lands it superseded."""
    older = machine.begin()
    machine.texts["fox"] = TEXTS[1]
    newer = machine.begin()
    machine.land(newer, "fox", 1)
    machine.land(older, "fox", 1)
    blue, red = machine.flying
    machine.deliver(blue)
    assert machine.deliver(red).superseded_at is not None
    machine.land(older, "fox", 1)
    assert machine.current() == {("fox", 1): blue.generation_hash}


def test_a_variant_that_is_wanted_no_more_lands_superseded(machine: Machine) -> None:
    """Of two variants one is left: the other's clip goes, and what is under way lands so."""
    machine.variants["fox"] = 2
    both = machine.begin()
    machine.land(both, "fox", 1)
    machine.land(both, "fox", 2)
    first, second = machine.flying
    machine.deliver(first)
    machine.variants["fox"] = 1
    machine.land(machine.begin(), "fox", 1)
    assert machine.deliver(second).superseded_at is not None
    machine.variants["fox"] = 2
    machine.land(machine.begin(), "fox", 2)
    assert machine.current() == {
        ("fox", 1): first.generation_hash,
        ("fox", 2): second.generation_hash,
    }


def test_the_clips_of_before_orders_give_way_to_fewer_variants(machine: Machine) -> None:
    """A ledger of an earlier release knows no wants: its second variant is dropped all the same."""
    ledger = machine.books.ledger
    for variant in (1, 2):
        machine.books.delivered(f"old-{variant}", prompt_id="fox", variant=variant)
    machine.land(machine.begin(), "fox", 1)
    assert [clip.variant for clip in ledger.current_clips()] == [1]
