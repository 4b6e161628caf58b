"""Where something was made: the provider, the address that was asked, the account that paid."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Origin:
    """Who made something, and for whom: evidence counts for its own origin alone.

    Attributes:
        provider: ``replicate`` or ``sandbox``; empty in rows that an earlier release wrote.
        base_url: The origin of the API that was asked.
        account: The account whose token was used; empty where the server tells none.
    """

    provider: str = ""
    base_url: str = ""
    account: str = ""
