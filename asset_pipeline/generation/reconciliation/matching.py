"""Matching: what a complete listing proves about a create without an answer.

Absence is not the lack of a match: it needs every prediction of the window that no intent owns to
be certainly another's. A prediction is certainly this intent's by the label in its webhook's
address, or by the derived seed, which no other attempt has. It is certainly another's by another
label, another seed, another text, or a time at which the create was not under way. A field that is
missing, renamed or rewritten says nothing. What may then be this intent's is shared out by count
among equal requests where the text agrees; where the inputs are hidden, nobody can decide.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum, StrEnum
from urllib.parse import parse_qs, urlsplit

from pydantic import JsonValue

from asset_pipeline.catalog.terms import Terms
from asset_pipeline.generation.request import derived_seed
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.schema import IntentState
from asset_pipeline.providers.prediction import Prediction

LABEL = "intent"
"""The parameter of a webhook's address that holds the id of the intent."""


# What models call the input with the text: a prediction of another model shows its own under one
# of these, and is not hidden because it lacks the name that was used here.
_TEXT_INPUTS = ("prompt", "text", "input_text", "lyrics", "script")


class MatchVerdict(StrEnum):
    """What one complete listing says about an intent."""

    FOUND = "found"
    ABSENT = "absent"
    NOT_YET = "not_yet"  # an equal request is on the wire; ask again in a moment
    UNSURE = "unsure"  # something may be this intent's, and nothing shows whether it is


@dataclass(frozen=True, slots=True)
class Match:
    """A verdict, the prediction it rests on, and why nobody can be sure.

    Attributes:
        unclear: The predictions of which asking for them may show more than the listing did.
    """

    verdict: MatchVerdict
    prediction_id: str = ""
    reason: str = ""
    unclear: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listing:
    """All predictions created since a time, and when we began to ask for them.

    Attributes:
        started: On the monotonic clock.
        asked_at: The same moment in UTC.
        gap: Why it does not show all of them, and can't; empty when it does.
    """

    since: datetime
    started: float
    asked_at: datetime
    predictions: tuple[Prediction, ...]
    gap: str = ""


@dataclass(frozen=True, slots=True)
class Window:
    """When the provider can have accepted an intent, on its own clock, and by what that is known.

    Attributes:
        skew: How far a clock that was never measured may be off, in seconds.
        ahead: The bounds of what the provider's clock is ahead of ours, in seconds.
        late: How long after it was sent a create may still be accepted, in seconds.
    """

    skew: float
    ahead: tuple[float, float] = (0.0, 0.0)
    late: float = 0.0

    def start(self, intent: Intent) -> datetime:
        """Return the earliest time on the provider's clock."""
        return _sent_at(intent) + timedelta(seconds=self.ahead[0] - self.skew)

    def end(self, intent: Intent) -> datetime:
        """Return the latest time on the provider's clock."""
        return _sent_at(intent) + timedelta(seconds=self.late + self.ahead[1] + self.skew)

    def holds(self, prediction: Prediction, intent: Intent) -> bool:
        """Tell whether a prediction can have been created for an intent."""
        created = prediction.created_at
        return created is None or self.start(intent) <= created <= self.end(intent)


class Likeness(IntEnum):
    """How likely a prediction is an intent's."""

    OTHER = 0  # certainly another's
    POSSIBLE = 1  # nothing contradicts, but what would decide is hidden
    LIKE = 2  # model and text agree, and nothing contradicts
    OURS = 3  # its label or its derived seed


