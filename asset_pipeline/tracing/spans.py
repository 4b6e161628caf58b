"""Spans, as the rest of the code makes them; without a tracer they cost a comparison.

Attributes follow OpenTelemetry's conventions where there are some (``gen_ai``, ``http``), and begin
with ``asset_pipeline`` elsewhere. The text of prompts is none of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Final, Protocol

from asset_pipeline.logs.fields import bound

Attribute = str | int | float | bool


class Tracer(Protocol):
    """Makes spans and sends them away."""

    def span(
        self,
        name: str,
        attributes: Mapping[str, Attribute],
        *,
        parent: str | None,
        links: tuple[str, ...],
        is_call: bool,
    ) -> AbstractContextManager[None]:
        """Return a span around a block, the current one's child if no parent is named."""
        ...

    def traceparent(self) -> str | None:
        """Return the current span as the header ``traceparent`` names it."""
        ...

    def annotate(self, attributes: Mapping[str, Attribute]) -> None:
        """Add attributes to the current span."""
        ...


_NOTHING: Final = nullcontext()
_tracer: list[Tracer] = []


def use(tracer: Tracer | None) -> None:
    """Let spans be made from now on; with None no longer."""
    _tracer[:] = [] if tracer is None else [tracer]


def is_on() -> bool:
    """Tell whether spans are made in this process."""
    return bool(_tracer)


def span(
    name: str,
    *,
    parent: str | None = None,
    links: tuple[str, ...] = (),
    is_call: bool = False,
    **attributes: Attribute | None,
) -> AbstractContextManager[None]:
    """Return a span around a block.

    Args:
        name: What happens in it.
        parent: The ``traceparent`` of the span that it belongs to, from another process; the
            current one if there is none.
        links: The ``traceparent`` of spans that it has to do with.
        is_call: Whether another server is asked.
        attributes: With ``__`` for each dot; None is left out.
    """
    if not _tracer:
        return _NOTHING
    known = {
        key.replace("__", "."): value for key, value in attributes.items() if value is not None
    }
    return _tracer[0].span(name, known, parent=parent, links=links, is_call=is_call)


def annotate(**attributes: Attribute | None) -> None:
    """Add attributes to the current span, with ``__`` for each dot; None is left out."""
    if _tracer:
        known = {
            key.replace("__", "."): value for key, value in attributes.items() if value is not None
        }
        _tracer[0].annotate(known)


def traceparent() -> str | None:
    """Return what names the current span to other processes; None when nothing is traced."""
    return _tracer[0].traceparent() if _tracer else None


def traced_logs() -> AbstractContextManager[None]:
    """Add the current trace to all log records of a block."""
    found = traceparent()
    return _NOTHING if found is None else bound(trace_id=found.split("-")[1])
