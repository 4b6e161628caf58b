"""The language models' prices, kept with their date in the data folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from asset_pipeline.catalog.token_prices import TokenPrice
from asset_pipeline.clock import Clock
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.files import write_atomically
from asset_pipeline.providers.chat import ChatProvider
from asset_pipeline.providers.protocol import ProviderError

# A price is asked for once a day; one that can't be asked for holds a week.
_FRESH = timedelta(days=1)
_USABLE = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was listed, and by whom: another server's prices are none."""

    base_url: str
    prices: dict[str, TokenPrice]


_KEPT = TypeAdapter(_Kept)


class PriceList:
    """Says what a model charges a token; a list that was read lately is not asked for again.

    Args:
        folder: The data folder.
        provider: Whose prices they are.
        clock: Decides what is fresh.
    """

    def __init__(self, folder: Path, provider: ChatProvider, clock: Clock) -> None:
        self._path = folder / f"llm-models.{provider.name}.json"
        self._provider = provider
        self._clock = clock

    async def first_of(self, models: list[str]) -> TokenPrice:
        """Return the price of the first of these models that has one.

        Raises:
            AssetPipelineError: None has, or the prices can't be told.
        """
        prices = await self._current()
        for name in models:
            if name in prices:
                return prices[name]
        raise AssetPipelineError(
            f"None of the models allowed has a listed price: {', '.join(models)}.",
            hint=f"Priced are, among others: {', '.join(sorted(prices)[:5])}. Name one under "
            "'models:' in the brief.",
        )

    async def _current(self) -> Mapping[str, TokenPrice]:
        known = self._read()
        if known and self._age(known) < _FRESH:
            return known
        try:
            found = await self._provider.prices()
        except ProviderError as error:
            if known and self._age(known) < _USABLE:
                return known
            raise AssetPipelineError(
                f"The prices of language models can't be told: {error.message}.",
                hint="Nothing was sent. Check OPENROUTER_BASE_URL and the network, and try again.",
            ) from error
        if found:
            written = _KEPT.dump_python(_Kept(self._provider.base_url, found), mode="json")
            write_atomically(self._path, json.dumps(written, indent=1), private=True)
        return found

    def _read(self) -> dict[str, TokenPrice]:
        try:
            kept = _KEPT.validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return {}
        return kept.prices if kept.base_url == self._provider.base_url else {}

    def _age(self, prices: Mapping[str, TokenPrice]) -> timedelta:
        oldest: datetime = min(price.listed_at for price in prices.values())
        return abs(self._clock.now() - oldest)
