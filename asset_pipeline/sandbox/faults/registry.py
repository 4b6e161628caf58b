"""Which rule strikes which request; the counts are shared by all processes on one state."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

from pydantic import JsonValue

from asset_pipeline.sandbox.faults.names import SHOWN, STEADY, STRIKING, FaultName, Route
from asset_pipeline.sandbox.faults.plan import ClockSkew, FaultRule, Match
from asset_pipeline.sandbox.state import MICROSECONDS, Skew, State


@dataclass(frozen=True, slots=True)
class Event:
    """A request that a rule may be about.

    Args:
        route: What is asked for.
        model: ``owner/name`` of the prediction, empty for a list.
        prompt: Its prompt.
        subject: What tells it from others: the input as JSON, or the prediction's id.
        asked: The input as JSON, where it is not the subject.
        age: Seconds since it was created; of a file, since the prediction ended.
    """

    route: Route
    model: str = ""
    prompt: str = ""
    subject: str = ""
    asked: str = ""
    age: float = 0.0


class FaultRegistry:
    """The rules in force, and how often each has matched and struck."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._version = -1
        self._rules: list[tuple[int, FaultRule]] = []

    def add(self, rules: Iterable[FaultRule], *, instead: bool = False) -> None:
        """Append rules, or put them in the place of all others."""
        with self._state.transaction() as connection:
            if instead:
                _clear(connection)
            connection.executemany(
                "INSERT INTO fault_rules (rule) VALUES (?)",
                [(rule.model_dump_json(exclude_defaults=True),) for rule in rules],
            )
            _touch(connection)

    def clear(self) -> None:
        """Remove all rules and set the clock right; predictions keep the faults they were given."""
        self.add((), instead=True)
        self.set_clock(ClockSkew())

    def clock(self) -> ClockSkew:
        """Return how far the clock that clients see is off."""
        skew = self._state.skew()
        return ClockSkew(
            skew_seconds=skew.clock_us / MICROSECONDS,
            created_at_seconds=skew.created_us / MICROSECONDS,
        )

    def set_clock(self, clock: ClockSkew) -> None:
        """Put the clock that clients see off."""
        self._state.set_skew(
            Skew(
                round(clock.skew_seconds * MICROSECONDS),
                round(clock.created_at_seconds * MICROSECONDS),
            )
        )

    def report(self) -> list[JsonValue]:
        """Return the rules with their counts."""
        rows = self._state.connection.execute("SELECT * FROM fault_rules ORDER BY position")
        return [
            {
                **FaultRule.model_validate_json(row["rule"]).model_dump(
                    mode="json", exclude_defaults=True
                ),
                "matched": row["matched"],
                "fired": row["fired"],
            }
            for row in rows
        ]

    def fire(self, event: Event, among: frozenset[FaultName] = STRIKING) -> FaultRule | None:
        """Return the first rule that strikes this request, having counted it."""
        candidates = self._concerning(event, among)
        if not candidates:
            return None
        with self._state.transaction() as connection:
            for position, rule in candidates:
                if self._strikes(connection, position, rule, event):
                    return rule
        return None

    def changes(self, event: Event) -> list[FaultRule]:
        """Return all rules that change how a prediction is shown, having counted them."""
        candidates = self._concerning(event, SHOWN)
        if not candidates:
            return []
        with self._state.transaction() as connection:
            return [
                rule
                for position, rule in candidates
                if self._strikes(connection, position, rule, event)
            ]

    def outage(self) -> FaultRule | None:
        """Return the outage that is on, if one is."""
        outages = [(at, rule) for at, rule in self._current() if rule.fault is FaultName.OUTAGE]
        now = self._state.now_us() if outages else 0
        for position, rule in outages:
            row = self._state.connection.execute(
                "SELECT began_us FROM fault_rules WHERE position = ?", (position,)
            ).fetchone()
            began = row["began_us"] if row is not None else None
            if began is not None and now < began + rule.params.seconds * MICROSECONDS:
                return rule
        return None

    def _concerning(self, event: Event, among: frozenset[FaultName]) -> list[tuple[int, FaultRule]]:
        return [
            (position, rule)
            for position, rule in self._current()
            if rule.fault in among and _concerns(rule, event)
        ]

    def _current(self) -> list[tuple[int, FaultRule]]:
        connection = self._state.connection
        version = connection.execute("SELECT faults_version FROM settings").fetchone()[0]
        if version != self._version:
            rows = connection.execute("SELECT position, rule FROM fault_rules ORDER BY position")
            self._rules = [
                (row["position"], FaultRule.model_validate_json(row["rule"])) for row in rows
            ]
            self._version = version
        return self._rules

    def _strikes(
        self, connection: sqlite3.Connection, position: int, rule: FaultRule, event: Event
    ) -> bool:
        row = connection.execute(
            "UPDATE fault_rules SET matched = matched + 1 WHERE position = ?"
            " RETURNING matched, fired, began_us",
            (position,),
        ).fetchone()
        if row is None or not _turn(rule, event, row["matched"]):
            return False
        if rule.times is not None and row["fired"] >= rule.times:
            return False
        if rule.fault is FaultName.OUTAGE and row["began_us"] is not None:
            return False  # one outage a rule
        if not _spare(connection, position, rule, event):
            return False
        connection.execute(
            "UPDATE fault_rules SET fired = fired + 1, began_us = coalesce(began_us, ?)"
            " WHERE position = ?",
            (self._state.now_us(), position),
        )
        return True


