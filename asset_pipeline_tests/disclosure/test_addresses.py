"""Addresses are shown without what opens them, and only web addresses become links."""

from __future__ import annotations

import pytest

from asset_pipeline.disclosure.addresses import is_web_address, shown_address


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://bucket/prefix", "s3://bucket/prefix"),
        ("s3://KEY:SECRET@bucket/prefix", "s3://bucket/prefix"),
        ("s3://KEY:SEC/RET@bucket/prefix", "s3://bucket/prefix"),
        ("https://u:p?q@host/x", "https://host/x"),
        ("https://u:p#q@host/x?y", "https://host/x"),
        ("https://u@host:8443/x?token=1#frag", "https://host:8443/x"),
        ("https://host/x?mail=a@b.example", "https://host/x"),
        ("https://[::1]:80/x?y@z", "https://[::1]:80/x"),
        ("postgresql:///ledger?host=/run&password=p", "postgresql:///ledger"),
        ("/var/data/clips?", "/var/data/clips?"),
        ("https://[broken", "https://[broken"),
    ],
)
def test_shown_without_user_and_query(url: str, shown: str) -> None:
    """A URL keeps its scheme, host, port and path; a folder stays as it is."""
    assert shown_address(url) == shown


@pytest.mark.parametrize(
    ("url", "is_one"),
    [
        ("https://replicate.com/p/abc", True),
        ("HTTP://127.0.0.1:8080/x", True),
        ("javascript:alert(1)", False),
        ("JaVaScRiPt://host/%0aalert(1)", False),
        ("data:text/html,x", False),
        ("file:///etc/passwd", False),
        ("//host/x", False),
        ("https://", False),
        ("https:///x", False),
        ("https://[broken", False),
        ("https://host/\njavascript:x", False),
        ("https://host/a b", False),
        (" javascript:alert(1)", False),
        ("", False),
    ],
)
def test_only_web_addresses_become_links(url: str, is_one: bool) -> None:  # noqa: FBT001 -- a column
    """What is not http or https with a host, in printable characters, is never linked."""
    assert is_web_address(url) is is_one
