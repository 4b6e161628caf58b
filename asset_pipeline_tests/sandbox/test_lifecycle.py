"""A prediction's life, as the real client sees it."""

from __future__ import annotations

import time
from datetime import datetime

from asset_pipeline_tests.sandbox.conftest import (
    INSTANT,
    KOKORO_VERSION,
    SCHNELL,
    SMALL,
    STILL,
    Running,
    Start,
)


def test_statuses_follow_the_clock(start: Start) -> None:
    """A prediction is starting, then processing, then succeeded, with its times and metrics."""
    sandbox = start(STILL)
    prediction = sandbox.client.models.predictions.create(SCHNELL, {"prompt": "A cup", **SMALL})
    assert (prediction.status, prediction.output, prediction.version) == (
        "starting",
        None,
        "hidden",
    )
    sandbox.advance(11)
    prediction.reload()
    assert prediction.status == "processing"
    assert prediction.metrics is None
    sandbox.advance(100)
    prediction.reload()
    assert prediction.status == "succeeded"
    assert prediction.metrics == {"predict_time": 100, "total_time": 110, "image_output_count": 1}
    times = [prediction.created_at, prediction.started_at, prediction.completed_at]
    created, started, completed = (datetime.fromisoformat(str(moment)) for moment in times)
    assert ((started - created).seconds, (completed - started).seconds) == (10, 100)


def test_reply_has_every_field(instant: Running) -> None:
    """The body carries what the API's prediction object carries, and no cost."""
    body = instant.create("A cup of tea", seed=7, **SMALL)
    assert set(body) == {
        "id", "model", "version", "input", "logs", "output", "data_removed", "error", "source",
        "status", "created_at", "started_at", "completed_at", "metrics", "urls",
    }  # fmt: skip
    assert set(body["urls"]) == {"get", "cancel", "web"}
    assert body["input"] == {"prompt": "A cup of tea", "seed": 7, "megapixels": "0.25"}


def test_input_is_normalised(instant: Running) -> None:
    """Space at the end of the prompt goes, and a whole number sent for a fraction becomes one."""
    model = "black-forest-labs/flux-dev"
    body = instant.create("A cup \n", model=model, guidance=3, num_outputs=1.0, **SMALL)
    assert body["input"]["prompt"] == "A cup"
    assert isinstance(body["input"]["guidance"], float)
    assert isinstance(body["input"]["num_outputs"], int)


def test_output_shapes(instant: Running) -> None:
    """Models answer with a list, a string or an object, as their catalog entry says."""
    listed = instant.create(num_outputs=3, **SMALL)["output"]
    assert [url.rpartition("/")[2] for url in listed] == ["out-0.webp", "out-1.webp", "out-2.webp"]
    one = instant.create(model="black-forest-labs/flux-1.1-pro", output_format="jpg")["output"]
    assert one.endswith("/output.jpg")
    bark = "b76242b40d67c76ab6742e987628a2a9ac019e11d56ab96c4e91ce03b79b2787"
    said = instant.client.predictions.create(version=bark, input={"prompt": "Hello there."})
    assert said.output["audio_out"].endswith("/output.wav")


def test_prefer_wait(start: Start) -> None:
    """``Prefer: wait`` holds the reply until the end; when it expires, 202 and not the end."""
    sandbox = start(INSTANT, predict_seconds=(0.3, 0.3))
    path = f"/v1/models/{SCHNELL}/predictions"
    body = {"input": {"prompt": "A cup", **SMALL}}
    done = sandbox.http.post(path, json=body, headers={"Prefer": "wait"})
    assert (done.status_code, done.json()["status"]) == (201, "succeeded")
    sandbox.fault("slow", params={"seconds": 60})
    began = time.monotonic()
    late = sandbox.http.post(path, json=body, headers={"Prefer": "wait=1"})
    assert (late.status_code, late.json()["status"]) == (202, "processing")
    assert 0.9 < time.monotonic() - began < 4
    refused = sandbox.http.post(path, json=body, headers={"Prefer": "wait=61"})
    assert refused.status_code == 422


def test_cancel(start: Start) -> None:
    """Cancelling ends a prediction where it stands; a finished one stays as it is."""
    sandbox = start(STILL)
    early, late = sandbox.create(**SMALL), sandbox.create(**SMALL)
    assert sandbox.client.predictions.cancel(early["id"]).status == "canceled"
    assert sandbox.get(early).get("started_at") is None
    sandbox.advance(20)
    canceled = sandbox.client.predictions.cancel(late["id"])
    assert canceled.status == "canceled"
    assert canceled.output is None
    assert 10 <= canceled.metrics["predict_time"] < 15
    finished = sandbox.create(**SMALL)
    sandbox.advance(200)
    assert sandbox.client.predictions.cancel(finished["id"]).status == "succeeded"
    assert sandbox.http.post("/v1/predictions/nope/cancel").status_code == 404


