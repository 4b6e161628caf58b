"""Addresses of others: parsed once, and judged before anything is fetched from them."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urljoin

import httpx

from asset_pipeline.disclosure.addresses import shown_address
from asset_pipeline.foreign.text import cleaned, is_clean

LONGEST_ADDRESS = 8192
"""Signed addresses have 2,000 characters; servers take 8,000 at the most."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65_535
_SHOWN = 100

_NAME = re.compile(r"(?!\.)[A-Za-z0-9._-]{1,253}")
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_NUMBER = re.compile(r"(?:0[xX][0-9a-fA-F]*|[0-9]*)")

# A name for an IPv4 address where only IPv6 is spoken.
_NAT64 = ip_network("64:ff9b::/96")


class BadAddressError(ValueError):
    """Nothing will ever be fetched from an address; the message says why, without its secrets."""


def judged(address: str) -> httpx.URL:
    """Return an address that somebody could be asked for.

    Raises:
        BadAddressError: It is none of HTTP, names nobody, or names a user.
    """
    if not is_clean(address, LONGEST_ADDRESS) or any(each.isspace() for each in address):
        raise BadAddressError("an address that is too long or holds odd characters")
    try:
        url = httpx.URL(address)
        host, port = url.host, url.port
    except (httpx.InvalidURL, ValueError) as error:
        raise BadAddressError(f"an address that can't be read: {shown(address)}") from error
    if url.scheme not in _DEFAULT_PORTS:
        raise BadAddressError(f"an address that is not of http or https: {shown(address)}")
    if not _is_host(url.raw_host.decode("ascii", "replace")):
        raise BadAddressError(f"an address without a host that there may be: {shown(address)}")
    if port is not None and not 0 < port <= _LAST_PORT:
        raise BadAddressError(f"an address with an impossible port: {shown(address)}")
    if url.userinfo:
        raise BadAddressError(f"an address with a user or a password in it, at {host}")
    return url


def following(here: httpx.URL, location: str) -> httpx.URL:
    """Return where a redirect leads.

    Raises:
        BadAddressError: Nowhere, or where :func:`judged` does not go.
    """
    if not location:
        raise BadAddressError(f"a redirect to nowhere, at {here.host}")
    try:
        # Joined, "http://" would lead back to where it came from.
        is_whole = _SCHEME.match(location) is not None
        return judged(location if is_whole else urljoin(str(here), location))
    except ValueError as error:
        said = str(error) if isinstance(error, BadAddressError) else "an address that can't be read"
        raise BadAddressError(f"a redirect to {said}") from error


def is_address(address: str) -> bool:
    """Tell whether :func:`judged` takes an address."""
    try:
        judged(address)
    except BadAddressError:
        return False
    return True


def origin_of(url: httpx.URL) -> tuple[str, str, int]:
    """Return scheme, host and port, the port that goes without saying included."""
    return url.scheme, url.host, url.port or _DEFAULT_PORTS.get(url.scheme, 0)


def shown(address: str) -> str:
    """Return an address for people, without user, password and query."""
    # What is no URL keeps its query there: it may be a path.
    plain = shown_address(address).partition("?")[0].partition("#")[0]
    return cleaned(plain, _SHOWN)


def number_of(host: str) -> IPv4Address | IPv6Address | None:
    """Return the address that a host is written as; None for a name."""
    try:
        found = ip_address(host.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return _unwrapped(found)


def is_public(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address is one of the open internet, and of no single network or machine."""
    return address.is_global and not address.is_multicast


def _is_host(name: str) -> bool:
    """Tell whether a host is an address, or a name that no system takes for one."""
    if number_of(name) is not None:
        return True
    # "127.1" and "2130706433" are loopback addresses to some systems, and nothing to others.
    last = name.rstrip(".").rpartition(".")[2]
    return _NAME.fullmatch(name) is not None and _NUMBER.fullmatch(last) is None


def _unwrapped(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """Return the IPv4 address that an IPv6 address stands for."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(address.packed[-4:])
    return address.ipv4_mapped or address.sixtofour or address
