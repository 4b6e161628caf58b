"""The right to pay, as a Dagster resource: everything a batch step needs, opened together."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

import dagster as dg
from pydantic import Field, SecretStr

from asset_pipeline.catalog.reader import FILE_NAME as MODELS_FILE
from asset_pipeline.clock import Clock, SystemClock
from asset_pipeline.config.guarded_file import GuardedFile
from asset_pipeline.defs.process_logs import logs_of_run
from asset_pipeline.defs.resources.budget import BudgetResource
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.resources.prompt_library import Prompts
from asset_pipeline.defs.resources.replicate import ReplicateResource
from asset_pipeline.defs.resources.rewriting import open_rewriter
from asset_pipeline.defs.resources.store import StoreResource
from asset_pipeline.disclosure.process_redactor import redacted
from asset_pipeline.generation.batch import Batch, BatchProgress, PromptOutcome
from asset_pipeline.generation.payment.paid_call import PaidCall
from asset_pipeline.generation.retry.rules_file import RulesSource
from asset_pipeline.generation.session import SessionPlan, open_session
from asset_pipeline.generation.temp_files import sweep, swept_folders
from asset_pipeline.generation.timeouts import Timeouts
from asset_pipeline.ledger.budget_thresholds import newly_passed
from asset_pipeline.ledger.configurations import Configurations
from asset_pipeline.ledger.failed_prompts import Ending, FailedPromptRepository, HowEnded
from asset_pipeline.ledger.ledger import Ledger
from asset_pipeline.ledger.provider_ledger import bind_own
from asset_pipeline.ledger.service_schema import ItemState
from asset_pipeline.ledger.submissions import Settled, Submissions
from asset_pipeline.media.decoder_pool import DecoderLimits
from asset_pipeline.money import MicroUsd
from asset_pipeline.provenance.keys import KeyMaterialError
from asset_pipeline.provenance.marker import Marker, open_marker
from asset_pipeline.providers.logged import LoggedProvider
from asset_pipeline.providers.protocol import Provider
from asset_pipeline.settings import ProviderName, Settings, load_settings

# While one clip is at the provider another is being delivered, and no more wait for their turn.
_CLIPS_A_PLACE = 2


def _ignore(_: BatchProgress) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class RunLimits:
    """What one run asks for beyond the settings.

    Attributes:
        budget_id: The launch that the run's caps are for; the run itself if empty.
        earlier_tries: How often Dagster has retried the step before.
        report: Told of the totals whenever a prompt is done or has failed.
        warn: Told, in a sentence, of each budget that passed a threshold while the batch was open.
        wanted_order: The run's place in the order of what is wanted, from :meth:`take_order`.
        launch_id: The launch of submissions that it makes; empty for any other run.
    """

    run_id: str
    run_cap: MicroUsd | None = None
    budget_id: str = ""
    max_in_flight: int | None = None
    pay_again_before: datetime | None = None
    earlier_tries: int = 0
    report: Callable[[BatchProgress], None] = _ignore
    warn: Callable[[str], None] | None = None
    wanted_order: int = 0
    launch_id: str = ""


@dataclass(frozen=True, slots=True)
class OpenPayment:
    """A session that may pay, with what it pays by."""

    paid_call: PaidCall
    ledger: Ledger
    provider: Provider
    rules: RulesSource


class GenerationResource(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """Opens batches on the provider, the ledger and the store."""

    replicate: ReplicateResource
    ledger: LedgerResource
    store: StoreResource
    budget: BudgetResource = Field(default_factory=BudgetResource)
    settle_seconds: float = Field(
        default=Timeouts().settle,
        ge=0,
        description="After a lost reply, how long before an absence from the provider's listing "
        "counts as proof.",
    )

    def take_order(self) -> int:
        """Return a run's place in the order of what is wanted; due before it reads the prompts.

        Raises:
            AssetPipelineError: The ledger can't be opened.
        """
        with self.ledger.open() as ledger:
            return ledger.take_order()

    def _timing(self, settings: Settings) -> Timeouts:
        late = settings.late_acceptance_seconds
        if late is None and settings.provider is ProviderName.SANDBOX:
            late = self.settle_seconds  # no gateway stands before a server on this machine
        elif late is None:
            late = Timeouts().late_acceptance
        return Timeouts(settle=self.settle_seconds, late_acceptance=late)

    @contextlib.asynccontextmanager
    async def open_batch(self, limits: RunLimits, prompts: Prompts) -> AsyncGenerator[Batch]:
        """Yield a batch that may pay on behalf of one run.

        Raises:
            AssetPipelineError: Provider, ledger or store can't be opened.
        """
        payer = limits.budget_id or limits.run_id
        async with (
            self.open_payment(limits) as opened,
            open_rewriter(self.budget, payer, limits.run_cap, prompts.catalog) as rewriter,
        ):
            before = opened.ledger.balances()
            yield Batch(
                opened.paid_call,
                prompts.catalog,
                prompts.folder,
                max_clips=_CLIPS_A_PLACE * _max_in_flight(limits),
                report=limits.report,
                rules=opened.rules.current,
                earlier_tries=limits.earlier_tries,
                rewriter=rewriter,
            )
            if limits.warn is not None:
                ledger = opened.ledger
                for passed in newly_passed(before, ledger.balances(), ledger.warn_at()):
                    limits.warn(str(passed))

    def note_endings(self, outcomes: Iterable[PromptOutcome], run_id: str) -> None:
        """Record how a run ended the prompts that it could not finish.

        Raises:
            AssetPipelineError: The ledger can't be opened or written.
        """
        found = [
            Ending(
                outcome.prompt.kind,
                outcome.prompt.prompt_id,
                outcome.how,
                outcome.failures[0].error_class,
            )
            for outcome in outcomes
        ]
        with self.ledger.open() as ledger:
            FailedPromptRepository(ledger.engine, SystemClock()).note(found, run_id)

    def settle(self, launch_id: str, outcomes: Iterable[PromptOutcome]) -> None:
        """Tell those who submitted prompts how a launch ended them.

        Raises:
            AssetPipelineError: The ledger can't be opened or written.
        """
        with self.ledger.open() as ledger:
            found = [settled(outcome) for outcome in outcomes]
            Submissions(ledger.engine, SystemClock()).settle(launch_id, found)

    @contextlib.asynccontextmanager
    async def open_payment(self, limits: RunLimits) -> AsyncGenerator[OpenPayment]:
        """Yield a payment session for one run, and remove dead processes' files.

        Raises:
            AssetPipelineError: Provider, ledger or store can't be opened, or the store is not the
                one that holds the ledger's clips.
        """
        settings = load_settings()
        plan = SessionPlan(
            run_id=limits.run_id,
            previews=settings.previews_dir,
            scratch=settings.scratch_dir,
            rate_limit_per_minute=settings.rate_limit_per_minute,
            max_in_flight=_max_in_flight(limits),
            max_images_decoded=settings.max_images_decoded,
            decoder_limits=DecoderLimits.configured(settings),
            timing=self._timing(settings),
            webhook_url=_revealed(settings.webhook_url),
            wanted_order=limits.wanted_order,
            launch_id=limits.launch_id,
            run_cap=limits.run_cap,
            budget_id=limits.budget_id,
            pay_again_before=limits.pay_again_before,
        )
        clock, store = SystemClock(), self.store.open()
        with (
            logs_of_run(settings, limits.run_id, limits.warn),
            self.ledger.open(self.budget) as ledger,
        ):
            await asyncio.to_thread(bind_own, ledger.engine, settings)
            belonging = self.store.belonging(store, ledger.engine)
            moved = await asyncio.to_thread(belonging.check, claim=True)
            if moved and limits.warn is not None:
                limits.warn(moved)
            await asyncio.to_thread(
                sweep, swept_folders(settings, store), clock.now(), has_ended=ledger.has_ended
            )
            memory = Configurations(ledger.engine, clock)
            rules = await asyncio.to_thread(_rules, settings.config_dir, memory)
            marker = await asyncio.to_thread(_marker, settings, clock, limits.warn)
            plan = replace(plan, breaker_rules=lambda: rules.current().breaker, marker=marker)
            provider = LoggedProvider(self.replicate.open_provider(), clock)
            async with open_session(
                plan, ledger=ledger, provider=provider, store=store, clock=clock
            ) as paid_call:
                yield OpenPayment(paid_call, ledger, provider, rules)


def settled(outcome: PromptOutcome) -> Settled:
    """Return what whoever submitted a prompt is told of its outcome."""
    prompt = outcome.prompt
    if outcome.done:
        return Settled(prompt.kind, prompt.prompt_id, ItemState.COMPLETED)
    state = {
        HowEnded.CANCELLED: ItemState.CANCELLED,
        HowEnded.REFUSED: ItemState.REFUSED_BY_BUDGET,
        HowEnded.FAILED: ItemState.FAILED,
    }[outcome.how]
    cause = outcome.failures[0]
    return Settled(
        prompt.kind, prompt.prompt_id, state, cause.error_class.value, redacted(cause.message)
    )


def _rules(config_dir: Path, memory: Configurations) -> RulesSource:
    """Return the retry rules, unless a file that decides about money has vanished.

    Raises:
        ConfigurationError: One has, or the rules are wrong.
    """
    models = GuardedFile(config_dir / MODELS_FILE, memory, nothing="models: {}")
    models.has_news()
    models.taken()
    return RulesSource(config_dir, memory)


def _marker(settings: Settings, clock: Clock, warn: Callable[[str], None] | None) -> Marker | None:
    """Return what signs the manifests of originals; None where nothing can.

    A bad key stops no paid call: the manifests are laid when there is a good one.
    """
    try:
        marker = open_marker(settings, clock)
        note = marker.note
    except KeyMaterialError as error:
        marker, note = None, error.message
    if note and warn is not None:
        warn(f"No original gets a signed manifest: {note}")
    return marker if marker is not None and marker.signs else None


def _max_in_flight(limits: RunLimits) -> int:
    return limits.max_in_flight or load_settings().max_in_flight


def _revealed(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()
