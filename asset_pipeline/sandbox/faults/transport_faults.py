"""Faults of the wire: what the client sees instead of the reply."""

from __future__ import annotations

import asyncio

from starlette.responses import HTMLResponse, Response

from asset_pipeline.sandbox.faults.names import FaultName
from asset_pipeline.sandbox.faults.plan import FaultRule
from asset_pipeline.sandbox.problems import (
    ProblemError,
    insufficient_credit,
    not_found,
    problem,
    throttled_for_low_credit,
    unauthenticated,
)

_OWN_ERROR = 500
UNAVAILABLE = 503


class DroppedConnectionError(Exception):
    """Raised to close the connection without a reply."""


async def strike_before(rule: FaultRule | None) -> None:
    """Do what a fault does before the request is acted upon.

    Raises:
        DroppedConnectionError: The client is to see a dropped connection.
        ProblemError: The client is to see an error.
    """
    if rule is None:
        return
    params = rule.params
    match rule.fault:
        case FaultName.LOST_REPLY_BEFORE:
            raise DroppedConnectionError
        case FaultName.ERROR_5XX_BEFORE | FaultName.GET_5XX:
            raise ProblemError(server_error(params.status or _OWN_ERROR))
        case FaultName.RATE_LIMITED:
            raise ProblemError(throttled_for_low_credit(params.retry_after, header=params.header))
        case FaultName.INSUFFICIENT_CREDIT:
            raise ProblemError(insufficient_credit())
        case FaultName.UNAUTHENTICATED:
            raise ProblemError(unauthenticated())
        case FaultName.NOT_FOUND_ONCE | FaultName.FORGOTTEN:
            raise ProblemError(not_found())
        case FaultName.OUTAGE:
            raise ProblemError(refusal_in_outage(rule))
        case FaultName.SLOW:
            await asyncio.sleep(params.seconds)
        case _:
            return


def strike_after(rule: FaultRule | None) -> None:
    """Do what a fault does after the request was acted upon.

    Raises:
        DroppedConnectionError: The client is to see a dropped connection.
        ProblemError: The client is to see an error.
    """
    if rule is None:
        return
    if rule.fault is FaultName.LOST_REPLY_AFTER:
        raise DroppedConnectionError
    if rule.fault is FaultName.ERROR_5XX_AFTER:
        raise ProblemError(server_error(rule.params.status or _OWN_ERROR))


async def strike_while_late(rule: FaultRule) -> None:
    """Answer a client whose create is taken up later, if the rule does not let it wait.

    Raises:
        DroppedConnectionError: The client is to see a dropped connection.
        ProblemError: The client is to see an error.
    """
    params = rule.params
    if params.drop or params.status is not None:
        await asyncio.sleep(min(params.after, params.seconds))
    if params.drop:
        raise DroppedConnectionError
    if params.status is not None:
        raise ProblemError(server_error(params.status))


def refusal_in_outage(rule: FaultRule) -> Response:
    """Return what every request is answered during an outage: 503, unless told otherwise.

    Raises:
        DroppedConnectionError: The rule says to drop.
    """
    if rule.params.drop:
        raise DroppedConnectionError
    return server_error(rule.params.status or UNAVAILABLE)


def server_error(status: int) -> Response:
    """Return a 5xx: the API's own is a problem, a gateway's is a web page."""
    if status == _OWN_ERROR:
        return problem(500, "Internal server error", "An unexpected error occurred.")
    title = {502: "Bad Gateway", 503: "Service Unavailable", 504: "Gateway Timeout"}.get(
        status, "Server Error"
    )
    page = f"<html><head><title>{status} {title}</title></head><body>{title}</body></html>"
    return HTMLResponse(page, status)
