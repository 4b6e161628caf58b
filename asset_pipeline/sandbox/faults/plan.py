"""The fault plan: an ordered list of rules, from a YAML file or ``POST /sandbox/faults``.

    faults:
      - fault: lost_reply_after            # accepted and billed, then the connection drops
        match: {prompt: cover, nth: 3}     # the third create whose prompt says "cover"
      - fault: failed
        match: {probability: 0.1, seed: 7} # one request in ten, drawn from its input
        per_prompt: 1                      # and no prompt twice
        params: {code: E9828}
      - fault: failed
        match: {share: 0.05}               # one prompt in twenty, at every attempt
        params: {code: NSFW}
      - fault: outage
        match: {nth: 40}                   # from the fortieth create on
        params: {seconds: 30}

The first rule that matches a request decides; the others do not count it.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from asset_pipeline.errors import ConfigurationError


class Route(StrEnum):
    """The requests that faults can hit."""

    CREATE = "create"
    GET = "get"
    LIST = "list"
    CANCEL = "cancel"
    FILE = "file"


class FaultName(StrEnum):
    """Everything that can go wrong."""

    LOST_REPLY_BEFORE = "lost_reply_before"
    LOST_REPLY_AFTER = "lost_reply_after"
    ERROR_5XX_BEFORE = "error_5xx_before"
    ERROR_5XX_AFTER = "error_5xx_after"
    GET_5XX = "get_5xx"
    RATE_LIMITED = "rate_limited"
    INSUFFICIENT_CREDIT = "insufficient_credit"
    UNAUTHENTICATED = "unauthenticated"
    NOT_FOUND_ONCE = "not_found_once"
    OUTAGE = "outage"
    SLOW = "slow"
    FAILED = "failed"
    ABORTED = "aborted"
    CANCELED = "canceled"
    SHORT_LIST = "short_list"
    WRONG_OUTPUT_TYPE = "wrong_output_type"
    EXPIRED_OUTPUT = "expired_output"
    TRUNCATED = "truncated"
    EMPTY = "empty"
    BLANK = "blank"
    SILENT = "silent"
    HTML_PAGE = "html_page"
    WRONG_MEDIA = "wrong_media"
    OVERSIZE = "oversize"
    WEBHOOK_ABSENT = "webhook_absent"


# What a failed prediction says, by code. The words around a code vary with the model; the code and
# the phrases about unsafe content are the provider's own.
FAILED_ERRORS = {
    "PA": "Prediction interrupted; please retry (code: PA)",
    "E9828": "Director: unexpected error handling prediction (E9828)",
    "E6716": "Director: prediction did not start in time (E6716)",
    "E1000": "Prediction failed for an unknown reason (E1000)",
    "E8765": "Prediction failed for an unknown reason (E8765)",
    "E1001": "CUDA out of memory (E1001)",
    "E005": "The input or output was flagged as sensitive. Please try again. (E005)",
    "NSFW": "NSFW content detected. Try running it again, or try a different prompt.",
    "ALL_NSFW": "All generated images contained NSFW content. Try a different prompt.",
    "E8367": "Prediction was stopped (E8367)",
    "E9243": "Error starting prediction (E9243)",
    "E9825": "Error uploading the output (E9825)",
    "E4875": "The webhook URL is not valid (E4875)",
}

_F, _R = FaultName, Route
_ANY = (_R.CREATE, _R.GET, _R.LIST, _R.CANCEL, _R.FILE)
_API = (_R.CREATE, _R.GET, _R.LIST, _R.CANCEL)
_OUTPUT = (_R.CREATE, _R.FILE)

# Where each may strike; the first is the default.
ROUTES: dict[FaultName, tuple[Route, ...]] = {
    _F.LOST_REPLY_BEFORE: _ANY,
    _F.LOST_REPLY_AFTER: (_R.CREATE, _R.CANCEL),
    _F.ERROR_5XX_BEFORE: _ANY,
    _F.ERROR_5XX_AFTER: (_R.CREATE, _R.CANCEL),
    _F.GET_5XX: (_R.GET,),
    _F.RATE_LIMITED: _API,
    _F.INSUFFICIENT_CREDIT: (_R.CREATE,),
    _F.UNAUTHENTICATED: _API,
    _F.NOT_FOUND_ONCE: (_R.GET,),
    _F.OUTAGE: _ANY,
    _F.SLOW: _ANY,
    _F.FAILED: (_R.CREATE,),
    _F.ABORTED: (_R.CREATE,),
    _F.CANCELED: (_R.CREATE,),
    _F.SHORT_LIST: (_R.CREATE,),
    _F.WRONG_OUTPUT_TYPE: (_R.CREATE,),
    _F.EXPIRED_OUTPUT: _OUTPUT,
    _F.TRUNCATED: _OUTPUT,
    _F.EMPTY: _OUTPUT,
    _F.BLANK: _OUTPUT,
    _F.SILENT: _OUTPUT,
    _F.HTML_PAGE: _OUTPUT,
    _F.WRONG_MEDIA: _OUTPUT,
    _F.OVERSIZE: _OUTPUT,
    _F.WEBHOOK_ABSENT: (_R.CREATE,),
}
# These belong to the prediction: decided when it is created, kept with it.
KEPT = frozenset(name for name, routes in ROUTES.items() if routes in ((_R.CREATE,), _OUTPUT)) - {
    _F.INSUFFICIENT_CREDIT
} | {_F.SLOW}


class _Part(BaseModel):
    # Unknown fields are refused: a rule with a misspelt condition would strike everything.
    model_config = ConfigDict(frozen=True, extra="forbid")


class Match(_Part):
    """Which requests a rule is about; what is left out matches all."""

    route: Route | None = None
    model: str | None = Field(default=None, description="owner/name; * stands for anything.")
    prompt: str | None = Field(default=None, description="A part of the prompt, in any case.")
    nth: int | tuple[int, ...] | None = Field(
        default=None, description="Of the requests that match so far."
    )
    every: int | None = Field(default=None, ge=1, description="Each so many of them.")
    probability: float | None = Field(
        default=None, ge=0, le=1, description="Drawn from seed and input."
    )
    share: float | None = Field(
        default=None, ge=0, le=1, description="Of the prompts, drawn from seed and prompt."
    )
    seed: int = 0


class Params(_Part):
    """How a fault strikes; each fault reads only its own."""

    status: int = Field(
        default=500, ge=500, le=599, description="error_5xx_*, get_5xx; an outage's is 503."
    )
    retry_after: int = Field(default=5, ge=0, description="rate_limited: seconds.")
    header: bool = Field(default=True, description="rate_limited: whether Retry-After is sent.")
    code: str = Field(default="PA", description="failed: one of the provider's errors.")
    error: str | None = Field(default=None, description="failed: other words than the code's.")
    seconds: float = Field(default=5, ge=0, description="slow, outage.")
    drop: bool = Field(default=False, description="outage, truncated: the connection is dropped.")
    keep: int = Field(default=0, ge=0, description="short_list: outputs that stay.")
    what: Literal["file", "data"] = Field(
        default="file", description="expired_output: the file is gone, or the whole output with it."
    )
    bytes: int = Field(default=200_000_000, ge=1, description="oversize: length of the file.")

    @property
    def failure(self) -> str:
        """What a failed prediction says."""
        return FAILED_ERRORS[self.code] if self.error is None else self.error

    @field_validator("code")
    @classmethod
    def _check_code(cls, value: str) -> str:
        if value not in FAILED_ERRORS:
            raise ValueError(f"{value} is none of {', '.join(FAILED_ERRORS)}")
        return value


class FaultRule(_Part):
    """One rule.

    ``times`` bounds how often it strikes in all, ``per_prompt`` how often it strikes one prompt.
    """

    fault: FaultName
    match: Match = Match()
    times: int | None = Field(default=None, ge=1)
    per_prompt: int | None = Field(default=None, ge=1)
    params: Params = Params()

    @property
    def route(self) -> Route:
        """The requests it can hit."""
        return self.match.route or ROUTES[self.fault][0]

    @model_validator(mode="after")
    def _check_route(self) -> FaultRule:
        if self.route not in ROUTES[self.fault]:
            allowed = ", ".join(ROUTES[self.fault])
            raise ValueError(f"{self.fault} can strike {allowed}, not {self.route}")
        return self


class FaultPlan(_Part):
    """A whole plan."""

    faults: tuple[FaultRule, ...]


def load_plan(path: Path) -> FaultPlan:
    """Read a plan from a YAML file.

    Raises:
        ConfigurationError: The file cannot be read or breaks the form; the error names the field.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        return FaultPlan.model_validate(document)
    except OSError as error:
        raise ConfigurationError(
            f"The fault plan {path} cannot be read: {error.strerror}.", hint="Check the path."
        ) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigurationError(
            f"The fault plan {path} is not YAML: {error}.", hint="Correct the file."
        ) from error
    except ValidationError as error:
        raise ConfigurationError(
            f"The fault plan {path}: {explain(error)}.", hint="Correct the rule."
        ) from None


def explain(error: ValidationError) -> str:
    """Return a validation error as one line."""
    return "; ".join(
        f"{'.'.join(str(part) for part in issue['loc'])}: {issue['msg']}"
        for issue in error.errors(include_url=False)
    )
