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
      - fault: hidden_seed                 # wherever the prediction is shown
        match: {model: "black-forest-labs/*"}
    clock:
      skew_seconds: -90                    # the server's clock is behind

The first rule that matches a request decides; the others do not count it. Only rules about what is
shown of a prediction add up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from asset_pipeline.config.error_messages import first_issues
from asset_pipeline.config.yaml_source import (
    CONFIGURATION_BYTES,
    SourceError,
    parse_yaml,
    read_utf8,
)
from asset_pipeline.errors import ConfigurationError
from asset_pipeline.sandbox.faults.names import ROUTES, SHOWN, FaultName, Route

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

_DAY = 86_400.0


class _Part(BaseModel):
    # Unknown fields are refused: a rule with a misspelt condition would strike everything.
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


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

    status: int | None = Field(
        default=None,
        ge=500,
        le=599,
        description="error_5xx_*, get_5xx: 500 when left out; outage, late_file: 503;"
        " late_acceptance: given, the client is answered so before it is accepted.",
    )
    retry_after: int = Field(default=5, ge=0, description="rate_limited: seconds.")
    header: bool = Field(default=True, description="rate_limited: whether Retry-After is sent.")
    code: str = Field(default="PA", description="failed: one of the provider's errors.")
    error: str | None = Field(default=None, description="failed: other words than the code's.")
    seconds: float = Field(
        default=5,
        ge=0,
        le=_DAY,
        description="slow, outage; late_acceptance: until it is accepted; late_file: after its"
        " end until the file is right.",
    )
    drop: bool = Field(
        default=False,
        description="outage, truncated, late_acceptance, late_file with truncated: the connection"
        " is dropped.",
    )
    after: float = Field(
        default=0,
        ge=0,
        le=_DAY,
        description="forgotten: seconds after its creation; late_acceptance: seconds until the"
        " connection drops, or the status is answered.",
    )
    lasting: float | None = Field(
        default=None, gt=0, le=_DAY, description="forgotten: seconds; left out, for good."
    )
    listed: bool = Field(default=True, description="forgotten: whether listings still have it.")
    keep: int = Field(default=0, ge=0, description="short_list: outputs that stay.")
    what: Literal["file", "data"] = Field(
        default="file", description="expired_output: the file is gone, or the whole output with it."
    )
    bytes: int = Field(default=200_000_000, ge=1, description="oversize: length of the file.")
    answer: Literal["not_found", "forbidden", "error_5xx", "html_page", "empty", "truncated"] = (
        Field(default="not_found", description="late_file: what comes before the file is right.")
    )
    form: Literal["version", "upper", "lower", "alias"] = Field(
        default="version",
        description="other_model_name: owner/name:version, in capitals, in small letters, or the"
        " alias.",
    )
    alias: str | None = Field(
        default=None, min_length=1, max_length=200, description="other_model_name: what is shown."
    )
    hide: Literal["missing", "null"] = Field(
        default="missing", description="hidden_seed: the seed is left out, or null."
    )
    metrics: dict[str, int | float | str | None] = Field(
        default={},
        description="absurd_metrics: what is shown by name; null leaves one out.",
    )
    shape: Literal[
        "string",
        "list",
        "object",
        "nested_list",
        "nested_object",
        "data_uri",
        "several",
        "none",
    ] = Field(default="list", description="output_shape: how the output is shown.")
    files: int = Field(
        default=2, ge=2, le=10, description="output_shape several: files, the first the real one."
    )

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
    def routes(self) -> tuple[Route, ...]:
        """The requests it can hit."""
        if self.match.route is not None:
            return (self.match.route,)
        possible = ROUTES[self.fault]
        if self.fault in SHOWN:
            return possible
        if self.fault is FaultName.FORGOTTEN:
            return possible[:2] if self.params.listed else possible
        return possible[:1]

    @model_validator(mode="after")
    def _check_route(self) -> FaultRule:
        possible = ROUTES[self.fault]
        if self.match.route is not None and self.match.route not in possible:
            allowed = ", ".join(possible)
            raise ValueError(f"{self.fault} can strike {allowed}, not {self.match.route}")
        return self

    @model_validator(mode="after")
    def _check_params(self) -> FaultRule:
        if self.fault is FaultName.ABSURD_METRICS and not self.params.metrics:
            raise ValueError("absurd_metrics needs params.metrics, what is shown by name")
        aliased = self.fault is FaultName.OTHER_MODEL_NAME and self.params.form == "alias"
        if aliased and self.params.alias is None:
            raise ValueError("other_model_name needs params.alias, what is shown")
        return self


class ClockSkew(_Part):
    """How far the server's clock is off, in seconds; ahead when positive."""

    skew_seconds: float = Field(
        default=0, ge=-_DAY, le=_DAY, description="All times, and the Date header."
    )
    created_at_seconds: float = Field(
        default=0, ge=-_DAY, le=_DAY, description="created_at alone, on top of that."
    )


class FaultPlan(_Part):
    """A whole plan: what goes wrong, and how far the clock is off."""

    faults: tuple[FaultRule, ...] = ()
    clock: ClockSkew | None = Field(
        default=None, description="Left out, the clock stays as it is; at a server's start, right."
    )


def load_plan(path: Path) -> FaultPlan:
    """Read a plan from a YAML file.

    Raises:
        ConfigurationError: The file cannot be read or breaks the form; the error names the field.
    """
    try:
        document = parse_yaml(read_utf8(path, most=CONFIGURATION_BYTES))
    except SourceError as error:
        line = "" if error.line is None else f" at line {error.line}"
        raise ConfigurationError(
            f"The fault plan {path} cannot be read{line}: {error.message}", hint=error.hint
        ) from error
    for flaw in document.flaws:
        message = f"The fault plan {path}, line {flaw.line}: {flaw.message}"
        raise ConfigurationError(message, hint=flaw.hint)
    try:
        return FaultPlan.model_validate(document.value)
    except ValidationError as error:
        raise ConfigurationError(
            f"The fault plan {path}: {explain(error)}.", hint="Correct the rule."
        ) from None


def explain(error: ValidationError) -> str:
    """Return a validation error as one line."""
    return "; ".join(
        f"{'.'.join(str(part) for part in issue['loc'])}: {issue['msg']}"
        for issue in first_issues(error)
    )
