"""The ids that every line of a log carries: of which run, partition, intent and prediction."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Mapping
from contextvars import ContextVar
from types import MappingProxyType

_FIELDS: ContextVar[Mapping[str, object]] = ContextVar("log_fields", default=MappingProxyType({}))


def log_fields() -> Mapping[str, object]:
    """Return what is bound here; tasks inherit it from whoever started them."""
    return _FIELDS.get()


def bind(**fields: object) -> None:
    """Add fields to all records until the :func:`bound` around this ends; None adds nothing."""
    known = {name: value for name, value in fields.items() if value is not None}
    _FIELDS.set({**_FIELDS.get(), **known})


@contextlib.contextmanager
def bound(**fields: object) -> Generator[None]:
    """Add fields to all records of the block, whatever is logged in it and by whom."""
    before = _FIELDS.get()
    bind(**fields)
    try:
        yield
    finally:
        # Not by a token: a generator may be closed in another context than it was begun in.
        _FIELDS.set(before)
