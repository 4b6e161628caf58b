"""What the paid call needs from whoever makes the clips, and the ways it can go wrong.

The three errors of a create are the heart of it: *refused* means certainly nothing was made,
*unclear* means nobody can tell yet, and everything else is a bug.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from pydantic import JsonValue

from asset_pipeline.disclosure.process_redactor import redacted
from asset_pipeline.origin import Origin
from asset_pipeline.providers.prediction import Prediction


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """One prediction to be paid for.

    Attributes:
        model: ``owner/name``.
        version: A community model's version; None for an official model.
        inputs: Sent as they are.
        cancel_after_seconds: The provider's own deadline for the prediction.
        webhook: Told of the prediction's end; the prediction repeats it, whatever its query holds.
    """

    model: str
    version: str | None
    inputs: Mapping[str, JsonValue]
    cancel_after_seconds: int
    webhook: str | None = None


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the provider still lets us create.

    Attributes:
        remaining: Creates before it refuses one.
        reset_seconds: Until there are more.
    """

    remaining: int
    reset_seconds: float


class ProviderError(Exception):
    """Any failure at the provider. What it said may quote our token, and is redacted here.

    Attributes:
        status: The HTTP status, when there was an answer.
        retry_after: Seconds the provider asks us to wait.
        invalid_fields: The inputs that it objects to, each with its objection.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        retry_after: float | None = None,
        invalid_fields: tuple[tuple[str, str], ...] = (),
    ) -> None:
        self.message = redacted(message)
        super().__init__(self.message)
        self.status = status
        self.retry_after = retry_after
        self.invalid_fields = tuple(
            (redacted(name), redacted(said)) for name, said in invalid_fields
        )


class RefusedError(ProviderError):
    """A clear no to a create: nothing was made and nothing is owed."""


class UnreachableError(RefusedError):
    """The connection was never made, so certainly nothing was sent."""


class UnclearError(ProviderError):
    """No clear answer to a create: it may have been accepted. Never send it again blindly."""


class UnavailableError(ProviderError):
    """A question could not be answered now; asking again is free."""


class IncompleteListingError(UnavailableError):
    """A listing that no repetition completes: it has no end, or rows that can't be read.

    What was yielded before is true. What was not may be there all the same.
    """


class OversizedError(UnavailableError):
    """An answer passes the bounds of what we read; it would do so again."""


class NotFoundError(ProviderError):
    """The provider does not know (any more) what was asked for."""


class TooLargeError(ProviderError):
    """A download passed its cap and was broken off; what had come is the caller's to remove."""


class BadAddressError(ProviderError):
    """Nothing will ever be downloaded from this address: it is none, or one that we don't ask."""


class Provider(Protocol):
    """Makes predictions. All methods are coroutines of one event loop, with bounded waits."""

    async def origin(self) -> Origin:
        """Return who is asked, and by which account; asked for once and then known.

        Raises:
            RefusedError: The token is not accepted.
            UnavailableError: Ask again later.
        """
        ...

    def clock_offset(self) -> tuple[float, float]:
        """Return the bounds of what the provider's clock is ahead of ours, in seconds.

        Measured by what it answered so far; zero is always within the bounds.
        """
        ...

    async def create(self, request: CreateRequest) -> Prediction:
        """Send exactly one POST.

        Raises:
            RefusedError: Certainly not accepted.
            UnclearError: No clear answer.
        """
        ...

    def allowance(self) -> Allowance | None:
        """Return what the last answer to a create said of our limit; None when it said nothing."""
        ...

    async def get(self, prediction_id: str) -> Prediction:
        """Return a prediction as it stands.

        Raises:
            NotFoundError: The provider does not know it.
            UnavailableError: Ask again later.
        """
        ...

    async def cancel(self, prediction_id: str) -> Prediction:
        """Ask the provider to stop a prediction.

        Raises:
            NotFoundError: The provider does not know it.
            UnavailableError: Ask again later.
        """
        ...

    def list_since(self, since: datetime) -> AsyncGenerator[Prediction]:
        """Yield all predictions created after ``since``, newest first, page by page.

        It ends within a minute or so, however many pages there are.

        Raises:
            IncompleteListingError: Nor will it be when asked again. All rows that can be read
                have been yielded.
            UnavailableError: The listing is not complete; what was yielded proves no absence.
        """
        ...

    async def download(self, url: str, target: Path, *, max_bytes: int) -> int:
        """Stream an output to ``target`` and return its size in bytes.

        Raises:
            NotFoundError: The file is gone.
            TooLargeError: It is larger than ``max_bytes``.
            UnavailableError: Try the download again.
        """
        ...

    async def aclose(self) -> None:
        """Close all connections."""
        ...
