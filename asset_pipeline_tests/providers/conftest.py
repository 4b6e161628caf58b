"""One TLS context for all providers of this room."""

from __future__ import annotations

import functools
from collections.abc import Generator

import httpx
import pytest


@pytest.fixture(scope="session", autouse=True)
def one_tls_context() -> Generator[None]:
    """Read the certificates once: doing so 130 times is most of these tests' time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx, "create_ssl_context", functools.cache(httpx.create_ssl_context))
        yield
