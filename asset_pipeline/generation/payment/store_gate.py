"""The gate that stops new payments while the store refuses files.

A store that is away for a while is waited for. One that refuses (no rights, no bucket, a read-only
disk, no room) refuses every file alike, and each clip that is paid for after that is one more that
has to be fetched again within the provider's hour. So the store is tried before the first payment
of a session, and the first refusal of a file ends the paying. What is paid for already goes on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from asset_pipeline.generation.failures import StoreFailure
from asset_pipeline.stores.protocol import StoreError, StoreRefusedError


class StoreRefusesFailure(StoreFailure):
    """The store takes no file: nothing was reserved or sent, so this was no attempt."""

    def __init__(self, said: str, hint: str) -> None:
        super().__init__(f"Nothing more is paid for, because the store refuses files: {said}")
        self.cause = "store refuses"
        self.hint = (
            f"{hint} Mend the store and run it again; `asset-pipeline doctor` tries it.".lstrip()
        )


class StoreGate:
    """Whether new payments may begin.

    Args:
        try_putting: Puts a small object into the store and takes it away again.
    """

    def __init__(self, try_putting: Callable[[], Awaitable[None]]) -> None:
        self._try = try_putting
        self._tried = False
        self._trying = asyncio.Lock()
        self._refusal: StoreRefusedError | None = None

    @property
    def is_closed(self) -> bool:
        """Whether nothing new is paid for any more."""
        return self._refusal is not None

    async def admit(self) -> None:
        """Let a new payment begin, or not; the first one tries the store.

        Raises:
            StoreRefusesFailure: The store takes no file.
            StoreFailure: It did not answer; it is asked again at the next payment.
        """
        async with self._trying:
            if not self._tried:
                await self._try_once()
        if self._refusal is not None:
            raise StoreRefusesFailure(self._refusal.message, self._refusal.hint)

    def heed(self, failure: BaseException | None) -> None:
        """Close for good if the store's refusal is behind a failure."""
        while failure is not None:
            if isinstance(failure, StoreRefusedError):
                self._refusal = failure
                return
            failure = failure.__cause__

    async def _try_once(self) -> None:
        try:
            await self._try()
        except StoreRefusedError as error:
            self._refusal = error
        except StoreError as error:
            raise StoreFailure(error.message) from error
        self._tried = True
