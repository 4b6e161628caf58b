"""Keeping what is stored, as a Dagster resource: checks, retention, exports."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Generator
from dataclasses import dataclass, field

import dagster as dg

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.clock import SystemClock
from asset_pipeline.custody.deleter import Deleted, Deleter
from asset_pipeline.custody.export_targets import Target
from asset_pipeline.custody.exporter import Exporter
from asset_pipeline.custody.fsck import Fsck, FsckReport
from asset_pipeline.custody.repairs import Repairs
from asset_pipeline.custody.retention_brake import Leaving, leaving
from asset_pipeline.custody.retention_plan import RetentionPlan, choose, is_protected
from asset_pipeline.custody.retention_rules import load_rules
from asset_pipeline.custody.sealer import Sealer, SealReport
from asset_pipeline.custody.store_check import Report
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource
from asset_pipeline.defs.resources.replicate import ReplicateResource
from asset_pipeline.defs.resources.store import StoreResource
from asset_pipeline.generation.timeouts import Timeouts
from asset_pipeline.ledger.custody import CustodyRepository, HeldClip
from asset_pipeline.ledger.exports import ExportRepository
from asset_pipeline.ledger.leftovers import LeftoverRepository
from asset_pipeline.ledger.provenance import ProvenanceBook
from asset_pipeline.ledger.records import Clip
from asset_pipeline.media.decoder_pool import DecoderLimits
from asset_pipeline.prompts.provenance import DEFAULT, ProvenancePolicy
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.provenance.keys import KeyMaterialError
from asset_pipeline.provenance.marker import open_marker
from asset_pipeline.provenance.stamp import Stamp
from asset_pipeline.settings import load_settings
from asset_pipeline.stores.probe import try_putting
from asset_pipeline.warehouse.publication import publish_own


def _unheard(_: Deleted) -> None:
    """Nobody watches."""


@dataclass(frozen=True, slots=True)
class Retained:
    """What retention came to.

    Attributes:
        choice: What the rules let go.
        deleted: What was deleted; nothing in a dry run.
        unread: How many prompts could not be read. As long as there are any, every current clip
            counts as that of a live prompt.
        leaving: The current clips among those.
    """

    choice: RetentionPlan
    deleted: Deleted = field(default_factory=Deleted)
    unread: int = 0
    leaving: Leaving = field(default_factory=Leaving)


class CustodyResource(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument]
    """Checks the store against the ledger, deletes by the rules and exports clips.

    Nothing here submits a prediction.
    """

    ledger: LedgerResource
    store: StoreResource
    replicate: ReplicateResource
    prompt_library: PromptLibraryResource

    async def check(
        self, *, run_id: str, actor: str, repair: bool, report: Report, accept_loss: bool = False
    ) -> FsckReport:
        """Compare the store with the ledger; see :meth:`Fsck.run`.

        Raises:
            AssetPipelineError: The store can't be read, or so much is missing that it is rather
                another store.
        """
        settings = load_settings()
        store = self.store.open()
        repairs = Repairs(
            store,
            load_catalog(settings.config_dir),
            settings.previews_dir,
            settings.scratch_dir,
            SystemClock(),
            Timeouts(),
            DecoderLimits.configured(settings),
        )
        with self.ledger.open() as ledger:
            self.store.belonging(store, ledger.engine).check(claim=False)
            if repair:
                # A copy that nobody can write to is older than the ledger: what it lacks is not
                # lost.
                try_putting(store)
            fsck = Fsck(
                ledger,
                repairs,
                SystemClock(),
                run_id=run_id,
                actor=actor,
                report=report,
                open_provider=self.replicate.open_provider,
                accept_loss=accept_loss,
            )
            return await fsck.run(repair=repair)

    def publish(self) -> None:
        """Publish the warehouse, so that its tables tell what was found and done.

        Raises:
            AssetPipelineError: It can't be written.
        """
        prompts = self.prompt_library.load().library.prompts.values()
        with self.ledger.open() as ledger:
            publish_own(ledger.engine, prompts, load_settings(), clock=SystemClock())

    def lost_prompts(self) -> dict[Kind, list[str]]:
        """Return the live prompts that lack a clip because its file was lost or deleted."""
        library = self.prompt_library.load().library
        with self.ledger.open() as ledger:
            vacant = CustodyRepository(ledger.engine, SystemClock()).vacant()
        lost: dict[Kind, list[str]] = {kind: [] for kind in Kind}
        for (kind, prompt_id), prompt in library.prompts.items():
            if any((kind, prompt_id, n) in vacant for n in range(1, prompt.variants + 1)):
                lost[kind].append(prompt_id)
        return lost

    def retain(
        self,
        *,
        actor: str,
        delete: bool,
        report: Callable[[Deleted], None] = _unheard,
        accept_loss: bool = False,
    ) -> Retained:
        """Apply ``retention.yaml``.

        Args:
            actor: Who deletes, for the ledger.
            delete: Do it; otherwise it is only worked out.
            report: Told of the totals while objects are deleted.
            accept_loss: Delete current clips however many their prompts have left.

        Raises:
            TooMuchGoesError: So many current clips would go that it is rather the prompt files
                that are away; nothing was deleted.
            AssetPipelineError: The rules are wrong, or prompts, ledger or store can't be read.
        """
        rules = load_rules(load_settings().config_dir)
        library = self.prompt_library.load().library
        live: Collection[tuple[Kind, str]] = library.prompts.keys()
        unread = len(library.problems)

        def is_live(clip: HeldClip) -> bool:
            # A prompt in a file that can't be read looks as if it had left the files.
            return unread > 0 or (clip.kind, clip.prompt_id) in live

        with self.ledger.open() as ledger:
            store = self.store.open()
            self.store.belonging(store, ledger.engine).check(claim=False)
            book = CustodyRepository(ledger.engine, SystemClock())
            now = SystemClock().now()
            held = book.held()
            choice = choose(held, rules, is_live=is_live, now=now)
            named = {(prompt.kind, prompt.collection) for prompt in library.prompts.values()}
            gone = leaving(choice.doomed, held, named)
            if not delete:
                return Retained(choice, unread=unread, leaving=gone)
            if not accept_loss:
                gone.refuse()
            deleter = Deleter(store, book, actor)
            finished = deleter.finish()
            done = deleter.delete(choice.doomed, lambda clip: is_protected(clip, is_live), report)
            derived = deleter.delete_renditions(LeftoverRepository(ledger.engine, SystemClock()))
            deleter.delete_sidecars(ProvenanceBook(ledger.engine, SystemClock()))
            return Retained(choice, finished.plus(done).plus(derived), unread, gone)

    def seal(self, *, run_id: str, report: Callable[[int, int], None]) -> SealReport:
        """Lay the signed manifests beside originals that lack them; see :meth:`Sealer.run`.

        Raises:
            KeyMaterialError: There is no key, or it can't be used.
            AssetPipelineError: Prompts, ledger or store can't be read.
        """
        settings, clock = load_settings(), SystemClock()
        marker = open_marker(settings, clock)
        if not marker.signs:
            raise KeyMaterialError(
                marker.note or "there is no key to sign with",
                hint="Set ASSET_PIPELINE_SIGNING_CERT and ASSET_PIPELINE_SIGNING_KEY, or make a "
                "key for development with `asset-pipeline provenance init`.",
            )
        with self.ledger.open() as ledger:
            store = self.store.open()
            self.store.belonging(store, ledger.engine).check(claim=False)
            stamp = Stamp(marker, ProvenanceBook(ledger.engine, clock), store, run_id)
            sealer = Sealer(
                stamp, settings.scratch_dir, _policies(self._prompts_of_clips()), run_id
            )
            return sealer.run(ledger.current_clips(), report)

    def _prompts_of_clips(self) -> Callable[[Clip], Prompt | None]:
        prompts = self.prompt_library.load().library.prompts
        return lambda clip: prompts.get((clip.kind, clip.prompt_id))

    @contextlib.contextmanager
    def exporting(
        self, target: Target, *, run_id: str, require_marks: bool = False
    ) -> Generator[Exporter]:
        """Yield what exports to a target, marked as each collection asks.

        Raises:
            AssetPipelineError: Catalog, ledger or store can't be opened, or the signing key that
                is configured can't be used.
        """
        settings = load_settings()
        clock = SystemClock()
        marker = open_marker(settings, clock)
        prompt_of = self._prompts_of_clips()
        with self.ledger.open() as ledger:
            store = self.store.open()
            yield Exporter(
                store,
                target,
                ExportRepository(ledger.engine, clock),
                CustodyRepository(ledger.engine, clock),
                load_catalog(settings.config_dir),
                settings.scratch_dir,
                clock,
                run_id,
                stamp=Stamp(marker, ProvenanceBook(ledger.engine, clock), store, run_id),
                policy_of=_policies(prompt_of),
                require_marks=require_marks,
                prompt_of=prompt_of,
            )


def _policies(prompt_of: Callable[[Clip], Prompt | None]) -> Callable[[Clip], ProvenancePolicy]:
    def policy_of(clip: Clip) -> ProvenancePolicy:
        prompt = prompt_of(clip)
        return DEFAULT if prompt is None else prompt.provenance

    return policy_of
