"""Refusals as ``application/problem+json``, in the very words that Replicate uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from starlette.responses import JSONResponse, Response


class ProblemResponse(JSONResponse):
    """A JSON reply that says it is a problem."""

    media_type = "application/problem+json"


@dataclass(frozen=True, slots=True)
class InvalidField:
    """One reason for a 422.

    Args:
        type: The broken rule, such as ``required``.
        field: Dotted path in the body, such as ``input.num_outputs``.
        description: The reason for people.
    """

    type: str
    field: str
    description: str


class ProblemError(Exception):
    """Raised by a handler to answer with an error."""

    def __init__(self, response: Response) -> None:
        super().__init__(response.status_code)
        self.response = response


def problem(
    status: int, title: str, detail: str, headers: Mapping[str, str] | None = None
) -> ProblemResponse:
    """Return a problem with a title."""
    body = {"title": title, "detail": detail, "status": status}
    return ProblemResponse(body, status, headers)


def unauthenticated() -> ProblemResponse:
    """401: no token, or one that is not valid."""
    return problem(401, "Unauthenticated", "You did not pass a valid authentication token")


def insufficient_credit() -> ProblemResponse:
    """402: the account cannot pay."""
    return problem(
        402,
        "Insufficient credit",
        "You have insufficient credit to run this model. "
        "Go to https://replicate.com/account/billing#billing to purchase credit. "
        "Once you purchase credit, please wait a few minutes before trying again.",
    )


def not_found(detail: str = "The requested resource could not be found.") -> ProblemResponse:
    """404: no such thing, or not yours."""
    return problem(404, "Not found", detail)


def too_large(most: int) -> ProblemResponse:
    """413: a body over the limit.

    Args:
        most: Bytes allowed.
    """
    detail = f"The body of this request may have at most {most:,} bytes."
    return problem(413, "Request entity too large", detail)


def unsupported_type(expected: str) -> ProblemResponse:
    """415: a body of a type that the route does not take."""
    return problem(415, "Unsupported media type", f"The body of this request must be {expected}.")


def invalid_version() -> ProblemResponse:
    """422: a version that does not exist."""
    return problem(
        422,
        "Invalid version or not permitted",
        "The specified version does not exist (or perhaps you don't have permission to use it?)",
    )


def invalid(fields: Sequence[InvalidField]) -> ProblemResponse:
    """422: the body or the input breaks the schema."""
    body = {
        "title": "Input validation failed",
        "status": 422,
        "detail": "".join(f"- {field.field}: {field.description}\n" for field in fields),
        "invalid_fields": [
            {"type": field.type, "field": field.field, "description": field.description}
            for field in fields
        ],
    }
    return ProblemResponse(body, 422)


def check_query(query: Mapping[str, str], known: Sequence[str]) -> None:
    """Refuse a query that asks for what there is not; ``created_afer`` would list everything.

    Raises:
        ProblemError: 422, naming each parameter that is not known.
    """
    issues = [
        InvalidField("additional_property_not_allowed", name, f"{name} is not a parameter")
        for name in query
        if name not in known
    ]
    if issues:
        raise ProblemError(invalid(issues))


def throttled(limit: int, what: str, retry_after: int, *, header: bool = True) -> ProblemResponse:
    """429: over the limit.

    Args:
        limit: Requests allowed a minute.
        what: What is limited, such as ``creating predictions``.
        retry_after: Seconds until another is allowed.
        header: Whether to send ``Retry-After`` too.
    """
    detail = (
        f"Request was throttled. Your rate limit for {what} is {limit} requests per minute. "
        f"Your rate limit resets in ~{retry_after}s."
    )
    return _throttled(detail, retry_after, header=header)


def throttled_for_low_credit(retry_after: int, *, header: bool) -> ProblemResponse:
    """429 as an account with little credit meets it: 6 creates a minute."""
    detail = (
        "Request was throttled. Your rate limit for creating predictions is reduced to "
        "6 requests per minute with a burst of 1 requests while you have less than $5.0 in "
        f"credit. Your rate limit resets in ~{retry_after}s."
    )
    return _throttled(detail, retry_after, header=header)


def _throttled(detail: str, retry_after: int, *, header: bool) -> ProblemResponse:
    body = {"detail": detail, "status": 429, "retry_after": retry_after}
    return ProblemResponse(body, 429, {"Retry-After": str(retry_after)} if header else None)
