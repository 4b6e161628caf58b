"""Addresses of others are judged once, the same everywhere."""

from __future__ import annotations

import pytest

from asset_pipeline.foreign.addresses import is_public, judged, number_of, origin_of, shown

PRIVATE = (
    "127.0.0.1",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",
    "224.0.0.1",
    "255.255.255.255",
    "::1",
    "::",
    "fe80::1%eth0",
    "fd00::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
)


@pytest.mark.parametrize("text", PRIVATE)
def test_what_is_not_of_the_open_internet(text: str) -> None:
    """An address within another is judged by the one within."""
    address = number_of(text)
    assert address is not None
    assert not is_public(address)


@pytest.mark.parametrize("text", ["93.184.215.14", "2606:4700::1111", "64:ff9b::5db8:d70e"])
def test_what_is_of_the_open_internet(text: str) -> None:
    """Others may be asked."""
    address = number_of(text)
    assert address is not None
    assert is_public(address)


def test_an_address_is_shown_without_its_secrets() -> None:
    """User, password, query and fragment stay out of errors."""
    assert shown("https://u:p@files.example/a/b?sig=secret#x") == "https://files.example/a/b"
    assert shown("https://u:p?w@files.example/a") == "https://files.example/a"


def test_a_port_that_goes_without_saying_is_the_same_origin() -> None:
    """Names are compared without their case."""
    assert origin_of(judged("https://API.example:443/x")) == origin_of(
        judged("https://api.example")
    )
    assert origin_of(judged("http://api.example")) != origin_of(judged("https://api.example"))
