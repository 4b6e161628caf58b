"""Which private addresses outputs may come from: those of the network that the API itself is in."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address

from asset_pipeline.foreign.addresses import is_public, number_of


class Neighbours:
    """Judges the addresses that a download would connect to.

    A poisoned output must not make us fetch from the machines beside us. A sandbox or a server of
    one's own is beside us itself, and so are its files; but link-local addresses, where clouds
    keep their machines' secrets, belong to no such server unless its own address is one.

    Args:
        api_host: The API's own host.
        allow_private: Let everything be asked.
    """

    def __init__(self, api_host: str, *, allow_private: bool) -> None:
        self._api_host = api_host
        self._allow_private = allow_private
        self._api: frozenset[IPv4Address | IPv6Address] | None = None

    async def look(self) -> None:
        """Find out where the API is, once."""
        if self._api is not None or self._allow_private:
            return
        literal = number_of(self._api_host)
        if literal is not None:
            self._api = frozenset({literal})
            return
        try:
            found = await asyncio.get_running_loop().getaddrinfo(
                self._api_host, None, type=socket.SOCK_STREAM
            )
        except (OSError, ValueError):
            return  # asked again with the next download; nothing private is asked until then
        numbers = (number_of(str(place[4][0])) for place in found)
        self._api = frozenset(number for number in numbers if number is not None)

    def may_be_asked(self, address: IPv4Address | IPv6Address) -> bool:
        """Tell whether to connect to an address."""
        if self._allow_private or is_public(address):
            return True
        api = self._api or frozenset()
        if address in api:
            return True
        near = [each for each in api if not is_public(each)]
        return bool(near) and (
            not address.is_link_local or any(each.is_link_local for each in near)
        )
