"""The integrity check: compare, repair what can be repaired, count the rest as lost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from asset_pipeline.clock import Clock
from asset_pipeline.custody.deleter import Deleter
from asset_pipeline.custody.repairs import Mended, Repairs, set_aside
from asset_pipeline.custody.store_check import Report, StoreCheck
from asset_pipeline.errors import AssetPipelineError, ExitCode
from asset_pipeline.ledger.custody import CustodyRepository
from asset_pipeline.ledger.custody_schema import FsckOutcome, FsckProblem
from asset_pipeline.ledger.fsck_passes import FsckFinding, FsckPass, FsckRepository
from asset_pipeline.ledger.ledger import Ledger
from asset_pipeline.ledger.records import Clip
from asset_pipeline.providers.protocol import Provider

# A store that lacks more than this is rather another store, or a disk that is not mounted. Counting
# its clips as lost would have them all paid for again.
_MOST_LOST = 10
_MOST_LOST_PERCENT = 10
# Of a small one half: a folder of it may be a disk of its own.
_FEW = 2

_MENDABLE = (FsckProblem.MISSING, FsckProblem.SIZE, FsckProblem.SHA256)
_WELL = (FsckOutcome.REPAIRED, FsckOutcome.RESTORED)


class TooMuchLostError(AssetPipelineError):
    """So much is missing that this is probably the wrong store."""

    exit_code = ExitCode.SOME_FAILED


@dataclass(frozen=True, slots=True)
class FsckReport:
    """What a check came to.

    Attributes:
        findings: With what was done about each.
        lost: The clips that do not count as stored any more, because of this check.
    """

    checked: FsckPass
    findings: tuple[FsckFinding, ...]
    lost: tuple[Clip, ...] = ()

    @property
    def flaws(self) -> list[FsckFinding]:
        """The findings that remain; files that the ledger does not know are left out."""
        return [
            each
            for each in self.findings
            if each.problem is not FsckProblem.EXTRA and each.outcome not in _WELL
        ]


@dataclass(frozen=True, slots=True)
class Fsck:
    """A check of the store, with repairs or without.

    Attributes:
        run_id: Names this process among the ledger's workers.
        actor: Who checks, for the ledger.
        report: Told of the progress.
        open_provider: Opens the provider, which is asked only when something is to be fetched.
        accept_loss: Count clips as lost however many they are.
        checkpoint: Called with a name between two durable steps; crash tests kill there.
    """

    ledger: Ledger
    repairs: Repairs
    clock: Clock
    run_id: str
    actor: str
    report: Report
    open_provider: Callable[[], Provider]
    accept_loss: bool = False
    checkpoint: Callable[[str], None] = lambda _: None

    async def run(self, *, repair: bool) -> FsckReport:
        """Check the store to the end; go on where a killed check was.

        Args:
            repair: Fetch again what is missing or damaged, and count as lost what can't be.

        Raises:
            StoreError: The store can't be reached.
            TooMuchLostError: Too much is missing to believe it; nothing was counted as lost.
        """
        store = self.repairs.store
        custody = CustodyRepository(self.ledger.engine, self.clock)
        book = FsckRepository(self.ledger.engine, self.clock)
        worker_id = self.ledger.start_worker(self.run_id)
        try:
            if repair:
                Deleter(store, custody, self.actor).finish()
            begun = book.begin(store.uri("x")[:-1], worker_id)
            checked = StoreCheck(store, book, self.clock, self.report, self.checkpoint).run(begun)
            found = book.findings(checked.pass_id)
            if not repair:
                return FsckReport(checked, tuple(found))
            gone = await self._mend(checked, found, book, custody)
            lost = self._lose(checked, gone, book, custody)
            return FsckReport(checked, tuple(book.findings(checked.pass_id)), tuple(lost))
        finally:
            self.ledger.end_worker(worker_id)

    async def _mend(
        self,
        checked: FsckPass,
        found: Sequence[FsckFinding],
        book: FsckRepository,
        custody: CustodyRepository,
    ) -> list[FsckFinding]:
        """Repair what can be repaired; return the objects that are lost."""
        gone: list[FsckFinding] = []
        asking = _Asking(self.open_provider)
        try:
            for finding in found:
                if finding.problem not in _MENDABLE:
                    continue
                key = finding.object_key
                if finding.found == finding.expected:
                    custody.restore(key, actor=self.actor, reason="it is whole again")
                    book.resolve(checked, key, FsckOutcome.RESTORED)
                    continue
                mended = await self._fetch(finding, book, asking)
                if mended is Mended.REPAIRED:
                    book.resolve(checked, key, FsckOutcome.REPAIRED)
                elif mended is Mended.GONE:
                    gone.append(finding)
                self.checkpoint("mended")
        finally:
            await asking.aclose()
        return gone

    async def _fetch(self, finding: FsckFinding, book: FsckRepository, asking: _Asking) -> Mended:
        intent, sha256 = book.paid_for(finding.clip_id or "")
        if not self.repairs.is_kept(intent):
            return Mended.GONE
        if finding.problem is not FsckProblem.MISSING:
            set_aside(self.repairs.store, finding.object_key, self.repairs.scratch)
        return await self.repairs.mend(asking.provider(), intent, sha256)

    def _lose(
        self,
        checked: FsckPass,
        gone: Sequence[FsckFinding],
        book: FsckRepository,
        custody: CustodyRepository,
    ) -> list[Clip]:
        """Count clips as lost and free their keys for what is generated in their place."""
        most = max(_MOST_LOST, checked.objects * _MOST_LOST_PERCENT // 100)
        most = min(most, max(_FEW, checked.objects // 2))
        if len(gone) > most and not self.accept_loss:
            raise TooMuchLostError(
                f"{len(gone):,} of {checked.objects:,} objects are missing or damaged for good. "
                "Nothing was counted as lost.",
                hint="Is this the store that was meant, and is its disk mounted? If the files are "
                "really gone: `asset-pipeline fsck --repair --accept-loss`.",
            )
        lost: list[Clip] = []
        for finding in gone:
            reason = f"{finding.problem}: expected {finding.expected}, found {finding.found}"
            lost += custody.lose(finding.object_key, actor=self.actor, reason=reason)
            self.checkpoint("lost")
            if finding.problem is not FsckProblem.MISSING:
                set_aside(self.repairs.store, finding.object_key, self.repairs.scratch)
            book.resolve(checked, finding.object_key, FsckOutcome.LOST)
        return lost


class _Asking:
    """The provider, opened when the first question comes up."""

    def __init__(self, open_provider: Callable[[], Provider]) -> None:
        self._open = open_provider
        self._opened: Provider | None = None

    def provider(self) -> Provider:
        if self._opened is None:
            self._opened = self._open()
        return self._opened

    async def aclose(self) -> None:
        if self._opened is not None:
            await self._opened.aclose()
