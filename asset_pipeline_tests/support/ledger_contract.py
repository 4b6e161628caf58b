"""What the ledger must do on every database; a subclass gives the database.

Every test ends with :func:`violations`: whatever it did, the books balance.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from datetime import datetime, timedelta, timezone

import pytest
from sqlalchemy import insert, select, text, update
from sqlalchemy.exc import IntegrityError

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.errors import ExitCode
from asset_pipeline.ledger.intents import IntentMovedError
from asset_pipeline.ledger.ledger import Payer
from asset_pipeline.ledger.postings import BudgetExceededError
from asset_pipeline.ledger.records import AttemptInputs, Clip, Intent, NotedFile, Parent, Reuse
from asset_pipeline.ledger.schema import (
    BillingState,
    EntryType,
    IntentState,
    budgets,
    clips,
    entries,
    intents,
    lineage,
    workers,
)
from asset_pipeline.money import MicroUsd
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.clocks import FakeClock
from asset_pipeline_tests.support.ledger_invariants import violations
from asset_pipeline_tests.support.ledgers import (
    PRICE,
    Books,
    day,
    dollars,
    generation_hash,
    ids,
    new_intent,
    stored_file,
)

RESERVE, CHARGE = EntryType.RESERVE, EntryType.CHARGE
RELEASE, ADJUST = EntryType.RELEASE, EntryType.ADJUST
State = IntentState
Step = Callable[[Books, Intent], object]

STEPS: dict[str, tuple[Step, set[IntentState]]] = {
    "adopt": (
        lambda books, intent: books.ledger.adopt(intent, "another-worker"),
        {
            State.RESERVED,
            State.SUBMITTING,
            State.UNKNOWN,
            State.SUBMITTED,
            State.COMPLETED,
            State.QUESTION,
        },
    ),
    "start_submitting": (
        lambda books, intent: books.ledger.start_submitting(intent),
        {State.RESERVED},
    ),
    "lose_reply": (
        lambda books, intent: books.ledger.lose_reply(intent, "lost"),
        {State.SUBMITTING},
    ),
    "accept": (
        lambda books, intent: books.ledger.accept(intent, f"new-{intent.intent_id}"),
        {State.SUBMITTING, State.UNKNOWN, State.QUESTION},
    ),
    "note_absence": (lambda books, intent: books.ledger.note_absence(intent), {State.UNKNOWN}),
    "ask": (
        lambda books, intent: books.ledger.ask(intent, "which?"),
        {State.SUBMITTING, State.UNKNOWN, State.SUBMITTED},
    ),
    "note_file": (
        lambda books, intent: books.ledger.note_file(
            intent, NotedFile(stored_file(intent.intent_id))
        ),
        {State.COMPLETED},
    ),
    "refuse": (
        lambda books, intent: books.ledger.refuse(intent, "network", "no"),
        {State.RESERVED, State.SUBMITTING, State.UNKNOWN, State.QUESTION},
    ),
    "charge": (lambda books, intent: books.charge(intent, PRICE), {State.SUBMITTED}),
    "fail": (
        lambda books, intent: books.ledger.fail(intent, "bad_output", "blank"),
        {State.COMPLETED},
    ),
    "deliver": (
        lambda books, intent: books.ledger.deliver(intent, stored_file(intent.intent_id), []),
        {State.COMPLETED},
    ),
}


class LedgerContract:
    """The suite; a subclass overrides ``new_ledger`` with a fixture that makes databases."""

    @pytest.fixture
    def books(self, new_ledger: NewLedger, clock: FakeClock) -> Generator[Books]:
        """A ledger with a worker; its books must balance at the end of every test."""
        books = Books(new_ledger(), clock)
        yield books
        assert violations(books.ledger.engine) == []
        books.close()

    # The states of an intent

    @pytest.mark.parametrize("step", STEPS)
    def test_each_step_starts_from_its_states_only(self, books: Books, step: str) -> None:
        """A step from a state that it is not for raises IntentMovedError and changes nothing."""
        take, allowed = STEPS[step]
        for state, intent in _in_every_state(books).items():
            if state in allowed:
                take(books, intent)
                continue
            before = _dump(books)
            with pytest.raises(IntentMovedError):
                take(books, intent)
            assert _dump(books) == before, f"{step} from {state} left a trace"

    @pytest.mark.parametrize("step", STEPS)
    def test_only_the_one_who_knows_its_state_moves_an_intent(
        self, books: Books, step: str
    ) -> None:
        """A step with an outdated record, or after another worker adopted it, is refused."""
        take, allowed = STEPS[step]
        for state, intent in _in_every_state(books).items():
            if state not in allowed:
                continue
            books.ledger.adopt(intent, "somebody-else")
            before = _dump(books)
            with pytest.raises(IntentMovedError):
                take(books, intent)
            assert _dump(books) == before

    @pytest.mark.parametrize("step", STEPS)
    def test_each_step_returns_what_it_wrote(self, books: Books, step: str) -> None:
        """A record that differed from its row would send the next step astray."""
        take, allowed = STEPS[step]
        for state, intent in _in_every_state(books).items():
            if state in allowed:
                moved = take(books, intent)
                if isinstance(moved, Intent):
                    assert moved == books.ledger.intent(intent.intent_id)

    def test_an_adopted_post_is_unknown(self, books: Books) -> None:
        """What a dead worker had on the wire may have been accepted."""
        intent = books.ledger.adopt(books.ledger.start_submitting(books.reserve()), "w2")
        assert intent.state is State.UNKNOWN
        assert intent.worker_id == "w2"
        assert intent.lost_at is not None
        assert intent.reserved_microusd == PRICE

    def test_adoption_keeps_what_is_known(self, books: Books, clock: FakeClock) -> None:
        """Absences counted, and the time of the loss, outlive the worker that noted them."""
        lost = books.ledger.lose_reply(books.ledger.start_submitting(books.reserve()), "timeout")
        noted = books.ledger.note_absence(lost)
        clock.advance(100)
        adopted = books.ledger.adopt(noted, "w2")
        assert (adopted.absent_listings, adopted.lost_at) == (1, lost.lost_at)
        assert adopted.error == "timeout"

    def test_the_road_to_a_clip(self, books: Books) -> None:
        """Reserve, submit, accept, charge, deliver: each state shows in the record."""
        intent = books.reserve()
        assert (intent.state, intent.reserved_microusd) == (State.RESERVED, PRICE)
        assert (intent.attempt, intent.seed, intent.run_id) == (1, 8, "run-1")
        intent = books.ledger.start_submitting(intent)
        assert (intent.state, intent.submitted_at) == (State.SUBMITTING, intent.updated_at)
        intent = books.ledger.accept(intent, "p1")
        assert (intent.state, intent.prediction_id) == (State.SUBMITTED, "p1")
        intent = books.charge(intent, 2000)
        assert (intent.state, intent.charged_microusd) == (State.COMPLETED, 2000)
        assert (intent.reserved_microusd, intent.predict_seconds) == (1000, 1.5)
        assert intent.billed is BillingState.BILLED
        clip = books.ledger.deliver(intent, stored_file(), [])
        assert (clip.cost_microusd, clip.prediction_id) == (2000, "p1")
        (intent,) = books.ledger.intents_in([State.DELIVERED])
        assert (intent.reserved_microusd, intent.delivered_at) == (0, clip.created_at)
        assert books.balance() == (100_000_000, 2000, 0)
        assert books.movements() == [
            (ADJUST, 100_000_000),
            (RESERVE, 3000),
            (CHARGE, 2000),
            (RELEASE, 2000),
            (RELEASE, 1000),
        ]

    def test_long_errors_are_cut_and_odd_text_survives(self, books: Books) -> None:
        """A page of HTML as an error fits; accents, quotes and emoji come back as they were."""
        prompt = 'Une tasse d\'été — "naïve" 茶 🍵 % ; -- \\ \n'
        intent = books.reserve(
            prompt_text=prompt, inputs_for_attempt=lambda _: AttemptInputs(None, {"prompt": prompt})
        )
        assert intent.prompt_text == prompt
        assert intent.inputs == {"prompt": prompt}
        assert intent.seed is None
        books.ledger.refuse(intent, "network", "<p>é" * 1000)
        (refused,) = books.ledger.intents_in([State.REFUSED])
        assert len(refused.error or "") == 500

    # Reserving

    def test_an_open_intent_is_found_again(self, books: Books) -> None:
        """A second reservation of the same generation is the first one: nothing more is taken."""
        first = books.reserve()
        assert books.ledger.reserve(new_intent(), Payer("run-2", "w2")) == first
        assert books.ledger.find(first.generation_hash) == first
        assert books.balance()[2] == PRICE

    def test_a_stored_clip_is_found_instead(self, books: Books) -> None:
        """A generation that has its clip is not paid again."""
        clip = books.delivered()
        assert books.ledger.reserve(new_intent(), books.payer) == clip
        assert books.ledger.find(clip.generation_hash) == clip

    def test_a_new_generation_is_unknown(self, books: Books) -> None:
        """Nothing is found where nothing is."""
        assert books.ledger.find(generation_hash("a")) is None

    @pytest.mark.parametrize("end", ["refuse", "fail"])
    def test_attempts_are_numbered_and_differ(self, books: Books, end: str) -> None:
        """After an attempt that ended without a clip comes the next one, with another seed."""
        seeds: list[int | None] = []
        for attempt in (1, 2, 3):
            intent = books.reserve() if end == "refuse" else books.completed(charge=0)
            assert intent.attempt == attempt
            seeds.append(intent.seed)
            STEPS[end][0](books, intent)
            assert books.ledger.find(intent.generation_hash) is None
        assert seeds == [8, 9, 10]
        assert books.balance()[1:] == (0, 0)

    def test_a_reservation_is_taken_from_every_budget(self, books: Books) -> None:
        """Total, day, month, run and collection each set the whole price aside."""
        books.caps |= {"daily_usd": "1", "monthly_usd": "2", "run_usd": "3"}
        books.caps["collections_usd"] = {"kit": "4", "other": "5"}
        books.reserve()
        held = {row.budget: (row.period, row.cap, row.reserved) for row in books.ledger.balances()}
        assert held == {
            "collection:kit": ("all", 4_000_000, PRICE),
            "daily:2026-11-21": ("day", 1_000_000, PRICE),
            "monthly:2026-11": ("month", 2_000_000, PRICE),
            "run:run-1": ("run", 3_000_000, PRICE),
            "total": ("all", 100_000_000, PRICE),
        }

    @pytest.mark.parametrize(
        ("tight", "name"),
        [
            ({"total_usd": dollars(PRICE - 1)}, "total"),
            ({"daily_usd": dollars(PRICE - 1)}, "daily:2026-11-21"),
            ({"monthly_usd": dollars(PRICE - 1)}, "monthly:2026-11"),
            ({"run_usd": dollars(PRICE - 1)}, "run:run-1"),
            ({"collections_usd": {"kit": dollars(PRICE - 1)}}, "collection:kit"),
        ],
    )
    def test_a_refused_reservation_takes_nothing_anywhere(
        self, books: Books, tight: dict[str, object], name: str
    ) -> None:
        """One budget without headroom: no intent, no money in any other, and it says which."""
        books.caps |= {"daily_usd": "1", "monthly_usd": "1", "run_usd": "1"} | tight
        with pytest.raises(BudgetExceededError) as caught:
            books.reserve()
        assert (caught.value.budget, caught.value.needed) == (name, PRICE)
        assert caught.value.headroom == PRICE - 1
        assert caught.value.exit_code is ExitCode.BUDGET
        assert "$0.002999" in str(caught.value)
        assert all(row.reserved == 0 for row in books.ledger.balances())
        assert books.ledger.intents_in(list(State)) == []
        assert all(kind is ADJUST for kind, _ in books.movements(name))

    def test_the_last_affordable_one_is_bought(self, books: Books) -> None:
        """A cap that fits three is used to the last micro-dollar and not one further."""
        books.caps["total_usd"] = dollars(3 * PRICE)
        for name in "abc":
            books.reserve(name)
        with pytest.raises(BudgetExceededError):
            books.reserve("d")
        assert books.balance() == (3 * PRICE, 0, 3 * PRICE)

    def test_a_runs_own_cap_is_the_tighter_of_the_two(self, books: Books) -> None:
        """`max_usd` of a run narrows the configured cap and never widens it."""
        books.caps["run_usd"] = "1"
        for run_cap, expected in ((500, 500), (2_000_000, 1_000_000)):
            payer = Payer(f"run-{run_cap}", books.payer.worker_id, MicroUsd(run_cap))
            generation = f"g{run_cap}"
            books.ledger.reserve(new_intent(generation, price=500), payer)
            assert books.balance(payer.run_id.replace("run-", "run:run-"))[0] == expected

    def test_days_and_months_are_utc_and_pay_for_themselves(
        self, new_ledger: NewLedger, clock: FakeClock
    ) -> None:
        """A new day has a cap of its own; what yesterday reserved is charged to yesterday."""
        books = Books(new_ledger(), clock, daily_usd=dollars(PRICE), monthly_usd="1")
        clock.advance((day(30, 23) - clock.now()).total_seconds())
        intent = books.submitted("a")
        with pytest.raises(BudgetExceededError):
            books.reserve("b")
        clock.advance(3600)
        books.reserve("b")
        books.charge(intent, PRICE)
        assert books.balance("daily:2026-11-30") == (PRICE, PRICE, 0)
        assert books.balance("daily:2026-12-01") == (PRICE, 0, PRICE)
        assert books.balance("monthly:2026-11") == (1_000_000, PRICE, 0)
        assert books.balance("monthly:2026-12") == (1_000_000, 0, PRICE)
        assert violations(books.ledger.engine) == []
        books.close()

    # Caps

    def test_a_raised_cap_holds_from_the_next_reservation(self, books: Books) -> None:
        """An edit is recorded as an entry and lets the next one through."""
        books.caps["total_usd"] = dollars(PRICE)
        books.reserve("a")
        with pytest.raises(BudgetExceededError):
            books.reserve("b")
        books.caps["total_usd"] = dollars(2 * PRICE)
        books.reserve("b")
        assert books.movements() == [
            (ADJUST, PRICE),
            (RESERVE, PRICE),
            (ADJUST, PRICE),
            (RESERVE, PRICE),
        ]

    def test_a_lowered_cap_is_recorded_even_when_it_refuses(self, books: Books) -> None:
        """A cap below what is used leaves the budget overdrawn until the use falls."""
        first, second = books.submitted("a"), books.submitted("b")
        books.caps["total_usd"] = dollars(PRICE)
        for _ in range(2):
            with pytest.raises(BudgetExceededError) as caught:
                books.reserve("c")
            assert caught.value.headroom == 0
        assert books.movements()[-1] == (ADJUST, PRICE - 100_000_000)
        assert _overdrawn(books) == PRICE
        books.charge(first, PRICE)
        assert _overdrawn(books) == PRICE
        books.ledger.fail(books.charge(second, 0), "server_error", "interrupted")
        assert _overdrawn(books) == 0
        with pytest.raises(BudgetExceededError):
            books.reserve("c")
        books.caps["total_usd"] = dollars(2 * PRICE)
        books.reserve("c")

    def test_a_raised_cap_ends_an_overdraft(self, books: Books) -> None:
        """Raising the cap above what is used leaves nothing overdrawn."""
        books.reserve("a")
        books.caps["total_usd"] = "0"
        with pytest.raises(BudgetExceededError):
            books.reserve("b")
        assert _overdrawn(books) == PRICE
        books.caps["total_usd"] = "1"
        books.reserve("b")
        assert _overdrawn(books) == 0

    def test_a_bill_above_the_price_is_recorded_in_full(self, books: Books) -> None:
        """What the provider billed beyond the reservation is owed: it shows as overdrawn."""
        books.caps["total_usd"] = dollars(2 * PRICE)
        intent = books.charge(books.submitted("a"), 5 * PRICE)
        assert (intent.charged_microusd, intent.reserved_microusd) == (5 * PRICE, 0)
        assert books.balance() == (2 * PRICE, 5 * PRICE, 0)
        assert _overdrawn(books) == 3 * PRICE
        with pytest.raises(BudgetExceededError):
            books.reserve("b", price=1)
        books.ledger.deliver(intent, stored_file(), [])

    def test_a_free_one_moves_nothing(self, books: Books) -> None:
        """A price of nothing is reserved and charged without an entry."""
        books.ledger.deliver(books.completed(charge=0, price=0), stored_file(), [])
        assert books.movements() == [(ADJUST, 100_000_000)]

    # What the database itself refuses

    def test_the_database_holds_the_cap(self, books: Books) -> None:
        """No statement whatever can put a budget over its cap, or a balance below nothing."""
        books.reserve()
        for change in (
            {"reserved_microusd": 100_000_001},
            {"charged_microusd": 100_000_001},
            {"cap_microusd": PRICE - 1},
            {"reserved_microusd": -1},
            {"charged_microusd": -1},
            {"cap_microusd": -1},
            {"overdrawn_microusd": -1},
        ):
            with pytest.raises(IntegrityError), books.ledger.engine.begin() as connection:
                connection.execute(update(budgets).values(change))

    def test_the_database_holds_the_rules_of_intents(self, books: Books) -> None:
        """Unknown states, negative money, two open intents, shared predictions: all refused."""
        first, second = books.submitted("a"), books.submitted("b")
        row = {name: getattr(first, name) for name in Intent.__slots__} | {"kind": "image"}
        copy = row | {"intent_id": "copy", "attempt": 2, "prediction_id": None}
        for broken in (
            copy,  # a second open intent of the generation
            copy | {"attempt": 1, "state": "refused"},  # the same attempt twice
            copy | {"generation_hash": "c", "prediction_id": second.prediction_id},
            copy | {"generation_hash": "c", "state": "thinking"},
            copy | {"generation_hash": "c", "reserved_microusd": -1},
            copy | {"generation_hash": "c", "charged_microusd": -1},
        ):
            with pytest.raises(IntegrityError), books.ledger.engine.begin() as connection:
                connection.execute(insert(intents), broken)

    def test_the_database_holds_the_rules_of_entries_and_clips(self, books: Books) -> None:
        """An entry names a known movement, budget and intent; a variant has one current clip."""
        clip = books.delivered()
        entry = {"budget": "total", "type": "charge", "amount_microusd": 1, "created_at": day(1)}
        for broken in (
            {"type": "gift"},
            {"budget": "nobody's"},
            {"intent_id": "nobody's"},
        ):
            with pytest.raises(IntegrityError), books.ledger.engine.begin() as connection:
                connection.execute(insert(entries), entry | broken)
        twin = {name: getattr(clip, name) for name in Clip.__slots__} | {"kind": "image"}
        for broken in ({"clip_id": "twin"}, {"clip_id": "x", "variant": 2, "intent_id": "nobody"}):
            with pytest.raises(IntegrityError), books.ledger.engine.begin() as connection:
                connection.execute(insert(clips), twin | broken)

    def test_a_prediction_has_one_owner(self, books: Books) -> None:
        """A prediction that belongs to an intent can't be accepted by another."""
        first = books.submitted("a")
        second = books.ledger.start_submitting(books.reserve("b"))
        with pytest.raises(IntegrityError):
            books.ledger.accept(second, first.prediction_id or "")
        assert books.ledger.intents_in([State.SUBMITTING]) == [second]

    def test_naive_times_are_refused_and_others_come_back_in_utc(
        self, new_ledger: NewLedger
    ) -> None:
        """A time without a zone would silently mean the machine's own."""
        zoned = FakeClock(day(21, 12).astimezone(timezone(timedelta(hours=-5))))
        books = Books(new_ledger(), zoned)
        intent = books.reserve()
        assert intent.created_at == day(21, 12)
        assert intent.created_at.utcoffset() == timedelta(0)
        zoned._start = datetime(2026, 11, 21)  # noqa: DTZ001 -- the mistake itself
        with pytest.raises(ValueError, match="timezone-aware"):
            books.reserve("b")
        books.close()

    # Clips

    def test_forced_payment_makes_the_next_attempt(self, books: Books, clock: FakeClock) -> None:
        """Clips delivered before the time don't count; the new one takes the old one's place."""
        old = books.delivered()
        clock.advance(60)
        since = clock.now()
        assert books.ledger.find(old.generation_hash, since) is None
        again = books.ledger.reserve(new_intent(), books.payer, pay_again_before=since)
        assert isinstance(again, Intent)
        assert again.attempt == 2
        intent = books.ledger.accept(books.ledger.start_submitting(again), "p2")
        new = books.ledger.deliver(books.charge(intent, PRICE), stored_file("new"), [])
        assert books.ledger.find(old.generation_hash, since) == new
        assert books.ledger.find(old.generation_hash) == new
        assert books.ledger.current_clips() == [new]
        assert books.balance()[1] == 2 * PRICE

    def test_a_reused_clip_is_as_old_as_its_file(self, books: Books, clock: FakeClock) -> None:
        """Using an old clip for another prompt does not make it count as newly paid for."""
        old = books.delivered()
        clock.advance(60)
        since = clock.now()
        clock.advance(60)
        _reuse(books, old, "other")
        assert books.ledger.find(old.generation_hash, since) is None
        again = books.ledger.reserve(new_intent(), books.payer, pay_again_before=since)
        assert isinstance(again, Intent)

    def test_an_open_intent_is_found_by_a_forced_run_too(self, books: Books) -> None:
        """Force never opens a second intent beside an open one."""
        intent = books.submitted()
        forced = books.ledger.reserve(new_intent(), books.payer, pay_again_before=day(30))
        assert forced == intent

    def test_reuse_costs_nothing_and_is_written_once(self, books: Books) -> None:
        """A moved prompt gets the clip that was paid for, and its descent is on record."""
        clip = books.delivered()
        used = _reuse(books, clip, "moved")
        assert (used.prompt_id, used.collection, used.cost_microusd) == ("moved", "new-kit", 0)
        assert (used.sha256, used.intent_id) == (clip.sha256, clip.intent_id)
        assert _reuse(books, clip, "moved") == used
        assert books.ledger.current_clips_of(Kind.IMAGE, "moved") == [used]
        assert books.ledger.current_clips_of(Kind.IMAGE, clip.prompt_id) == [clip]
        assert books.balance()[1] == PRICE
        with books.ledger.engine.connect() as connection:
            rows = connection.execute(select(lineage)).mappings().all()
        assert [(row["parent_type"], row["parent_id"], row["relation"]) for row in rows] == [
            ("clip", clip.clip_id, "reused")
        ]

    def test_a_new_clip_supersedes_the_old_one(self, books: Books, clock: FakeClock) -> None:
        """An edited prompt has one current clip; the old one stays, marked with the time."""
        old = books.delivered("a", prompt_id="cover")
        clock.advance(5)
        new = books.delivered("b", prompt_id="cover")
        assert books.ledger.current_clips_of(Kind.IMAGE, "cover") == [new]
        with books.ledger.engine.connect() as connection:
            row = connection.execute(select(clips).where(clips.c.clip_id == old.clip_id)).mappings()
            assert row.one()["superseded_at"] == clock.now()
        # Going back to the old text costs nothing: the clip is still there.
        assert books.ledger.find(old.generation_hash) is not None

    def test_current_clips_come_in_order(self, books: Books) -> None:
        """Variants of a prompt come by number, all clips by kind, collection and prompt."""
        for name, variant in (("b", 2), ("a", 1), ("c", 3)):
            books.delivered(name, prompt_id="cover", variant=variant)
        books.delivered("d", prompt_id="alone", collection="another")
        found = books.ledger.current_clips_of(Kind.IMAGE, "cover")
        assert [clip.variant for clip in found] == [1, 2, 3]
        everything = [(clip.prompt_id, clip.variant) for clip in books.ledger.current_clips()]
        assert everything == [("alone", 1), ("cover", 1), ("cover", 2), ("cover", 3)]
        texts = books.ledger.current_clips_with_texts()
        assert {text for _, text in texts} == {"a lighthouse"}

    def test_descent_is_written_with_the_clip_and_never_twice(self, books: Books) -> None:
        """What a clip was made from is recorded in the delivery's own transaction."""
        parents = [
            Parent("prompt", "image/cover", "ab" * 32, "text"),
            Parent("model", "black-forest-labs/flux-schnell", None, "generated_by"),
        ]
        clip = books.ledger.deliver(books.completed(), stored_file(), iter(parents))
        books.ledger.add_lineage(clip.object_uri, clip.sha256, parents, run_id="run-2")
        books.ledger.add_lineage("file:///small.webp", "cd" * 32, [], run_id="run-2")
        with books.ledger.engine.connect() as connection:
            rows = connection.execute(select(lineage).order_by(lineage.c.lineage_id)).mappings()
            found = [(r["parent_type"], r["parent_sha256"], r["run_id"]) for r in rows]
        assert found == [("prompt", "ab" * 32, "run-1"), ("model", None, "run-1")]

    # Looking

    def test_intents_come_oldest_first(self, books: Books, clock: FakeClock) -> None:
        """Whoever tidies up begins with what has waited longest."""
        found = []
        for name in "cab":
            found.append(books.ledger.start_submitting(books.reserve(name)))
            clock.advance(1)
        assert ids(books.ledger.intents_in([State.SUBMITTING, State.RESERVED])) == ids(found)

    def test_the_view_for_reconciliation(self, books: Books) -> None:
        """Who waits or lost an answer, and which of thousands of predictions are owned."""
        sending = books.ledger.start_submitting(books.reserve("a"))
        lost = books.ledger.lose_reply(books.ledger.start_submitting(books.reserve("b")), "x")
        known = books.submitted("c").prediction_id or ""
        listed = [f"stranger-{number}" for number in range(2500)]
        waiting, owned = books.ledger.reconciliation_view([*listed, known])
        assert {intent.intent_id for intent in waiting} == {sending.intent_id, lost.intent_id}
        assert owned == {known}

    # Workers

    def test_a_worker_that_ends_gives_back_what_it_never_sent(self, books: Books) -> None:
        """Reserved and not sent: the money is back at once. Sent: it stays for an adopter."""
        unsent, sent = books.reserve("a"), books.ledger.start_submitting(books.reserve("b"))
        others = books.ledger.start_worker("run-2")
        theirs = books.ledger.reserve(new_intent("c"), Payer("run-2", others))
        books.ledger.end_worker(books.payer.worker_id)
        (refused,) = books.ledger.intents_in([State.REFUSED])
        assert (refused.intent_id, refused.error_class) == (unsent.intent_id, "cancelled")
        assert books.ledger.intents_in([State.SUBMITTING]) == [sent]
        assert books.ledger.intents_in([State.RESERVED]) == [theirs]
        assert books.balance()[2] == 2 * PRICE
        assert not books.ledger.is_alive(books.payer.worker_id)
        assert books.ledger.is_alive(others)

    def test_another_machines_worker_lives_by_its_heartbeat(
        self, books: Books, clock: FakeClock
    ) -> None:
        """Silent for less than half a minute is alive; after that its work may be taken over."""
        worker = books.payer.worker_id
        with books.ledger.engine.begin() as connection:
            connection.execute(update(workers).values(host="another-machine", pid=1))
        clock.advance(29)
        assert books.ledger.is_alive(worker)
        clock.advance(2)
        assert not books.ledger.is_alive(worker)
        books.ledger.beat(worker)
        assert books.ledger.is_alive(worker)
        books.ledger.end_worker(worker)
        assert not books.ledger.is_alive(worker)
        assert not books.ledger.is_alive("nobody")

    def test_nothing_half_written_stays(self, books: Books) -> None:
        """A step that breaks in the middle is as if it had never begun."""
        intent = books.completed()
        before = _dump(books)
        with pytest.raises(IntegrityError):
            books.ledger.deliver(intent, stored_file(), [Parent(None, None, None, None)])  # type: ignore[arg-type]
        assert _dump(books) == before


