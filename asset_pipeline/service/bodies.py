"""What routes take and give. Names are those of a collection file, wherever it has one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.prompts.spec import MAX_VARIANTS

MAX_PROMPTS = 10_000
MAX_DECISIONS = 1_000

Id = Annotated[str, Field(max_length=100, pattern=r"^[a-z0-9][a-z0-9._-]*$")]
Text = Annotated[str, Field(min_length=1, max_length=20_000)]
Tags = Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=100)]
Inputs = Annotated[dict[str, JsonValue], Field(max_length=100)]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Reference = Annotated[str, Field(max_length=64, pattern=r"^file_[0-9a-f]{32}$")]


class _Body(BaseModel):
    # Strict: "2" is no number; a guess here is a picture paid for.
    model_config = ConfigDict(extra="forbid", strict=True)


class PromptBody(_Body):
    """One prompt; what is left out comes from the defaults."""

    id: Id | None = Field(
        default=None, description="The partition key; made of the text if left out."
    )
    kind: Annotated[Kind, Field(strict=False)] | None = None
    text: Text
    model: Annotated[str, Field(max_length=200)] | None = None
    variants: int | None = Field(default=None, ge=1, le=MAX_VARIANTS)
    style: Annotated[str, Field(max_length=5_000)] | None = None
    inputs: Inputs = Field(default_factory=dict)
    tags: Tags = Field(default_factory=list)
    reference: Reference | None = Field(default=None, description="The id of an uploaded file.")


class GenerationBody(PromptBody):
    """One prompt to make clips of."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "kind": "image",
                    "text": "A lighthouse at dusk, oil on canvas",
                    "model": "black-forest-labs/flux-schnell",
                    "variants": 2,
                    "inputs": {"aspect_ratio": "16:9"},
                }
            ]
        }
    )

    collection: Id | None = Field(
        default=None, description="The ledger's collection; `api` if left out."
    )
    dry_run: bool = Field(default=False, description="Answer with the plan, and take nothing.")


class DefaultsBody(_Body):
    """What the prompts of a batch share unless they say otherwise."""

    model: Annotated[str, Field(max_length=200)] | None = None
    variants: int = Field(default=1, ge=1, le=MAX_VARIANTS)
    style: Annotated[str, Field(max_length=5_000)] = ""
    inputs: Inputs = Field(default_factory=dict)
    tags: Tags = Field(default_factory=list)


class BatchBody(_Body):
    """Many prompts to make clips of."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "collection": "lighthouses",
                    "defaults": {"model": "black-forest-labs/flux-schnell", "variants": 2},
                    "prompts": [
                        {"id": "dusk", "text": "A lighthouse at dusk"},
                        {"id": "dawn", "text": "A lighthouse at dawn", "tags": ["cover"]},
                    ],
                }
            ]
        }
    )

    collection: Id | None = None
    kind: Annotated[Kind, Field(strict=False)] | None = None
    defaults: DefaultsBody = Field(default_factory=DefaultsBody)
    prompts: Annotated[list[PromptBody], Field(min_length=1, max_length=MAX_PROMPTS)]
    dry_run: bool = False


class RegenerateBody(_Body):
    """Another take of one clip; its prompt may change with it."""

    sha256: Sha256 | None = Field(default=None, description="Of the clip that was looked at.")
    text: Text | None = None
    inputs: Inputs | None = None
    dry_run: bool = False


class DecisionBody(_Body):
    """What somebody decides about one clip."""

    clip_id: Annotated[str, Field(max_length=32)]
    sha256: Sha256 = Field(description="Of the file that was looked at.")
    verdict: Literal["approved", "rejected", "undecided"]
    reason_code: Annotated[str, Field(max_length=32, pattern=r"^[a-z0-9_]*$")] = ""
    note: Annotated[str, Field(max_length=2_000)] = ""
    supersedes: int | None = Field(
        default=None,
        ge=0,
        lt=2**63,
        description="The verdict that stood there when it was looked at; 0 for none.",
    )


class ReviewsBody(_Body):
    """Several decisions at once, all or none."""

    reviews: Annotated[list[DecisionBody], Field(min_length=1, max_length=MAX_DECISIONS)]


class LoginBody(_Body):
    """A key, for a browser's session."""

    key: Annotated[str, Field(max_length=200)]


class SessionAnswer(BaseModel):
    """Who is logged in."""

    actor: str
    scopes: list[str]
    login_required: bool
    csrf_token: str | None = Field(
        default=None, description="Sent as X-CSRF-Token with every change."
    )
    expires_at: datetime | None = None


class SubmissionAnswer(BaseModel):
    """A submission that was taken."""

    id: str
    state: str = "queued"
    status_url: str
    events_url: str
    cancel_url: str
    prompts: int
    clips: int
    cached: int = Field(description="Clips that are stored already and cost nothing.")
    worst_case_usd: str = Field(description="What the others cost at the most.")
    fits: bool = Field(description="Whether every budget bears the worst case now.")
    waits_for_daemon: bool = Field(description="No daemon was heard of: it waits until one runs.")


class ModelPlanAnswer(BaseModel):
    """One model's share of a plan, in clips."""

    model: str
    kind: str
    cached: int
    open: int
    to_generate: int
    worst_case_usd: str