def judge(
    intent: Intent,
    terms: Terms,
    listing: Listing,
    *,
    rivals: Sequence[Intent],
    owned: frozenset[str],
    models: frozenset[str],
    window: Window,
    settle: float,
) -> Match:
    """Say what a complete listing proves about an intent.

    Args:
        intent: The intent whose reply was lost.
        terms: What its inputs are called.
        listing: Reaching back to the intent's window. One with a gap shows what is there, and
            never what is not.
        rivals: All intents being submitted or unknown, this one among them.
        owned: Prediction ids that belong to any intent already.
        models: The models that the ledger ever asked, by the names it uses.
        window: When the provider can have accepted what.
        settle: How long an accepted prediction may be missing from listings, in seconds.
    """
    free = {each.prediction_id: each for each in listing.predictions}
    others = [rival for rival in rivals if rival.intent_id != intent.intent_id]
    matches: list[Prediction] = []
    hidden: list[Prediction] = []
    for prediction_id, each in free.items():
        if prediction_id in owned:
            continue
        found = likeness(each, intent, terms, models, window)
        if found is Likeness.OURS:
            return Match(MatchVerdict.FOUND, prediction_id)
        if found is Likeness.OTHER or _is_certainly_of(each, others, terms):
            continue
        if found is Likeness.LIKE:
            matches.append(each)
        elif not _is_rather_of(each, others, terms, models, window):
            hidden.append(each)
    finding = _share(intent, terms, matches, listing, rivals, window, settle)
    if finding is not None:
        return finding
    if not hidden:
        return Match(
            MatchVerdict.UNSURE if listing.gap else MatchVerdict.ABSENT, reason=listing.gap
        )
    if any(rival.state is IntentState.SUBMITTING for rival in others):
        return Match(MatchVerdict.NOT_YET)
    return Match(
        MatchVerdict.UNSURE,
        reason=f"prediction {hidden[0].prediction_id} may be this one: the provider does not show "
        "the inputs that would tell",
        unclear=tuple(each.prediction_id for each in hidden),
    )


def likeness(
    prediction: Prediction,
    intent: Intent,
    terms: Terms,
    models: frozenset[str],
    window: Window,
) -> Likeness:
    """Return how likely an unowned prediction is an intent's."""
    label = label_of(prediction)
    if label is not None:
        return Likeness.OURS if label == intent.intent_id else Likeness.OTHER
    if _has_derived_seed(prediction, intent, terms):
        return Likeness.OURS
    if not window.holds(prediction, intent) or _contradicts_seed(prediction, intent, terms):
        return Likeness.OTHER
    if _is_another_model(prediction, intent, models):
        return Likeness.OTHER
    return _likeness_of_texts(prediction, intent.prompt_text, terms)


def label_of(prediction: Prediction) -> str | None:
    """Return the intent that a prediction's webhook names."""
    if not prediction.webhook:
        return None
    try:
        values = parse_qs(urlsplit(prediction.webhook).query).get(LABEL)
    except ValueError:
        return None
    return values[-1] if values else None


def is_alike(rival: Intent, intent: Intent) -> bool:
    """Tell whether a prediction of one may look like one of the other, its seed hidden."""
    return rival.model == intent.model and _same_text(rival.prompt_text, intent.prompt_text)


def _share(
    intent: Intent,
    terms: Terms,
    matches: Sequence[Prediction],
    listing: Listing,
    rivals: Sequence[Intent],
    window: Window,
    settle: float,
) -> Match | None:
    """Share out what looks like several intents; return None when nothing is left for this one."""
    alike = [rival for rival in rivals if is_alike(rival, intent)]
    if matches and any(rival.state is IntentState.SUBMITTING for rival in alike):
        return Match(MatchVerdict.NOT_YET)
    equal = [rival for rival in alike if _same_inputs(rival, intent, terms)]
    exact = [each for each in matches if _agrees(each, intent, terms)]
    strange = [each for each in matches if not any(_agrees(each, rival, terms) for rival in alike)]
    only_equal = len(equal) == len(alike)
    mine = _share_of(intent, equal, exact + strange if only_equal else exact, window)
    if mine is not None:
        return Match(MatchVerdict.FOUND, mine.prediction_id)
    if strange and not only_equal:
        return Match(
            MatchVerdict.UNSURE,
            reason="the provider shows a prediction of the same text with inputs nobody sent",
        )
    settled_if_lost_by = listing.asked_at - timedelta(seconds=settle)
    if matches and any(_lost_at(rival) > settled_if_lost_by for rival in equal):
        # A match that this intent left to a rival may be its own after all: the rival's may only
        # be missing from the listing yet.
        return Match(MatchVerdict.NOT_YET)
    return None


def _share_of(
    intent: Intent, equal: Sequence[Intent], matches: Sequence[Prediction], window: Window
) -> Prediction | None:
    """Share predictions out among equal requests and return the intent's own.

    The intent that was sent last has the fewest candidates: it chooses first, and takes the newest.
    So every intent with a candidate gets one.
    """
    left = sorted(matches, key=lambda each: (str(each.created_at), each.prediction_id))
    order = sorted(equal, key=lambda each: (window.start(each), each.intent_id))
    for rival in reversed(order):
        taken = next((each for each in reversed(left) if window.holds(each, rival)), None)
        if rival.intent_id == intent.intent_id:
            return taken
        if taken is not None:
            left.remove(taken)
    return None


