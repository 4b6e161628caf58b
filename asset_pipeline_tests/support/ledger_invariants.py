"""What must hold in a ledger at every instant, worked out from its rows alone."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import Connection, Engine, Table

from asset_pipeline.ledger.metric_schema import metric_sums
from asset_pipeline.ledger.schema import (
    OPEN_STATES,
    EntryType,
    IntentState,
    budgets,
    clips,
    entries,
    intents,
)

Row = dict[str, Any]
Sums = Counter[tuple[str | None, str, str]]


def violations(engine: Engine) -> list[str]:
    """Return every broken invariant as a sentence; an empty list is a sound ledger."""
    with engine.connect().execution_options(reading=True) as connection:
        return violations_in(connection)


def violations_in(connection: Connection) -> list[str]:
    """Like :func:`violations`, on an open connection."""
    sums: Sums = Counter()
    found: list[str] = []
    for entry in _rows(connection, entries):
        sums[entry["intent_id"], entry["budget"], entry["type"]] += entry["amount_microusd"]
        signed = {EntryType.ADJUST, EntryType.CHARGE}  # a correction may take something back
        if not entry["amount_microusd"] or (
            entry["amount_microusd"] < 0 and entry["type"] not in signed
        ):
            found.append(f"entry {entry['entry_id']} moves {entry['amount_microusd']}")
    all_intents = _rows(connection, intents)
    found += [line for row in _rows(connection, budgets) for line in _budget(row, sums)]
    found += [line for row in all_intents for line in _intent(row, sums)]
    found += _scopes(_rows(connection, budgets), all_intents)
    found += _open_ones(all_intents)
    found += _clips(_rows(connection, clips), all_intents)
    found += _metrics(connection, all_intents)
    return found


def _metrics(connection: Connection, all_intents: list[Row]) -> list[str]:
    """The sums that metrics are read from, against the intents themselves."""
    counted: Counter[tuple[object, ...]] = Counter()
    charged: Counter[tuple[object, ...]] = Counter()
    for row in _rows(connection, metric_sums):
        if row["name"] == "intents":
            key = (row["kind"], row["model"], row["state"], row["error_class"])
            counted[key] += row["count"]
            charged[key] += row["total"]
    for row in all_intents:
        key = (row["kind"], row["model"], row["state"], row["error_class"] or "")
        counted[key] -= 1
        charged[key] -= row["charged_microusd"]
    return [
        f"the metrics of {key} are {sums[key]:+} {what} off"
        for what, sums in (("intents", counted), ("micro-dollars", charged))
        for key in sums
        if sums[key]
    ]


def _budget(row: Row, sums: Sums) -> list[str]:
    name = row["budget"]
    moved: Counter[str] = Counter()
    for (_, budget, kind), amount in sums.items():
        if budget == name:
            moved[kind] += amount
    cap, charged, reserved = (row[f"{n}_microusd"] for n in ("cap", "charged", "reserved"))
    over = row["overdrawn_microusd"]
    expected = {
        "reserved": (reserved, moved[EntryType.RESERVE] - moved[EntryType.RELEASE]),
        "charged": (charged, moved[EntryType.CHARGE]),
        "cap": (cap, moved[EntryType.ADJUST]),
        "overdrawn": (over, max(0, charged + reserved - cap)),
    }
    lines = [
        f"{name}: {what} is {is_}, not {ought}"
        for what, (is_, ought) in expected.items()
        if is_ != ought
    ]
    if charged + reserved > cap + over:
        lines.append(f"{name}: {charged} + {reserved} passes {cap} + {over}")
    return lines


def _intent(row: Row, sums: Sums) -> list[str]:
    intent_id, state = row["intent_id"], row["state"]
    held, charged = row["reserved_microusd"], row["charged_microusd"]
    payers = {budget for owner, budget, kind in sums if owner == intent_id}
    lines: list[str] = []
    for budget in payers:
        reserved = sums[intent_id, budget, EntryType.RESERVE]
        released = sums[intent_id, budget, EntryType.RELEASE]
        if reserved - released != held:
            lines.append(f"{state} {intent_id}: {budget} holds {reserved - released}, not {held}")
        if sums[intent_id, budget, EntryType.CHARGE] != charged:
            lines.append(f"{state} {intent_id}: {budget} was not charged {charged}")
    if (held or charged) and not payers:
        lines.append(f"{state} {intent_id} holds money of no budget")
    if state not in OPEN_STATES and held:
        lines.append(f"{state} {intent_id} still holds {held}")
    if state == IntentState.REFUSED and charged:
        lines.append(f"refused {intent_id} was charged {charged}")
    accepted = {IntentState.SUBMITTED, IntentState.COMPLETED, IntentState.DELIVERED}
    if state in accepted and not row["prediction_id"]:
        lines.append(f"{state} {intent_id} has no prediction")
    return lines


def _scopes(all_budgets: list[Row], all_intents: list[Row]) -> list[str]:
    """Each budget is the sum over the intents that its name means, whenever its cap was set.

    Worked out from the names alone: neither entries nor what the code takes for a scope are asked.
    """
    lines: list[str] = []
    known = {row["budget"] for row in all_budgets}
    if all_intents and "total" not in known:
        lines.append("there are payments, and no total")
    for budget in all_budgets:
        inside = [row for row in all_intents if _is_in(budget["budget"], row)]
        for column in ("reserved_microusd", "charged_microusd"):
            ought = sum(row[column] for row in inside)
            if budget[column] != ought:
                lines.append(f"{budget['budget']}: {column} is {budget[column]}, not {ought}")
    return lines


def _is_in(budget: str, intent: Row) -> bool:
    kind, _, name = budget.partition(":")
    match kind:
        case "total":
            return True
        case "daily" | "monthly":
            return str(intent["created_at"]).startswith(name)
        case "collection":
            return intent["collection"] == name
        case "run":
            return (intent["run_budget"] or intent["run_id"]) == name
        case "llm":
            return intent["kind"] == "text"
        case _:
            raise AssertionError(f"nobody knows what {budget} counts")


def _open_ones(all_intents: list[Row]) -> list[str]:
    open_ = Counter(row["generation_hash"] for row in all_intents if row["state"] in OPEN_STATES)
    return [f"{count} open intents of {one}" for one, count in open_.items() if count > 1]


def _clips(all_clips: list[Row], all_intents: list[Row]) -> list[str]:
    paid = Counter(row["intent_id"] for row in all_clips if row["cost_microusd"])
    made = {row["intent_id"] for row in all_clips}
    lines = [f"{one} pays {count} clips" for one, count in paid.items() if count > 1]
    lines += [
        f"{row['state']} {row['intent_id']} has a clip or none, against its state"
        for row in all_intents
        if row["kind"] != "text"  # an answer is kept with its call
        and (row["state"] == IntentState.DELIVERED) != (row["intent_id"] in made)
    ]
    current = Counter(
        (row["kind"], row["prompt_id"], row["variant"])
        for row in all_clips
        if row["superseded_at"] is None
    )
    return lines + [f"{one} has {n} current clips" for one, n in current.items() if n > 1]


def _rows(connection: Connection, table: Table) -> list[Row]:
    # Plain SQL and plain dicts: the state machine comes here twenty thousand times.
    result = connection.exec_driver_sql(f"SELECT * FROM {table.name}")
    names = tuple(result.keys())
    return [dict(zip(names, row, strict=True)) for row in result]
