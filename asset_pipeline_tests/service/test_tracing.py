"""One trace from a request over its run to the stored file; nothing at all when it is off."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Generator

import pytest

from asset_pipeline.tracing import otlp, spans
from asset_pipeline_tests.service.conftest import Served
from asset_pipeline_tests.support.otlp_sink import Sink, otlp_sink


@pytest.fixture
def sink(monkeypatch: pytest.MonkeyPatch) -> Generator[Sink]:
    """A collector that this process sends to."""
    monkeypatch.setattr(otlp.atexit, "register", lambda *_: None)
    with otlp_sink() as found:
        monkeypatch.setenv("ASSET_PIPELINE_OTLP_ENDPOINT", found.url)
        otlp.start_tracing(found.url, "tests")
        yield found
        spans.use(None)


def _flush() -> None:
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415

    (tracer,) = spans._tracer
    assert isinstance(tracer, otlp.OtlpTracer)
    assert isinstance(tracer.provider, TracerProvider)
    tracer.provider.force_flush()


def test_a_request_and_its_clip_are_one_trace(sink: Sink, served: Served) -> None:
    """Request, run, batch, paid call and each of its steps, with ids that the log has too."""
    given = "00-11111111111111111111111111111111-2222222222222222-01"
    text = "A red fox that nobody else may know of"
    body = {"kind": "image", "text": text, "inputs": {"megapixels": "0.25"}}
    headers = {"traceparent": given}
    answer = served.client.post("/api/v1/generations", json=body, headers=headers)
    assert answer.status_code == 202
    assert [result.success for result in served.work()] == [True]
    _flush()
    ours = [span for span in sink.spans if span.trace_id.hex() == "1" * 32]
    parents = {span.span_id: span.name for span in ours}
    tree = {span.name: parents.get(span.parent_span_id, "") for span in ours}
    assert tree["POST /api/v1/generations"] == ""
    expected = {
        "run": "POST /api/v1/generations",
        "batch": "run",
        "paid_call": "batch",
        "reserve": "paid_call",
        "create": "paid_call",
        "wait": "paid_call",
        "fetch": "paid_call",
        "verify": "paid_call",
        "put": "paid_call",
        "deliver": "paid_call",
    }
    assert {name: tree.get(name) for name in expected} == expected
    (call,) = [span for span in ours if span.name == "paid_call"]
    told = {each.key: each.value.string_value for each in call.attributes}
    assert told["gen_ai.request.model"] == "black-forest-labs/flux-schnell"
    assert told["gen_ai.response.id"]
    assert text not in str(sink.spans)
    log = (served.project.root / "data" / "logs" / "asset-pipeline.jsonl").read_text()
    assert '"trace_id": "' + "1" * 32 in log


def test_nothing_is_imported_when_it_is_off() -> None:
    """Without an endpoint a process knows nothing of OpenTelemetry."""
    code = (
        "import sys\n"
        "from asset_pipeline.tracing import otlp, spans\n"
        "import asset_pipeline.generation.payment.paid_call\n"
        "otlp.start_tracing(None, 'x')\n"
        "with spans.span('a', b=1):\n    assert spans.traceparent() is None\n"
        "print([name for name in sys.modules if 'opentelemetry' in name])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={}
    )
    assert done.stdout.strip() == "[]"


def test_a_dead_collector_holds_no_exit_up() -> None:
    """What listens and never answers costs an exit two seconds, not its own time-outs."""
    code = (
        "import socket, time\n"
        "from asset_pipeline.tracing import otlp, spans\n"
        "dead = socket.create_server(('127.0.0.1', 0))\n"
        "otlp.start_tracing(f'http://127.0.0.1:{dead.getsockname()[1]}', 'x')\n"
        "with spans.span('a'):\n    pass\n"
        "print(time.time())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={}
    )
    assert time.time() - float(done.stdout) < 4
