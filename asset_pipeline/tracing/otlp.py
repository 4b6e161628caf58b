"""Sending spans to a collector by OTLP over HTTP."""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final

from asset_pipeline.tracing import spans

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider

_log = logging.getLogger(__name__)

_THEIR_OWN: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")

# A collector that is dead must not keep a command from ending. The SDK's own time-out of a flush is
# not kept by it, so a thread that nobody has to wait for does the flushing.
_EXIT_SECONDS: Final = 2.0


def start_tracing(endpoint: str | None, service: str) -> None:
    """Let this process make spans, if an endpoint is set; asked again it changes nothing.

    Args:
        endpoint: Of a collector, such as ``http://localhost:4318``; by OTEL's own variables if
            there is none.
        service: Which part of the pipeline this process is.
    """
    theirs = any(os.environ.get(name) for name in _THEIR_OWN)
    if spans.is_on() or not (endpoint or theirs) or os.environ.get("OTEL_SDK_DISABLED") == "true":
        return
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        _log.warning(
            "Traces are asked for, and opentelemetry is not installed: none are made. Install "
            "asset-pipeline[tracing]."
        )
        return
    # 0.9 s of imports, for who asked for it.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (  # noqa: PLC0415
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    resource = Resource.create({"service.name": "asset_pipeline", "service.component": service})
    provider = TracerProvider(resource=resource, shutdown_on_exit=False)
    address = None if not endpoint else f"{endpoint.rstrip('/')}/v1/traces"
    exporter = OTLPSpanExporter(endpoint=address, timeout=_EXIT_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
    # The exporter tells of each failure with the address, to whoever owns the root logger.
    logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)
    spans.use(OtlpTracer(provider))
    atexit.register(stop_tracing, provider)


def stop_tracing(provider: TracerProvider) -> None:
    """Send what is left, for two seconds at the most, and make no more spans."""
    spans.use(None)
    flushing = threading.Thread(target=provider.shutdown, name="traces", daemon=True)
    flushing.start()
    flushing.join(_EXIT_SECONDS)


class OtlpTracer:
    """Makes OpenTelemetry's spans.

    Args:
        provider: Sends them.
    """

    def __init__(self, provider: TracerProvider) -> None:
        from opentelemetry import trace  # noqa: PLC0415 -- as above
        from opentelemetry.trace.propagation import tracecontext  # noqa: PLC0415

        self.provider = provider
        self._api = trace
        self._tracer = provider.get_tracer("asset_pipeline")
        self._carrier = tracecontext.TraceContextTextMapPropagator()

    @contextmanager
    def span(
        self,
        name: str,
        attributes: Mapping[str, spans.Attribute],
        *,
        parent: str | None,
        links: tuple[str, ...],
        is_call: bool,
    ) -> Generator[None]:
        """Return a span around a block; an error that leaves the block is its status."""
        kinds = self._api.SpanKind
        linked = [self._api.get_current_span(self._context(each)) for each in links]
        with self._tracer.start_as_current_span(
            name,
            context=None if parent is None else self._context(parent),
            kind=kinds.CLIENT if is_call else kinds.INTERNAL,
            attributes=attributes,
            links=[self._api.Link(each.get_span_context()) for each in linked],
            record_exception=False,  # its text may hold what a prompt says
            set_status_on_exception=False,
        ) as made:
            try:
                yield
            except BaseException as error:
                with contextlib.suppress(Exception):
                    made.set_attribute("error.type", type(error).__name__)
                    made.set_status(self._api.StatusCode.ERROR)
                raise

    def traceparent(self) -> str | None:
        """Return the current span as the header ``traceparent`` names it."""
        carrier: dict[str, str] = {}
        self._carrier.inject(carrier)
        return carrier.get("traceparent")

    def annotate(self, attributes: Mapping[str, spans.Attribute]) -> None:
        """Add attributes to the current span."""
        self._api.get_current_span().set_attributes(dict(attributes))

    def _context(self, traceparent: str) -> Context:
        return self._carrier.extract({"traceparent": traceparent})
