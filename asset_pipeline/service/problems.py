"""What a caller is told when something can't be done: RFC 9457, a code and the request's id."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException as StarletteHTTPException

from asset_pipeline.disclosure.process_redactor import redacted
from asset_pipeline.errors import AssetPipelineError, ConfigurationError
from asset_pipeline.ledger.engine import LedgerError
from asset_pipeline.ledger.reviews import NoSuchClipError, StaleVerdictError
from asset_pipeline.ledger.submissions import IdempotencyKeyReusedError, PromptTakenError
from asset_pipeline.ledger.uploads import QuotaExceededError

MEDIA_TYPE = "application/problem+json"

_log = logging.getLogger("asset_pipeline.service")

_CODES = {
    400: "bad_request",
    401: "unauthenticated",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    409: "conflict",
    411: "length_required",
    413: "too_large",
    415: "unsupported_media_type",
    422: "invalid",
    429: "rate_limited",
    500: "internal_error",
    503: "unavailable",
}


class Finding(BaseModel):
    """One thing that is wrong with a request, at its place."""

    pointer: str = Field(description="A JSON pointer into the body, or `?name` of a parameter.")
    detail: str
    hint: str = ""


class Problem(BaseModel):
    """Why a request was not done."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[Finding] = Field(default_factory=list[Finding])


class ProblemError(Exception):
    """Ends a request with a problem.

    Args:
        status: The HTTP status.
        code: What it is, for programs.
        detail: What it is, for people.
        errors: Places in the body.
        headers: Sent with it.
        more: Further members of the problem.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        errors: Sequence[Finding] = (),
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})
        self.more = dict(more or {})


def problem_response(request: Request, problem: ProblemError) -> JSONResponse:
    """Return a problem as the answer to a request."""
    request.state.problem_code = problem.code
    body = Problem(
        title=HTTPStatus(problem.status).phrase,
        status=problem.status,
        detail=redacted(problem.detail),
        code=problem.code,
        request_id=request_id_of(request),
        errors=list(problem.errors),
    ).model_dump()
    return JSONResponse(
        body | problem.more, problem.status, headers=problem.headers, media_type=MEDIA_TYPE
    )


def request_id_of(request: Request) -> str:
    """Return the id that a request was given when it came in."""
    return str(getattr(request.state, "request_id", ""))


def install(app: FastAPI) -> None:
    """Answer every error with a problem."""
    app.add_exception_handler(ProblemError, _on_problem)
    app.add_exception_handler(StarletteHTTPException, _on_http)
    app.add_exception_handler(RequestValidationError, _on_invalid)
    app.add_exception_handler(AssetPipelineError, _on_expected)
    app.add_exception_handler(Exception, _on_surprise)


async def _on_problem(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, ProblemError)  # noqa: S101 -- registered for it
    return problem_response(request, error)


async def _on_http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, StarletteHTTPException)  # noqa: S101 -- registered for it
    code = _CODES.get(error.status_code, "error")
    problem = ProblemError(error.status_code, code, str(error.detail), headers=error.headers)
    return problem_response(request, problem)


async def _on_invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101 -- registered for it
    found = [
        Finding(pointer=_pointer(issue["loc"]), detail=issue["msg"]) for issue in error.errors()
    ]
    problem = ProblemError(
        422, "invalid", "The request is not what this operation takes.", errors=found[:100]
    )
    return problem_response(request, problem)


async def _on_expected(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, AssetPipelineError)  # noqa: S101 -- registered for it
    return problem_response(request, problem_of(error))


async def _on_surprise(request: Request, error: Exception) -> JSONResponse:
    _log.exception("%s %s", request.method, request.url.path, exc_info=error)
    problem = ProblemError(500, "internal_error", "Something went wrong here; the log has more.")
    return problem_response(request, problem)


def problem_of(error: AssetPipelineError) -> ProblemError:
    """Return what an error of the project is over HTTP."""
    detail = f"{error.message} {error.hint}".strip()
    if isinstance(error, StaleVerdictError):
        return ProblemError(409, error.code, detail, more={"current_clip_id": error.current})
    if isinstance(error, LedgerError):
        retry = {"Retry-After": "5"}
        return ProblemError(503, "ledger_unavailable", detail, headers=retry)
    for known, status, code in _KNOWN:
        if isinstance(error, known):
            return ProblemError(status, code, detail)
    return ProblemError(422, "invalid", detail)


_KNOWN = (
    (NoSuchClipError, 404, "not_found"),
    (IdempotencyKeyReusedError, 422, "idempotency_key_reused"),
    (PromptTakenError, 409, "prompt_taken"),
    (QuotaExceededError, 413, "quota_exceeded"),
    (ConfigurationError, 503, "misconfigured"),
)


def _pointer(where: Sequence[int | str]) -> str:
    place, *steps = where or ("body",)
    if place == "body":
        return "".join(f"/{_escaped(str(step))}" for step in steps)
    return f"?{'.'.join(str(step) for step in steps)}"


def _escaped(step: str) -> str:
    return step.replace("~", "~0").replace("/", "~1")