class BudgetPlanAnswer(BaseModel):
    """What a plan asks of one budget."""

    budget: str
    cap_usd: str
    headroom_usd: str
    needed_usd: str
    fits: bool


class PlanAnswer(BaseModel):
    """What would be made, and what it would cost at the most; nothing was taken."""

    dry_run: bool = True
    prompts: int
    clips: int
    cached: int
    open: int
    to_generate: int
    worst_case_usd: str
    fits: bool
    models: list[ModelPlanAnswer]
    budgets: list[BudgetPlanAnswer]


class Counts(BaseModel):
    """A job's prompts by state."""

    queued: int
    running: int
    completed: int
    failed: int
    cancelled: int
    refused_by_budget: int


class ItemClip(BaseModel):
    """A clip of one prompt."""

    clip_id: str
    variant: int
    sha256: str
    media_url: str
    cost_usd: str


class JobItem(BaseModel):
    """One prompt of a job."""

    position: int
    kind: str
    prompt_id: str
    variants: int
    state: str
    error_class: str | None = None
    error: str | None = None
    run_id: str | None = None
    clips: list[ItemClip] = Field(default_factory=list[ItemClip])


class JobAnswer(BaseModel):
    """How a submission stands."""

    id: str
    state: str
    prompts: int
    clips: int
    cached: int
    counts: Counts
    worst_case_usd: str
    charged_usd: str = Field(description="What was charged for it so far.")
    reserved_usd: str = Field(description="What is set aside for what is under way.")
    cancel_requested: bool
    waits_for_daemon: bool
    status_url: str
    events_url: str
    cancel_url: str
    items_url: str
    created_at: datetime
    updated_at: datetime
    finished_at: datetime | None
    items: list[JobItem] = Field(
        default_factory=list[JobItem], description="The first hundred; items_url has all."
    )


class Page(BaseModel):
    """A page of a list."""

    next_cursor: str | None = Field(
        default=None, description="Give it as ?cursor= for the next page."
    )


class JobPage(Page):
    """Submissions, the newest first."""

    items: list[JobAnswer]


class ItemPage(Page):
    """A job's prompts in their order."""

    items: list[JobItem]


class ClipAnswer(BaseModel):
    """A stored clip."""

    id: str
    kind: str
    prompt_id: str
    collection: str
    variant: int
    model: str
    prompt_text: str
    seed: int | None
    inputs: dict[str, Any]
    sha256: str
    bytes: int
    mime: str
    width: int | None
    height: int | None
    duration_seconds: float | None
    cost_usd: str
    prediction_id: str
    run_id: str
    created_at: datetime
    superseded_at: datetime | None
    kept: bool = Field(description="Retention keeps it for good.")
    review_state: str | None
    review_id: int | None
    object_uri: str
    media_url: str
    regenerate_url: str


class ReviewAnswer(BaseModel):
    """A verdict."""

    review_id: int
    clip_id: str
    sha256: str
    verdict: str
    reason_code: str
    note: str
    actor: str
    created_at: datetime
    supersedes: int | None
    undo_url: str
    retake: SubmissionAnswer | None = Field(
        default=None, description="The take that the collection wants of what is rejected."
    )


class ReviewsAnswer(Page):
    """Verdicts."""

    items: list[ReviewAnswer]


class ClipDetail(ClipAnswer):
    """A stored clip with its history."""

    takes: list[ItemClip]
    reviews: list[ReviewAnswer]


class ClipPage(Page):
    """Clips, the newest first."""

    items: list[ClipAnswer]
    total: int | None = Field(default=None, description="How many there are; on the first page.")


class FileAnswer(BaseModel):
    """An uploaded file."""

    id: str
    kind: str
    mime: str
    bytes: int
    sha256: str
    width: int | None
    height: int | None
    created_at: datetime
    expires_at: datetime


class FilePage(Page):
    """Files, the newest first."""

    items: list[FileAnswer]


class BudgetAnswer(BaseModel):
    """One budget as it stands."""

    budget: str
    period: str
    cap_usd: str | None
    charged_usd: str
    reserved_usd: str
    headroom_usd: str | None


class BudgetsAnswer(BaseModel):
    """All budgets."""

    items: list[BudgetAnswer]


class ModelAnswer(BaseModel):
    """A model that clips can be made with."""

    model: str
    kind: str
    usd: str | None
    unit: str | None
    takes_reference: bool
    takes_seed: bool
    inputs: dict[str, Any]


class ModelsAnswer(BaseModel):
    """All models."""

    items: list[ModelAnswer]


class Health(BaseModel):
    """How the service itself is."""

    status: str


class CheckAnswer(BaseModel):
    """How one part was when it was last looked at."""

    part: str
    state: str
    needed: bool = Field(description="Whether the service is not ready when it fails.")
    detail: str
    advice: str
    checked_at: datetime
    seconds: float


class Readiness(Health):
    """What the service needs."""

    ledger: str
    daemon: str
    waiting: int = Field(description="Prompts that wait for a run.")
    note: str = ""
    failing: list[str] = Field(description="The parts for which it is not ready.")
    checks: list[CheckAnswer] = Field(description="Every part that is looked at.")
