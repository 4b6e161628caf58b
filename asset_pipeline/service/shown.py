"""Rows of the ledger as answers."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from asset_pipeline.ledger.clip_pages import PagedClip
from asset_pipeline.ledger.records import Clip
from asset_pipeline.ledger.reviews import Review
from asset_pipeline.ledger.submissions import Item, NewSubmission, Submission
from asset_pipeline.ledger.uploads import Upload
from asset_pipeline.money import MicroUsd
from asset_pipeline.service.bodies import (
    ClipAnswer,
    Counts,
    FileAnswer,
    ItemClip,
    JobAnswer,
    JobItem,
    ReviewAnswer,
    SubmissionAnswer,
)
from asset_pipeline.service.ordering import usd
from asset_pipeline.service.problems import ProblemError

API = "/api/v1"


def urls_of(submission_id: str) -> dict[str, str]:
    """Return where a submission is asked after."""
    job = f"{API}/jobs/{submission_id}"
    return {
        "status_url": job,
        "events_url": f"{job}/events",
        "cancel_url": f"{job}/cancel",
    }


def submission_shown(
    submission_id: str, new: NewSubmission, *, fits: bool, waits: bool
) -> SubmissionAnswer:
    """Return the answer to a submission that is taken."""
    return SubmissionAnswer(
        id=submission_id,
        **urls_of(submission_id),
        prompts=len(new.items),
        clips=new.clips,
        cached=new.cached,
        worst_case_usd=usd(new.worst_case),
        fits=fits,
        waits_for_daemon=waits,
    )


def job_shown(
    job: Submission,
    money: tuple[int, int],
    items: Sequence[Item],
    clips: Mapping[tuple[str, str], Sequence[Clip]],
    *,
    daemon: bool,
) -> JobAnswer:
    """Return how a submission stands."""
    charged, reserved = money
    return JobAnswer(
        id=job.submission_id,
        state=job.state.value,
        prompts=job.prompts,
        clips=job.clips,
        cached=job.cached,
        counts=Counts(
            queued=job.queued,
            running=job.running,
            completed=job.completed,
            failed=job.failed,
            cancelled=job.cancelled,
            refused_by_budget=job.refused,
        ),
        worst_case_usd=usd(job.worst_case_microusd),
        charged_usd=usd(charged),
        reserved_usd=usd(reserved),
        cancel_requested=job.cancel_requested,
        waits_for_daemon=job.finished_at is None and not daemon,
        **urls_of(job.submission_id),
        items_url=f"{API}/jobs/{job.submission_id}/items",
        created_at=job.created_at,
        updated_at=job.updated_at,
        finished_at=job.finished_at,
        items=items_shown(items, clips),
    )


def items_shown(
    items: Iterable[Item], clips: Mapping[tuple[str, str], Sequence[Clip]]
) -> list[JobItem]:
    """Return a job's prompts, each with its clips as they are now."""
    return [
        JobItem(
            position=item.position,
            kind=item.kind.value,
            prompt_id=item.prompt_id,
            variants=item.variants,
            state=item.state.value,
            error_class=item.error_class,
            error=item.error,
            run_id=item.run_id,
            clips=[
                clip_reference(clip)
                for clip in clips.get((item.kind.value, item.prompt_id), ())
                if clip.variant <= item.variants
            ],
        )
        for item in items
    ]


def clip_reference(clip: Clip) -> ItemClip:
    """Return a clip in short."""
    return ItemClip(
        clip_id=clip.clip_id,
        variant=clip.variant,
        sha256=clip.sha256,
        media_url=f"{API}/clips/{clip.clip_id}/media",
        cost_usd=usd(clip.cost_microusd),
    )


def clip_shown(paged: PagedClip) -> ClipAnswer:
    """Return a clip in full."""
    clip = paged.clip
    return ClipAnswer(
        id=clip.clip_id,
        kind=clip.kind.value,
        prompt_id=clip.prompt_id,
        collection=clip.collection,
        variant=clip.variant,
        model=clip.model,
        prompt_text=paged.prompt_text,
        seed=paged.seed,
        inputs=json.loads(paged.inputs_json),
        sha256=clip.sha256,
        bytes=clip.bytes,
        mime=clip.mime,
        width=clip.width,
        height=clip.height,
        duration_seconds=clip.duration_seconds,
        cost_usd=usd(clip.cost_microusd),
        prediction_id=clip.prediction_id,
        run_id=clip.run_id,
        created_at=clip.created_at,
        superseded_at=clip.superseded_at,
        kept=clip.approved_at is not None,
        review_state=clip.review_state,
        review_id=clip.review_id,
        object_uri=clip.object_uri,
        media_url=f"{API}/clips/{clip.clip_id}/media",
        regenerate_url=f"{API}/clips/{clip.clip_id}/regenerate",
    )


def review_shown(review: Review, retake: SubmissionAnswer | None = None) -> ReviewAnswer:
    """Return a verdict."""
    return ReviewAnswer(
        review_id=review.review_id,
        clip_id=review.clip_id,
        sha256=review.sha256,
        verdict=review.verdict.value,
        reason_code=review.reason_code,
        note=review.note,
        actor=review.actor,
        created_at=review.created_at,
        supersedes=review.supersedes,
        undo_url=f"{API}/reviews/{review.review_id}/undo",
        retake=retake,
    )


def file_shown(upload: Upload) -> FileAnswer:
    """Return an uploaded file."""
    return FileAnswer(
        id=upload.file_id,
        kind=upload.kind.value,
        mime=upload.mime,
        bytes=upload.bytes,
        sha256=upload.sha256,
        width=upload.width,
        height=upload.height,
        created_at=upload.created_at,
        expires_at=upload.expires_at,
    )


def cap_shown(cap: MicroUsd, *, capped: bool) -> str | None:
    """Return a cap; None where there is none."""
    return usd(cap) if capped else None


def cursor_of(created_at: datetime, row_id: str) -> str:
    """Return where a page ends."""
    text = json.dumps([created_at.isoformat(), row_id])
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(cursor: str | None) -> tuple[datetime, str] | None:
    """Return where the page before ended.

    Raises:
        ProblemError: It is no cursor of ours.
    """
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        created_at, row_id = json.loads(base64.urlsafe_b64decode(padded.encode("ascii")))
        if not isinstance(row_id, str) or "\x00" in row_id:
            raise ValueError(row_id)  # noqa: TRY301 -- one way out for all that is no cursor
        row_id.encode()
        at = datetime.fromisoformat(created_at)
        if at.tzinfo is None:
            raise ValueError(created_at)  # noqa: TRY301 -- as above
    except (ValueError, TypeError, binascii.Error, RecursionError):
        raise ProblemError(400, "bad_cursor", "The cursor is none that this gave.") from None
    return at, row_id
