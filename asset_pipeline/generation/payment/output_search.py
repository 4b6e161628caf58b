"""Searching for a paid clip's file until it is there or the provider has deleted it.

What is paid for is not given up for a passing state. Until the provider's hour is over its files
are asked for again, with growing waits, by this run and by later ones.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from asset_pipeline.catalog.terms import Terms
from asset_pipeline.clock import Clock
from asset_pipeline.generation.classifier import from_prediction
from asset_pipeline.generation.failures import ErrorClass, GenerationFailure, LateFileFailure
from asset_pipeline.generation.payment.fetcher import FetchedFile, Fetcher
from asset_pipeline.generation.payment.output_evidence import FlawKind, Sighting, final_flaw
from asset_pipeline.generation.payment.outputs import (
    Candidate,
    RemoteFile,
    candidates,
    dead_address,
)
from asset_pipeline.generation.timeouts import Timeouts
from asset_pipeline.ledger.records import Intent, Parent
from asset_pipeline.providers.prediction import Prediction, PredictionStatus
from asset_pipeline.providers.protocol import NotFoundError, Provider, UnavailableError

_FIRST_WAIT = 1.0
_LONGEST_WAIT = 60.0

# A file that stands behind one which can't be had now is taken after so many rounds, 7 s: the
# first is the clip as a rule, and the others are thumbnails and masks.
_ROUNDS_FOR_THE_FIRST = 3

# The provider's clock may be behind ours by more than its answers showed so far, and its hour is
# over by its own.
_CLOCK_SLACK = timedelta(minutes=5)

_REMOVED = "the provider has removed the output"


@dataclass(frozen=True, slots=True)
class FoundFile:
    """The file of a clip.

    Attributes:
        lineage: The bytes as they were received, where they had to be mended, and the other files
            of the same output.
        web_url: The provider's page of the prediction.
    """

    file: FetchedFile
    lineage: tuple[Parent, ...]
    web_url: str


@dataclass
class _Search:
    """What is known while a file is looked for.

    Attributes:
        ends_at: By the monotonic clock: when this process gives up for now. The run in which a
            prediction ended waits for minutes, later ones for seconds: they may have hundreds of
            such clips before them.
        seen: All looks, by the place in the output and the address.
        answered: Whether the provider told of the prediction in this round.
        obstacle: What stood in the way last.
        last: The last look at the first file.
    """

    intent: Intent
    terms: Terms
    prediction: Prediction | None
    ends_at: float = 0.0
    seen: dict[str, list[Sighting]] = field(default_factory=dict[str, list[Sighting]])
    rounds: int = 0
    answered: bool = True
    obstacle: str = ""
    last: Sighting | None = None


class Searcher:
    """Looks for files.

    Args:
        provider: Asked for predictions whose files can't be had.
        fetcher: Looks at one file once.
        scratch: The folder for downloads.
        clock: For waiting.
        timing: For how long.
    """

    def __init__(
        self, provider: Provider, fetcher: Fetcher, scratch: Path, *, clock: Clock, timing: Timeouts
    ) -> None:
        self._provider = provider
        self._fetcher = fetcher
        self._scratch = scratch
        self._clock = clock
        self._timing = timing

    async def find(self, intent: Intent, terms: Terms, prediction: Prediction | None) -> FoundFile:
        """Return a verified file on this machine, for the caller to move away.

        Raises:
            LateFileFailure: Not now; it may still come.
            GenerationFailure: Never: bad_output, content_policy or output_expired, or as the
                prediction itself ended.
            OSError: This machine can't write it.
        """
        search = _Search(intent, terms, prediction)
        age = (self._clock.now() - self._ended_at(search)).total_seconds()
        patience = self._timing.delivery_patience - max(0.0, age)
        search.ends_at = self._clock.monotonic() + max(patience, self._timing.late_patience)
        target = self._scratch / f"{intent.intent_id}.part"
        wait = _FIRST_WAIT
        found = None
        try:
            while (found := await self._look(search, target)) is None:
                self._check_worth_waiting(search)
                await self._clock.sleep(min(wait, search.ends_at - self._clock.monotonic()))
                wait = min(wait * 2, _LONGEST_WAIT)
            return found
        finally:
            if found is None:
                target.unlink(missing_ok=True)

    async def _look(self, search: _Search, target: Path) -> FoundFile | None:
        """Look once at all that the output may hold.

        Raises:
            GenerationFailure: No look will ever find a clip.
        """
        if search.rounds or search.prediction is None:
            await self._ask_again(search)
        search.rounds += 1
        prediction = search.prediction
        if prediction is None:
            return None
        wanted = candidates(prediction.output, search.terms)
        found = await self._first_clip(search, wanted, target)
        if found is not None:
            number, file = found
            lineage = await self._also_delivered(search.intent, file, wanted[number:], number)
            if file.received_sha256 is not None:
                lineage.append(
                    Parent("prediction", prediction.prediction_id, file.received_sha256, "received")
                )
            return FoundFile(file, tuple(lineage), prediction.web_url)
        keys = [_key(candidate) for candidate in wanted]
        if not wanted:
            search.seen.setdefault("", []).append(self._nothing_in(prediction))
            keys = [""]
        looked = [search.seen[key] for key in keys if key in search.seen]
        search.last = looked[0][-1]
        search.obstacle = search.last.flaw
        flaw = final_flaw(looked, cut_spread=self._timing.cut_spread)
        if flaw is not None and len(looked) == len(keys):
            gone = prediction.data_removed and not wanted
            raise GenerationFailure(
                ErrorClass.OUTPUT_EXPIRED if gone else ErrorClass.BAD_OUTPUT,
                flaw.flaw,
                cause="size" if flaw.kind is FlawKind.TOO_LARGE else "verification",
                prediction_id=prediction.prediction_id,
            )
        return None

    async def _first_clip(
        self, search: _Search, wanted: Sequence[Candidate], target: Path
    ) -> tuple[int, FetchedFile] | None:
        """Return the first file that is a clip, and its number from 1 on; what is none is noted."""
        may_pass = False
        for number, candidate in enumerate(wanted, start=1):
            look = await self._fetcher.look(candidate, search.intent.kind, target)
            if isinstance(look, FetchedFile):
                if may_pass and search.rounds <= _ROUNDS_FOR_THE_FIRST:
                    break
                return number, look
            search.seen.setdefault(_key(candidate), []).append(look)
            may_pass = may_pass or look.may_pass
        return None

    async def _also_delivered(
        self, intent: Intent, clip: FetchedFile, others: Sequence[Candidate], before: int
    ) -> list[Parent]:
        """Return the other clips of an output; one that can't be had now is not waited for."""
        hashes = {clip.info.sha256}
        found: list[Parent] = []
        for number, candidate in enumerate(others, start=before + 1):
            target = self._scratch / f"{intent.intent_id}{number:08x}.part"
            try:
                look = await self._fetcher.look(candidate, intent.kind, target)
            finally:
                target.unlink(missing_ok=True)
            if isinstance(look, FetchedFile) and look.info.sha256 not in hashes:
                hashes.add(look.info.sha256)
                name = f"{intent.prediction_id}#{number}"
                found.append(Parent("prediction", name, look.info.sha256, "also_delivered"))
        return found

    async def _ask_again(self, search: _Search) -> None:
        """Ask for the prediction: its output may be there by now, or have another address.

        Raises:
            GenerationFailure: It did not succeed.
        """
        search.answered = True
        try:
            prediction = await self._provider.get(search.intent.prediction_id or "")
        except NotFoundError as error:
            search.obstacle = f"the provider does not know the prediction: {error.message}"
        except UnavailableError as error:
            search.obstacle = error.message
            search.answered = False
        else:
            if prediction.status is PredictionStatus.SUCCEEDED:
                search.prediction = prediction
            elif prediction.status.is_terminal and search.prediction is None:
                raise from_prediction(prediction)
            else:
                search.obstacle = f"the prediction is {prediction.raw_status}"

    def _nothing_in(self, prediction: Prediction) -> Sighting:
        """Say what an output is that holds no file.

        Raises:
            GenerationFailure: Class content_policy: it is an empty list.
        """
        output, now = prediction.output, self._clock.monotonic()
        if output == [] and not prediction.data_removed:
            raise GenerationFailure(
                ErrorClass.CONTENT_POLICY,
                "the model dropped its output as unsafe",
                cause="an empty list",
                prediction_id=prediction.prediction_id,
            )
        written = json.dumps(output, sort_keys=True)
        digest = hashlib.sha256(written.encode()).hexdigest()
        if prediction.data_removed:
            return Sighting(FlawKind.OTHER, _REMOVED, now, digest)
        if output is None:
            # The file may come later: another machine reports that the prediction ended.
            return Sighting(FlawKind.CUT, "the prediction has no output", now, digest)
        dead = dead_address(output)
        if dead:
            return Sighting(FlawKind.NOWHERE, f"the output has {dead}", now)
        return Sighting(FlawKind.OTHER, f"the output holds no file: {written[:100]}", now, digest)

    def _check_worth_waiting(self, search: _Search) -> None:
        """Go on only while the file may still come and this process has patience.

        Raises:
            LateFileFailure: Not any more in this process.
            GenerationFailure: The provider's hour is over: class output_expired, or bad_output
                where the file was there and no clip.
        """
        prediction_id = search.intent.prediction_id
        expires_at = self._ended_at(search) + timedelta(seconds=self._timing.retention)
        is_over = self._clock.now() > expires_at
        if is_over and search.answered:
            if search.last is not None and search.last.is_of_the_file:
                raise GenerationFailure(
                    ErrorClass.BAD_OUTPUT,
                    search.obstacle,
                    cause="verification",
                    prediction_id=prediction_id,
                )
            raise GenerationFailure(
                ErrorClass.OUTPUT_EXPIRED,
                f"the provider's hour is over, and its file could not be had: {search.obstacle}",
                cause="download",
                prediction_id=prediction_id,
            )
        if self._clock.monotonic() >= search.ends_at:
            until = None if is_over else expires_at
            raise LateFileFailure(search.obstacle, until, prediction_id=prediction_id)

    def _ended_at(self, search: _Search) -> datetime:
        """Return when the prediction ended, by our clock.

        What was charged late, after a dead process, has ended long before.
        """
        ended = search.intent.completed_at or self._clock.now()
        told = None if search.prediction is None else search.prediction.completed_at
        if told is None:
            return ended
        behind = timedelta(seconds=-self._provider.clock_offset()[0])
        return min(ended, told + behind + _CLOCK_SLACK)


def _key(candidate: Candidate) -> str:
    """Return what tells a file of an output from the others, though its signature changes."""
    if isinstance(candidate, RemoteFile):
        return f"{candidate.place} {candidate.url.partition('?')[0]}"
    return candidate.place
