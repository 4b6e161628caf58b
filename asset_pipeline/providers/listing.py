"""What a listing may cost: pages, time and memory, whatever its cursors say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import cast
from urllib.parse import urlsplit

from asset_pipeline.clock import Clock
from asset_pipeline.foreign.addresses import LONGEST_ADDRESS
from asset_pipeline.foreign.text import is_clean
from asset_pipeline.providers.prediction import (
    MalformedPredictionError,
    Prediction,
    parse_prediction,
)
from asset_pipeline.providers.protocol import (
    IncompleteListingError,
    Provider,
    UnavailableError,
)

# Fifty thousand predictions at Replicate's hundred a page.
MAX_PAGES = 500

MAX_SECONDS = 60.0
"""A page of Replicate's takes half a second. Whoever needs a listing waits no longer than this."""

# A full listing of honest pages weighs 175 MB by the measure of read_json.
_MAX_WEIGHT = 200 * 1024 * 1024

_BEYOND = "what it did not show may be there all the same"


class ListingBounds:
    """Follows one listing from page to page.

    Args:
        since: Where its window begins.
        clock: Measures.
    """

    def __init__(self, since: datetime, clock: Clock) -> None:
        self._since = since
        self._clock = clock
        self._ends_at = clock.monotonic() + MAX_SECONDS
        self._seen: set[str] = set()
        self._weight = 0
        self._unreadable = 0

    def seconds_left(self) -> float:
        """Return how long the next page may take."""
        return max(0.0, self._ends_at - self._clock.monotonic())

    def turn_to(self, page: str) -> None:
        """Count a page that is asked for next.

        Raises:
            IncompleteListingError: It has been seen, or there were too many.
        """
        if page in self._seen:
            raise IncompleteListingError("a listing whose pages go round in a circle")
        if len(self._seen) >= MAX_PAGES:
            raise IncompleteListingError(f"a listing of more than {MAX_PAGES} pages: {_BEYOND}")
        if self.seconds_left() <= 0:
            raise self.out_of_time()
        self._seen.add(page)

    def out_of_time(self) -> IncompleteListingError:
        """Return the error of a listing that takes too long."""
        return IncompleteListingError(
            f"a listing that did not end within {MAX_SECONDS:.0f} s: {_BEYOND}"
        )

    def read(self, rows: Sequence[object], weight: int) -> list[Prediction]:
        """Return the rows that can be read; the others are counted.

        Raises:
            IncompleteListingError: All pages together would take too much memory.
        """
        self._weight += weight
        if self._weight > _MAX_WEIGHT:
            raise IncompleteListingError(
                f"a listing of more than {_MAX_WEIGHT:,} bytes in memory: {_BEYOND}"
            )
        readable: list[Prediction] = []
        for row in rows:
            try:
                readable.append(parse_prediction(row))
            except MalformedPredictionError:
                self._unreadable += 1
        return readable

    def is_past_window(self, readable: Sequence[Prediction], rows: Sequence[object]) -> bool:
        """Tell whether a whole page is older than the window: the newest come first."""
        if not rows or len(readable) < len(rows):
            return False
        return all(
            each.created_at is not None and each.created_at < self._since for each in readable
        )

    def path_of(self, cursor: str) -> str:
        """Return the path of the next page.

        Raises:
            IncompleteListingError: The cursor is no address of a page.
        """
        try:
            parts = urlsplit(cursor)
        except ValueError:
            parts = None
        is_page = parts is not None and parts.scheme in {"", "http", "https"}
        if parts is None or not is_page or not parts.path.startswith("/"):
            raise IncompleteListingError(f"a listing whose next page has no address: {_BEYOND}")
        # The path alone: a cursor that named another host would be sent the token.
        path = f"{parts.path}?{parts.query}"
        if not is_clean(path, LONGEST_ADDRESS) or any(each.isspace() for each in path):
            raise IncompleteListingError(f"a listing whose next page has no address: {_BEYOND}")
        return path

    def check_all_read(self) -> None:
        """End a listing.

        Raises:
            IncompleteListingError: Some rows could not be read.
        """
        if self._unreadable:
            raise IncompleteListingError(
                f"a listing with {self._unreadable} rows that can't be read: any of them may be "
                "what is looked for"
            )


async def gathered(provider: Provider, since: datetime) -> tuple[list[Prediction], str]:
    """Return all predictions since a time, and why there may be more; empty when there are none.

    Raises:
        UnavailableError: The provider could not list everything now.
    """
    found: list[Prediction] = []
    try:
        async for prediction in provider.list_since(since):
            found.append(prediction)  # noqa: PERF401 -- what came before an error is kept
    except IncompleteListingError as error:
        return found, error.message
    return found, ""


def page_of(document: object) -> tuple[list[object], str | None]:
    """Return a listing page's rows and the cursor of the next page.

    What is not a page must not pass for an empty one: absence from a listing gives money back.

    Raises:
        UnavailableError: It is no page.
    """
    if not isinstance(document, dict):
        raise UnavailableError("an answer that is no page of a listing")
    fields = cast("Mapping[str, object]", document)
    rows, following = fields.get("results"), fields.get("next")
    if not isinstance(rows, list) or not isinstance(following, str | None):
        raise UnavailableError("an answer that is no page of a listing")
    return cast("list[object]", rows), following or None
