"""Closing the books of a site: provider against ledger, ledger against itself, clips on disk."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import RowMapping, select

from asset_pipeline.ledger.ledger import Ledger
from asset_pipeline.ledger.schema import (
    OPEN_STATES,
    EntryType,
    IntentState,
    budgets,
    clips,
    entries,
    intents,
)
from asset_pipeline.media.probe import verify
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline_tests.support.crash.site import Site

_Variant = tuple[str, str, int]


@dataclass(frozen=True)
class Books:
    """A site's figures, and everything that is wrong with them.

    Attributes:
        posts: Creates on the wire.
        accepted: Predictions that the provider has.
        paid: Those of them that it charged for.
        provider_charged: What it charged, in micro-dollars.
        ledger_charged: What the ledger says it charged.
        lost_clips: Variants without a whole stored file.
        paid_twice: Payments beyond one a variant.
        released: Predictions that the provider accepted and no intent owns or asks about.
        questions: Intents that a person has to decide on; their money is set aside.
        partial_files: Files in the store that are not what their key says.
        leftovers: Temporary files of killed workers.
        flaws: One sentence each; empty when all is well.
    """

    posts: int
    accepted: int
    paid: int
    provider_charged: int
    ledger_charged: int
    clips: int
    lost_clips: int
    paid_twice: int
    released: int
    questions: int
    partial_files: int
    leftovers: int
    flaws: tuple[str, ...]


def close_books(
    site: Site, prompts: Sequence[Prompt], *, complete: bool = True, may_ask: bool = False
) -> Books:
    """Compare all accounts of a site where no worker runs any more.

    Args:
        site: Where it was paid.
        prompts: All that was asked for, each variant once.
        complete: Whether every variant must have been delivered; else only what was paid for.
        may_ask: Whether an intent may be left to a person, with its money set aside; its variant
            is then neither lost nor, if the provider accepted it, released.
    """
    job = site.job(prompts)
    ledger = job.open_ledger()
    try:
        with ledger.engine.connect().execution_options(reading=True) as connection:
            intent_rows = list(connection.execute(select(intents)).mappings())
            clip_rows = list(
                connection.execute(select(clips).where(clips.c.superseded_at.is_(None))).mappings()
            )
    finally:
        ledger.close()
    bill = site.charges()
    posts = site.posts()
    asked = _questions(intent_rows) if may_ask else frozenset[_Variant]()
    lost = sorted(
        _lost_clips(clip_rows, intent_rows, prompts, job.folder, asked, complete=complete)
    )
    released = list(_released(intent_rows, bill, prompts, asked))
    partial = sorted(_partial_files(job.folder / "clips"))
    flaws = [
        *lost,
        *partial,
        *released,
        *_against_provider(intent_rows, bill, posts),
        *_one_payment_each(bill, prompts, asked, complete=complete),
        *_still_open(intent_rows, asked),
        *unbalanced(job.open_ledger()),
    ]
    return Books(
        posts=posts,
        accepted=len(bill),
        paid=sum(line["charge_micro_usd"] > 0 for line in bill),
        provider_charged=sum(line["charge_micro_usd"] for line in bill),
        ledger_charged=sum(row["charged_microusd"] for row in intent_rows),
        clips=len(clip_rows),
        lost_clips=len(lost),
        paid_twice=_paid_twice(bill, prompts),
        released=len(released),
        questions=len(asked),
        partial_files=len(partial),
        leftovers=sum(1 for _ in _leftovers(job.folder)),
        flaws=tuple(flaws),
    )


def unbalanced(ledger: Ledger) -> Iterator[str]:
    """Say where balances are not the sums of their entries; closes the ledger."""
    with ledger.engine.connect().execution_options(reading=True) as connection:
        budget_rows = list(connection.execute(select(budgets)).mappings())
        entry_rows = list(connection.execute(select(entries)).mappings())
        intent_rows = list(connection.execute(select(intents)).mappings())
    ledger.close()
    sums: Counter[tuple[str, str]] = Counter()
    held: Counter[tuple[str | None, str, str]] = Counter()
    for row in entry_rows:
        sums[row["budget"], row["type"]] += row["amount_microusd"]
        held[row["intent_id"], row["budget"], row["type"]] += row["amount_microusd"]
    for row in budget_rows:
        name = row["budget"]
        derived = {
            "cap_microusd": sums[name, EntryType.ADJUST],
            "charged_microusd": sums[name, EntryType.CHARGE],
            "reserved_microusd": sums[name, EntryType.RESERVE] - sums[name, EntryType.RELEASE],
        }
        for column, amount in derived.items():
            if row[column] != amount:
                yield f"budget {name}: {column} is {row[column]}, its entries say {amount}"
        used = row["charged_microusd"] + row["reserved_microusd"]
        if used > row["cap_microusd"] + row["overdrawn_microusd"]:
            yield f"budget {name}: {used} used of a cap of {row['cap_microusd']}"
    for row in intent_rows:
        key = row["intent_id"]
        reserved = held[key, "total", EntryType.RESERVE] - held[key, "total", EntryType.RELEASE]
        if row["reserved_microusd"] != reserved:
            yield f"intent {key}: reserved {row['reserved_microusd']}, its entries say {reserved}"
        if row["charged_microusd"] != held[key, "total", EntryType.CHARGE]:
            yield f"intent {key}: charged {row['charged_microusd']}, its entries say otherwise"


def _against_provider(
    intent_rows: Sequence[RowMapping], bill: Sequence[dict[str, object]], posts: int
) -> Iterator[str]:
    known = {row["prediction_id"]: row for row in intent_rows if row["prediction_id"]}
    for line in bill:
        row = known.pop(line["id"], None)
        if row is not None and row["prompt_text"].strip() != line["prompt"]:
            yield f"{row['prompt_id']} owns a prediction of another text: {line}"
        if row is not None and row["charged_microusd"] != line["charge_micro_usd"]:
            yield f"prediction {line['id']}: charged {row['charged_microusd']}, billed {line}"
    for prediction_id in known:
        yield f"the ledger knows prediction {prediction_id}, the provider does not"
    sent = sum(row["submitted_at"] is not None for row in intent_rows)
    if posts > sent:
        yield f"{posts} creates on the wire for {sent} intents that were submitted"


def _questions(intent_rows: Iterable[RowMapping]) -> frozenset[_Variant]:
    return frozenset(
        (row["kind"], row["prompt_id"], row["variant"])
        for row in intent_rows
        if row["state"] == IntentState.QUESTION and row["reserved_microusd"] > 0
    )


def _released(
    intent_rows: Iterable[RowMapping],
    bill: Iterable[Mapping[str, object]],
    prompts: Sequence[Prompt],
    asked: frozenset[_Variant],
) -> Iterator[str]:
    """Say what was accepted and has no intent: of a prompt, no more than it has questions."""
    owned = {row["prediction_id"] for row in intent_rows if row["prediction_id"]}
    open_questions = {
        prompt.full_text: sum(each[:2] == (prompt.kind.value, prompt.prompt_id) for each in asked)
        for prompt in prompts
    }
    for line in bill:
        text = str(line["prompt"])
        if line["id"] in owned:
            owned.remove(line["id"])  # a second row of that id is nobody's
        elif open_questions.get(text, 0):
            open_questions[text] -= 1
        else:
            yield f"prediction {line['id']} is not in the ledger: {line}"


def _paid_twice(bill: Iterable[Mapping[str, object]], prompts: Sequence[Prompt]) -> int:
    paid = Counter(line["prompt"] for line in bill if line["charge_micro_usd"])
    return sum(max(0, paid[prompt.full_text] - prompt.variants) for prompt in prompts)


def _one_payment_each(
    bill: Sequence[dict[str, object]],
    prompts: Sequence[Prompt],
    asked: frozenset[_Variant],
    *,
    complete: bool,
) -> Iterator[str]:
    paid = Counter(line["prompt"] for line in bill if line["charge_micro_usd"])
    for prompt in prompts:
        payments = paid.pop(prompt.full_text, 0)
        unsure = sum(each[:2] == (prompt.kind.value, prompt.prompt_id) for each in asked)
        if payments > prompt.variants or (complete and payments < prompt.variants - unsure):
            yield f"{prompt.prompt_id}: {payments} payments for {prompt.variants} variants"
    for text in paid:
        yield f"paid for {text!r}, which nobody asked for"


def _still_open(intent_rows: Iterable[RowMapping], asked: frozenset[_Variant]) -> Iterator[str]:
    for row in intent_rows:
        if row["state"] == IntentState.QUESTION and asked:
            if not row["reserved_microusd"]:
                yield f"intent {row['intent_id']} is a question without money set aside"
        elif row["state"] in OPEN_STATES:
            yield f"intent {row['intent_id']} of {row['prompt_id']} is still {row['state']}"
        elif row["reserved_microusd"]:
            yield f"intent {row['intent_id']} ended and holds {row['reserved_microusd']}"


def _lost_clips(
    clip_rows: Sequence[RowMapping],
    intent_rows: Sequence[RowMapping],
    prompts: Sequence[Prompt],
    folder: Path,
    asked: frozenset[_Variant],
    *,
    complete: bool,
) -> Iterator[str]:
    found = {(row["kind"], row["prompt_id"], row["variant"]): row for row in clip_rows}
    if len(found) != len(clip_rows):
        yield "a variant has two current clips"
    delivered = sum(row["state"] == IntentState.DELIVERED for row in intent_rows)
    if delivered != len(found):
        yield f"{delivered} intents were delivered and {len(found)} clips are there"
    for prompt in prompts:
        for variant in range(1, prompt.variants + 1):
            place = (prompt.kind.value, prompt.prompt_id, variant)
            row = found.pop(place, None)
            if row is not None:
                yield from _file_flaws(row, prompt, folder)
            elif complete and place not in asked:
                yield f"{prompt.prompt_id} variant {variant} has no clip"
    for key in found:
        yield f"clip {key} was not asked for"


def _file_flaws(row: RowMapping, prompt: Prompt, folder: Path) -> Iterator[str]:
    path = folder / "clips" / row["object_key"]
    if not path.is_file():
        yield f"{row['object_key']} of {prompt.prompt_id} is not in the store"
        return
    info = verify(path, prompt.kind)
    if (info.sha256, info.bytes) != (row["sha256"], row["bytes"]):
        yield f"{row['object_key']} of {prompt.prompt_id} is not the file that was recorded"


def _partial_files(store: Path) -> Iterator[str]:
    for path in store.rglob("*"):
        # What is ours and no clip: the marker, and the probe of a process that was killed at it.
        if path.is_file() and not {".incoming", "asset-pipeline"} & set(
            path.relative_to(store).parts
        ):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            if path.stem != digest:
                yield f"{path.relative_to(store)} does not have the content that its name says"


def _leftovers(folder: Path) -> Iterator[Path]:
    for place in (folder / "clips" / ".incoming", folder / "scratch", folder / "previews"):
        for path in place.rglob("*"):
            if path.is_file() and (path.suffix in {".part", ".tmp"}):
                yield path