def _is_certainly_of(prediction: Prediction, others: Sequence[Intent], terms: Terms) -> bool:
    """Tell whether a seed or a label gives a prediction to another intent that waits."""
    label = label_of(prediction)
    return any(
        label == other.intent_id or _has_derived_seed(prediction, other, other.terms or terms)
        for other in others
    )


def _is_rather_of(
    prediction: Prediction,
    others: Sequence[Intent],
    terms: Terms,
    models: frozenset[str],
    window: Window,
) -> bool:
    """Tell whether a prediction has all that another intent was sent with, its text above all."""
    return any(
        likeness(prediction, other, other.terms or terms, models, window) is Likeness.LIKE
        for other in others
    )


def _has_derived_seed(prediction: Prediction, intent: Intent, terms: Terms) -> bool:
    """Tell whether a prediction was sent the seed that is this attempt's alone.

    Under whatever name it is shown: no other number of a request is as large by chance.
    """
    if intent.seed is None or intent.seed != derived_seed(intent.generation_hash, intent.attempt):
        return False
    shown = prediction.inputs.get(terms.seed_input or "")
    if _is_number(shown):
        return _is_equal(shown, intent.seed)
    return any(_is_equal(value, intent.seed) for value in prediction.inputs.values())


def _contradicts_seed(prediction: Prediction, intent: Intent, terms: Terms) -> bool:
    if intent.seed is None or terms.seed_input is None:
        return False
    shown = prediction.inputs.get(terms.seed_input)
    return _is_number(shown) and not _is_equal(shown, intent.seed)


def _is_number(value: JsonValue) -> bool:
    """Tell whether a value is a seed as providers show them: a number, or one as text."""
    if isinstance(value, bool) or value is None:
        return False
    if isinstance(value, int | float):
        return True
    return isinstance(value, str) and value.strip().lstrip("+-").replace(".", "", 1).isdigit()


def _is_equal(value: JsonValue, seed: int) -> bool:
    return _is_number(value) and str(value).strip() in {str(seed), str(float(seed))}


def _is_another_model(prediction: Prediction, intent: Intent, models: frozenset[str]) -> bool:
    """Tell whether a prediction is certainly of another model.

    A name that nobody here ever asked for may be the provider's own for the model that was asked.
    """
    if intent.version is not None and prediction.version == intent.version:
        return False
    name, _, version = _canonical(prediction.model).partition(":")
    if not name or name == _canonical(intent.model) or version == intent.version:
        return False
    return name in {_canonical(model) for model in models}


def _canonical(name: str) -> str:
    return name.strip().casefold()


def _likeness_of_texts(prediction: Prediction, sent: str, terms: Terms) -> Likeness:
    """Compare texts as a provider may rewrite them: one that was cut proves neither way."""
    ours = _plain(sent)
    texts = [value for value in prediction.inputs.values() if isinstance(value, str)]
    if ours in map(_plain, texts):
        return Likeness.LIKE
    named = (prediction.inputs.get(name) for name in (terms.prompt_input, *_TEXT_INPUTS))
    theirs = next((_plain(text) for text in named if isinstance(text, str) and text), "")
    if not theirs or ours.startswith(theirs) or theirs.startswith(ours):
        return Likeness.POSSIBLE
    return Likeness.OTHER


def _same_text(one: str, other: str) -> bool:
    return _plain(one) == _plain(other)


def _plain(text: str) -> str:
    """Return a text without what a provider may change: white space, case, forms of a letter."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _same_inputs(rival: Intent, intent: Intent, terms: Terms) -> bool:
    return _without_seed(rival.inputs, terms) == _without_seed(intent.inputs, terms)


def _without_seed(inputs: Mapping[str, JsonValue], terms: Terms) -> dict[str, JsonValue]:
    return {name: value for name, value in inputs.items() if name != terms.seed_input}


def _agrees(prediction: Prediction, intent: Intent, terms: Terms) -> bool:
    """Tell whether the provider shows every other input as the intent sent it."""
    compared = {terms.prompt_input, terms.seed_input}
    return all(
        prediction.inputs.get(name, value) == value
        for name, value in intent.inputs.items()
        if name not in compared
    )


def _sent_at(intent: Intent) -> datetime:
    return intent.submitted_at or intent.created_at


def _lost_at(intent: Intent) -> datetime:
    return intent.lost_at or intent.updated_at