def _concerns(rule: FaultRule, event: Event) -> bool:
    match: Match = rule.match
    return (
        event.route in rule.routes
        and _in_time(rule, event)
        and (match.model is None or fnmatchcase(event.model, match.model))
        and (match.prompt is None or match.prompt.casefold() in event.prompt.casefold())
    )


def _in_time(rule: FaultRule, event: Event) -> bool:
    params = rule.params
    if rule.fault is FaultName.LATE_FILE:
        return event.age < params.seconds
    if rule.fault is FaultName.FORGOTTEN:
        lasting = params.lasting
        over = lasting is not None and event.age >= params.after + lasting
        return bool(event.subject) and event.age >= params.after and not over
    return True


def _turn(rule: FaultRule, event: Event, count: int) -> bool:
    """Return whether this one of the matching requests is meant."""
    match = rule.match
    if match.nth is not None:
        wanted = match.nth if isinstance(match.nth, tuple) else (match.nth,)
        if count not in wanted:
            return False
    if match.every is not None and count % match.every:
        return False
    if match.share is not None and _lot(rule, f"{event.model}|{event.prompt}") >= match.share:
        return False
    if match.probability is None:
        return True
    # Drawn from the input, not from the order of arrival: concurrent runs meet the same faults.
    # A status that is asked for again and again gets a new draw each time.
    if event.route is Route.CREATE or rule.fault in STEADY:
        drawn = _lot(rule, f"{event.asked or event.subject}|")
    else:
        drawn = _lot(rule, f"{event.subject}|{count}")
    return drawn < match.probability


def _lot(rule: FaultRule, subject: str) -> float:
    """Return a number from 0 up to 1 that depends on rule and subject alone."""
    # Without defaults: a parameter that a later release adds moves no draw of an old plan.
    form = rule.model_dump_json(exclude_defaults=True)
    drawn = hashlib.sha256(f"{form}|{subject}".encode()).digest()
    return int.from_bytes(drawn[:6]) / 2**48


def _spare(connection: sqlite3.Connection, position: int, rule: FaultRule, event: Event) -> bool:
    """Return whether the rule may strike this prompt, or prediction, once more."""
    if rule.fault is FaultName.NOT_FOUND_ONCE:
        subject, most = event.subject, 1
    elif rule.per_prompt is not None:
        subject, most = f"{event.model}|{event.prompt}", rule.per_prompt
    else:
        return True
    row = connection.execute(
        "INSERT INTO fault_hits VALUES (?, ?, 1)"
        " ON CONFLICT DO UPDATE SET count = count + 1 RETURNING count",
        (position, hashlib.sha256(subject.encode()).hexdigest()),
    ).fetchone()
    return int(row["count"]) <= most


def _clear(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM fault_rules")
    connection.execute("DELETE FROM fault_hits")


def _touch(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE settings SET faults_version = faults_version + 1")
