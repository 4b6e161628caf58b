"""Signed manifests for originals that have none: those of earlier keys, and of no key.

A clip gets its manifest when it lands; this is for the clips that landed before there was a key,
under a key that was replaced, or in a process that died between the clip and its manifest.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from asset_pipeline.chunks import chunks
from asset_pipeline.custody.scratch import scratch_file
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.files import sha256_of
from asset_pipeline.ledger.provenance import ProvenanceRecord
from asset_pipeline.ledger.records import Clip
from asset_pipeline.prompts.provenance import ProvenancePolicy
from asset_pipeline.provenance.stamp import Stamp
from asset_pipeline.stores.protocol import StoreUnavailableError

_SIGNERS = 4  # signing takes 8 ms of a core, and a store far away a tenth of a second
_A_STEP = 50


@dataclass(frozen=True, slots=True)
class NotSealed:
    """A clip that got no manifest, and why."""

    clip: Clip
    reason: str


@dataclass(frozen=True, slots=True)
class SealReport:
    """What a pass came to, in clips.

    Attributes:
        laid: Manifests signed and stored by this pass.
        there: Clips whose manifest the key in force had signed before.
        unwanted: Clips whose collection asks for no signature.
        failed: Clips that got none; the others are not touched by that.
    """

    laid: int
    there: int
    unwanted: int
    failed: tuple[NotSealed, ...]


@dataclass(frozen=True, slots=True)
class Sealer:
    """Lays signed manifests beside originals; the originals are only read.

    Attributes:
        scratch: A folder for copies on their way.
        policy_of: Tells what a clip's files may say of themselves.
        run_id: Named in the lineage of what is written.
    """

    stamp: Stamp
    scratch: Path
    policy_of: Callable[[Clip], ProvenancePolicy]
    run_id: str

    def run(self, clips: Sequence[Clip], report: Callable[[int, int], None]) -> SealReport:
        """Give each clip the manifest that is due.

        Args:
            clips: Current clips; prompts that share a file share its manifest.
            report: Told how many clips are done, of how many.

        Raises:
            StoreUnavailableError: The store is away; what was laid is on record.
        """
        wanted = [clip for clip in _one_a_file(clips) if self._is_wanted(clip)]
        laid = there = done = 0
        failed: list[NotSealed] = []
        with ThreadPoolExecutor(_SIGNERS, "seal") as signers:
            for chunk in chunks(wanted, _A_STEP):
                sealed = self.stamp.sealed(chunk)
                due = [
                    clip
                    for clip in chunk
                    if not self.stamp.is_sealed(clip, self.policy_of(clip), sealed)
                ]
                results = list(signers.map(self._seal, due))
                records = [row for each in results if isinstance(each, list) for row in each]
                self.stamp.book.record(records, run_id=self.run_id)
                failed += [each for each in results if isinstance(each, NotSealed)]
                laid += sum(isinstance(each, list) for each in results)
                there += len(chunk) - len(due)
                done += len(chunk)
                report(done, len(wanted))
        return SealReport(laid, there, len(_one_a_file(clips)) - len(wanted), tuple(failed))

    def _is_wanted(self, clip: Clip) -> bool:
        policy = self.policy_of(clip)
        return policy.mark and policy.sign

    def _seal(self, clip: Clip) -> list[ProvenanceRecord] | NotSealed:
        try:
            with scratch_file(self.scratch) as copy:
                self.stamp.store.get(clip.object_key, copy)
                if sha256_of(copy) != clip.sha256:
                    return NotSealed(
                        clip, "the stored file is damaged: run `asset-pipeline fsck --repair`"
                    )
                return self.stamp.seal_clip(clip, copy, self.policy_of(clip))
        except StoreUnavailableError:
            raise
        except (AssetPipelineError, OSError) as error:
            return NotSealed(clip, str(error))


def _one_a_file(clips: Sequence[Clip]) -> list[Clip]:
    return list({clip.object_key: clip for clip in clips}.values())