def test_cancel_after(start: Start) -> None:
    """A deadline before the start aborts, one after it cancels, one that is kept does nothing."""
    sandbox = start(STILL)

    def send(limit: str) -> dict[str, str]:
        reply = sandbox.http.post(
            f"/v1/models/{SCHNELL}/predictions",
            json={"input": {"prompt": "A cup", **SMALL}},
            headers={"Cancel-After": limit},
        )
        assert reply.status_code == 201, reply.text
        return reply.json()

    aborted, canceled, kept = send("5s"), send("1m"), send("1h")
    assert "deadline" in kept
    sandbox.advance(3600)
    assert sandbox.get(aborted)["status"] == "aborted"
    assert sandbox.get(aborted)["metrics"]["predict_time"] == 0
    assert sandbox.get(canceled)["status"] == "canceled"
    assert sandbox.get(canceled)["metrics"]["predict_time"] == 50
    assert sandbox.get(kept)["status"] == "succeeded"
    bad = sandbox.http.post(
        f"/v1/models/{SCHNELL}/predictions",
        json={"input": {"prompt": "A cup"}},
        headers={"Cancel-After": "2s"},
    )
    assert bad.status_code == 422


def test_retention_of_one_hour(start: Start) -> None:
    """An hour after the end, input, output, logs and file are gone; the rest stays."""
    sandbox = start(INSTANT)
    prediction = sandbox.create(**SMALL)
    url = prediction["output"][0]
    assert sandbox.http.get(url).status_code == 200
    sandbox.advance(3590)
    assert sandbox.http.get(url).status_code == 200
    sandbox.advance(15)
    assert sandbox.http.get(url).status_code == 404
    gone = sandbox.get(prediction)
    assert (gone["input"], gone["output"], gone["logs"], gone["data_removed"]) == (
        {},
        None,
        "",
        True,
    )
    assert gone["status"] == "succeeded"
    sandbox.create("Another", **SMALL)  # a create sweeps
    folder = sandbox.state_dir / "outputs" / prediction["id"][:2] / prediction["id"]
    until = time.monotonic() + 5
    while folder.exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert not folder.exists()


def test_state_survives_a_restart(start: Start) -> None:
    """A new process on the same folder goes on with the same predictions, clock and bill."""
    first = start(STILL)
    prediction = first.create(**SMALL)
    first.advance(50)
    first.stop()
    second = start(STILL, state_dir=first.state_dir)
    assert second.get(prediction)["status"] == "processing"
    second.advance(100)
    body = second.get(prediction)
    assert body["status"] == "succeeded"
    assert second.http.get(body["output"][0]).status_code == 200
    assert second.charges()["total_micro_usd"] == 3000


def test_two_servers_share_a_state(start: Start) -> None:
    """What one server accepts, another on the same folder knows, bills, limits and strikes."""
    one = start(STILL, creates_per_minute=3)
    two = start(STILL, creates_per_minute=3, state_dir=one.state_dir)
    prediction = one.create(**SMALL)
    assert two.get(prediction)["status"] == "starting"
    assert two.client.predictions.cancel(prediction["id"]).status == "canceled"
    assert one.get(prediction)["status"] == "canceled"
    two.fault("failed", times=1)
    failing = one.create(**SMALL)
    two.create(**SMALL)
    one.advance(1000)
    assert two.get(failing)["status"] == "failed"
    assert one.charges() == two.charges()


def test_community_models_run_by_version(instant: Running) -> None:
    """A community model is created by version, with or without its name before it."""
    for version in (KOKORO_VERSION, f"jaaari/kokoro-82m:{KOKORO_VERSION}"):
        said = instant.client.predictions.create(version=version, input={"text": "Hello."})
        assert (said.model, said.version) == ("jaaari/kokoro-82m", KOKORO_VERSION)


def test_deployments(instant: Running) -> None:
    """A deployment's predictions say which deployment they came from."""
    reply = instant.http.post(
        "/v1/deployments/jaaari/kokoro-82m/predictions", json={"input": {"text": "Hello."}}
    )
    assert reply.status_code == 201
    assert reply.json()["deployment"] == "jaaari/kokoro-82m"
