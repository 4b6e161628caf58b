"""The list of predictions: a hundred a page, newest first, with opaque cursors."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field, TypeAdapter

from asset_pipeline.sandbox.lifecycle import Prediction, from_row
from asset_pipeline.sandbox.problems import InvalidField, ProblemError, check_query, invalid
from asset_pipeline.sandbox.state import MICROSECONDS, State

PAGE = 100


@dataclass(frozen=True, slots=True)
class Page:
    """One page, and the query strings of its neighbours."""

    predictions: list[Prediction]
    next: str | None
    previous: str | None


# What fits a column: a cursor comes from outside, whoever made it.
_Whole = Annotated[int, Field(strict=True, ge=-(1 << 62), le=1 << 62)]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a page begins: after (older than) or before (newer than) a prediction."""

    created_us: _Whole
    seq: _Whole
    newer: bool
    after_us: _Whole | None
    before_us: _Whole | None


_CURSOR = TypeAdapter(_Place)


def read_page(state: State, account: str, query: Mapping[str, str]) -> Page:
    """Return the page of an account's predictions that a query asks for.

    ``created_after`` is inclusive, ``created_before`` is not; a cursor carries both along.

    Raises:
        ProblemError: 422 for a time or a cursor that cannot be read, or a query of other names.
    """
    check_query(query, ("cursor", "created_after", "created_before", "source"))
    if query.get("source", "web") != "web":
        raise _refusal("source", "must be one of the following: web")
    if "source" in query:
        return Page([], None, None)  # everything here came by the API
    place = _place(query)
    conditions = ["account = :account"]
    if place.seq:
        conditions.append(f"(created_us, seq) {'>' if place.newer else '<'} (:created_us, :seq)")
    if place.after_us is not None:
        conditions.append("created_us >= :after_us")
    if place.before_us is not None:
        conditions.append("created_us < :before_us")
    order = "ASC" if place.newer else "DESC"
    rows = state.connection.execute(
        f"SELECT * FROM predictions WHERE {' AND '.join(conditions)}"  # noqa: S608 -- fixed words, bound values
        f" ORDER BY created_us {order}, seq {order} LIMIT {PAGE + 1}",
        {
            "account": account,
            "created_us": place.created_us,
            "seq": place.seq,
            "after_us": place.after_us,
            "before_us": place.before_us,
        },
    ).fetchall()
    more = len(rows) > PAGE
    found = [from_row(row) for row in rows[:PAGE]]
    if place.newer:
        found.reverse()
    if not found:
        return Page([], None, None)
    older_exist = place.newer or more
    newer_exist = more if place.newer else bool(place.seq)
    return Page(
        found,
        _cursor(found[-1], place, newer=False) if older_exist else None,
        _cursor(found[0], place, newer=True) if newer_exist else None,
    )


def _place(query: Mapping[str, str]) -> _Place:
    cursor = query.get("cursor")
    if cursor is None:
        after, before = _moment(query, "created_after"), _moment(query, "created_before")
        return _Place(0, 0, newer=False, after_us=after, before_us=before)
    try:
        return _CURSOR.validate_json(base64.urlsafe_b64decode(cursor))
    except ValueError:
        raise _refusal("cursor", "Invalid cursor") from None


def _cursor(edge: Prediction, place: _Place, *, newer: bool) -> str:
    values = {
        "created_us": edge.created_us,
        "seq": edge.seq,
        "newer": newer,
        "after_us": place.after_us,
        "before_us": place.before_us,
    }
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode()


def _moment(query: Mapping[str, str], name: str) -> int | None:
    given = query.get(name)
    if given is None:
        return None
    try:
        # An unescaped plus sign arrives as a space.
        moment = datetime.fromisoformat(given.replace(" ", "+"))
    except ValueError:
        raise _refusal(name, "Does not match format 'date-time'") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    whole = moment.replace(microsecond=0)
    return int(whole.timestamp()) * MICROSECONDS + moment.microsecond


def _refusal(field: str, description: str) -> ProblemError:
    return ProblemError(invalid([InvalidField("format", field, description)]))
