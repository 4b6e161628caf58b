"""Queries of the paid call and the assets; each is one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy.exc import NoResultFound

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.ledger import clips, intents, postings, substitutes, workers
from asset_pipeline.ledger.access import LedgerAccess
from asset_pipeline.ledger.audit import AuditReport, audit
from asset_pipeline.ledger.engine import LedgerError
from asset_pipeline.ledger.records import BudgetBalance, Clip, Intent
from asset_pipeline.ledger.schema import IntentState


class LedgerQueries(LedgerAccess):
    """Reads the ledger as it stands."""

    def find(
        self, generation_hash: str, pay_again_before: datetime | None = None
    ) -> Clip | Intent | None:
        """Return the stored clip of a generation, else its open intent, else None.

        Args:
            generation_hash: The generation looked for.
            pay_again_before: Clips stored before this time don't count.
        """
        with self._reading() as connection:
            clip = clips.find_by_generation(connection, generation_hash, pay_again_before)
            return clip or intents.find_open(connection, generation_hash)

    def find_wanted(
        self,
        generation_hash: str,
        *,
        wanted_hash: str,
        collection: str,
        pay_again_before: datetime | None = None,
    ) -> Clip | Intent | None:
        """Return the clip or open intent of a wanted clip, or else of its substitute.

        Args:
            generation_hash: The generation that is about to be asked for.
            wanted_hash: The one that was wanted: the same, unless this one stands in for it.
            collection: The prompt's: stand-ins of other collections don't count.
            pay_again_before: Clips stored before this time don't count.
        """
        with self._reading() as connection:
            found = clips.find_by_generation(connection, generation_hash, pay_again_before)
            found = found or intents.find_open(connection, generation_hash)
            if found is None and wanted_hash != generation_hash:
                # What was wanted may have been made since a way around it was chosen.
                found = clips.find_by_generation(connection, wanted_hash, pay_again_before)
                found = found or intents.find_open(connection, wanted_hash)
            return found or substitutes.find(connection, wanted_hash, collection, pay_again_before)

    def failed_attempts(
        self, kind: Kind, prompt_id: str, variant: int, run_id: str
    ) -> list[Intent]:
        """Return the attempts at a clip that ended without it in a run, oldest first."""
        with self._reading() as connection:
            return substitutes.failed_attempts(connection, kind, prompt_id, variant, run_id)

    def stake_of(self, kind: Kind, prompt_id: str, run_id: str) -> substitutes.Stake:
        """Return what a prompt without its clips has cost in a run and what is reserved for it."""
        with self._reading() as connection:
            return substitutes.stake_of(connection, kind, prompt_id, run_id)

    def is_open_beside(self, intent: Intent) -> bool:
        """Tell whether another attempt at an intent's generation is open."""
        with self._reading() as connection:
            attempts = intents.attempts_at(connection, intent.generation_hash)
        return any(each.is_open and each.intent_id != intent.intent_id for each in attempts)

    def open_intent(self, generation_hash: str) -> Intent | None:
        """Return the open intent of a generation, if there is one."""
        with self._reading() as connection:
            return intents.find_open(connection, generation_hash)

    def has_ended(self, intent_id: str) -> bool:
        """Tell whether there is an intent of this id and nothing more will come of it."""
        with self._reading() as connection:
            try:
                return not intents.get(connection, intent_id).is_open
            except NoResultFound:
                return False

    def is_alive(self, worker_id: str) -> bool:
        """Tell whether a worker still drives its intents."""
        with self._reading() as connection:
            return workers.is_alive(connection, worker_id, self._clock.now())

    def intent(self, intent_id: str) -> Intent:
        """Return an intent as it stands.

        Raises:
            LedgerError: There is none of this id.
        """
        with self._reading() as connection:
            try:
                return intents.get(connection, intent_id)
            except NoResultFound:
                raise LedgerError(
                    f"The ledger has no intent {intent_id!r}.",
                    hint="`asset-pipeline status` lists the open ones.",
                ) from None

    def intents_in(self, states: Sequence[IntentState]) -> list[Intent]:
        """Return all intents in any of ``states``, oldest first."""
        with self._reading() as connection:
            return intents.in_states(connection, states)

    def reconciliation_view(
        self, prediction_ids: Iterable[str]
    ) -> tuple[list[Intent], frozenset[str]]:
        """Return the intents without a clear reply, and which of these predictions have an owner.

        The owned are read first: on Postgres a prediction that is accepted between the two
        questions is then at worst taken for free, and the ledger lets none have two owners.
        """
        with self._reading() as connection:
            owned = intents.owned(connection, prediction_ids)
            waiting = intents.in_states(connection, [IntentState.SUBMITTING, IntentState.UNKNOWN])
            return waiting, owned

    def released_as_absent(self, since: datetime) -> list[Intent]:
        """Return the intents that were given up as never accepted, of those made after a time."""
        with self._reading() as connection:
            return intents.released_as_absent(connection, since)

    def owner_of(self, prediction_id: str) -> Intent | None:
        """Return the intent that a prediction belongs to."""
        with self._reading() as connection:
            return intents.owner_of(connection, prediction_id)

    def models(self) -> frozenset[str]:
        """Return all models that were ever asked."""
        with self._reading() as connection:
            return intents.models(connection)

    def newest_prediction(self) -> str | None:
        """Return the newest prediction of a payment whose account was not recorded."""
        with self._reading() as connection:
            return intents.newest_unrecorded(connection)

    def owned(self, prediction_ids: Iterable[str]) -> frozenset[str]:
        """Return those of these predictions that belong to an intent."""
        with self._reading() as connection:
            return intents.owned(connection, prediction_ids)

    def current_clips(self) -> list[Clip]:
        """Return the current clips of all prompts."""
        with self._reading() as connection:
            return clips.all_current(connection)

    def current_clips_with_texts(self) -> list[tuple[Clip, str]]:
        """Return all current clips with the text that made each; collections in a row."""
        with self._reading() as connection:
            return clips.all_current_with_texts(connection)

    def current_clips_of(self, kind: Kind, prompt_id: str) -> list[Clip]:
        """Return a prompt's current clips, by variant."""
        with self._reading() as connection:
            return clips.current(connection, kind, prompt_id)

    def balances(self) -> list[BudgetBalance]:
        """Return all budgets as they stand."""
        with self._reading() as connection:
            return postings.balances(connection)

    def audit(self) -> AuditReport:
        """Derive all balances and states again and list what does not agree."""
        with self._reading() as connection:
            return audit(connection)
