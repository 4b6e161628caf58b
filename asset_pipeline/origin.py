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

    @property
    def is_recorded(self) -> bool:
        """Whether it is known at all."""
        return bool(self.provider)

    def agrees_with(self, other: Origin) -> bool:
        """Tell whether nothing says that the two are different.

        Accounts decide where both are known: the same account may be asked under another address.
        An origin that was never recorded disagrees with none.
        """
        if not (self.is_recorded and other.is_recorded):
            return True
        if self.provider != other.provider:
            return False
        if self.account and other.account:
            return self.account == other.account
        return self.base_url == other.base_url

    def __str__(self) -> str:
        """Name it for a person."""
        if not self.is_recorded:
            return "an account that was not recorded"
        account = f"account {self.account!r}" if self.account else "an account without a name"
        return f"{account} of {self.provider} at {self.base_url}"