def _in_every_state(books: Books) -> dict[IntentState, Intent]:
    """One intent in each state; every state is there."""
    ledger = books.ledger

    def sending(name: str) -> Intent:
        return ledger.start_submitting(books.reserve(name))

    def lost(name: str) -> Intent:
        return ledger.lose_reply(sending(name), "timeout")

    def ended(state: IntentState) -> Intent:
        (intent,) = ledger.intents_in([state])
        return intent

    books.delivered("delivered")
    ledger.fail(books.completed("failed"), "bad_output", "blank")
    ledger.refuse(books.reserve("refused"), "network", "no")
    found = {
        State.RESERVED: books.reserve("reserved"),
        State.SUBMITTING: sending("submitting"),
        State.UNKNOWN: lost("unknown"),
        State.SUBMITTED: books.submitted("submitted"),
        State.COMPLETED: books.completed("completed"),
        State.QUESTION: ledger.ask(lost("question"), "which?"),
        State.DELIVERED: ended(State.DELIVERED),
        State.FAILED: ended(State.FAILED),
        State.REFUSED: ended(State.REFUSED),
    }
    assert set(found) == set(State)
    assert all(intent.state is state for state, intent in found.items())
    return found


def _dump(books: Books) -> list[object]:
    with books.ledger.engine.connect() as connection:
        return [
            connection.execute(text(f"SELECT * FROM {table} ORDER BY 1")).all()
            for table in ("intents", "entries", "budgets", "clips", "lineage")
        ]


def _overdrawn(books: Books) -> int:
    with books.ledger.engine.connect() as connection:
        query = select(budgets.c.overdrawn_microusd).where(budgets.c.budget == "total")
        return int(connection.execute(query).scalar_one())


def _reuse(books: Books, clip: Clip, prompt_id: str) -> Clip:
    return books.ledger.reuse(
        clip,
        Reuse(
            kind=Kind.IMAGE, prompt_id=prompt_id, collection="new-kit", variant=1, run_id="run-2"
        ),
    )
