"""A prediction as the API shows it at a moment, and as the bill shows it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

from pydantic import JsonValue

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.spec import Model
from asset_pipeline.sandbox.billing import PRICES, Usage, charge
from asset_pipeline.sandbox.faults.names import FaultName
from asset_pipeline.sandbox.lifecycle import TERMINAL, Prediction
from asset_pipeline.sandbox.state import MICROSECONDS


def timestamp(moment_us: int) -> str:
    """Return microseconds since 1970 as ISO 8601 in UTC with a ``Z``."""
    moment = datetime.fromtimestamp(moment_us // MICROSECONDS, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment_us % MICROSECONDS:06d}Z"


def shown(prediction: Prediction, now_us: int, base_url: str) -> dict[str, JsonValue]:
    """Return the prediction's JSON as it is; what is shown of it may be less.

    Args:
        prediction: What to show.
        now_us: The server's time.
        base_url: Origin under which the client reaches the server, without a slash at the end.
    """
    status = prediction.status(now_us)
    removed = prediction.removed(now_us) or _hidden_output(prediction, status)
    self_url = f"{base_url}/v1/predictions/{prediction.public_id}"

    def clock(moment_us: int) -> str:
        return timestamp(moment_us + prediction.skew_us)

    body: dict[str, JsonValue] = {
        "id": prediction.public_id,
        "model": prediction.model,
        "version": prediction.version,
        "input": {} if removed else prediction.input,
        "logs": _logs(prediction, status, removed=removed),
        "output": None if removed else _output(prediction, status, base_url),
        "data_removed": removed,
        "error": prediction.error if status in TERMINAL else None,
        "source": "api",
        "status": status,
        "created_at": timestamp(prediction.created_us),
        "urls": {
            "cancel": f"{self_url}/cancel",
            "get": self_url,
            "web": f"https://replicate.com/p/{prediction.public_id}",
        },
    }
    if prediction.deployment is not None:
        body["deployment"] = prediction.deployment
    if prediction.deadline_us is not None:
        body["deadline"] = clock(prediction.deadline_us)
    if prediction.webhook is not None:
        body.update(prediction.webhook.as_sent)
    if prediction.starts_us is not None and status != "starting":
        body["started_at"] = clock(prediction.starts_us)
    if status in TERMINAL:
        body["completed_at"] = clock(prediction.ends_us)
        body["metrics"] = _metrics(prediction)
    return body


def billed(prediction: Prediction, model: Model | None, now_us: int) -> dict[str, JsonValue]:
    """Return the prediction's line in ``/sandbox/charges``; what has not ended owes nothing yet.

    Lines that show one id are told apart by their number.
    """
    status = prediction.status(now_us)
    amount = 0
    if status in TERMINAL:
        usage = Usage(
            outcome=prediction.outcome,
            ran=prediction.starts_us is not None,
            predict_us=_predict_us(prediction),
            images=len(_delivered(prediction)) if prediction.kind is Kind.IMAGE else 0,
            characters=len(prediction.prompt),
        )
        amount = charge(model, prediction.model, usage, created_us=prediction.created_us)
    return {
        "number": prediction.seq,
        "id": prediction.public_id,
        "account": prediction.account,
        "model": prediction.model,
        "prompt": prediction.prompt,
        "status": status,
        "created_at": timestamp(prediction.created_us),
        "settled": status in TERMINAL,
        "charge_micro_usd": amount,
    }


def _delivered(prediction: Prediction) -> list[str]:
    """Return the files really delivered: unsafe pictures are dropped from a list."""
    if _suffers(prediction, FaultName.SHORT_LIST) and prediction.fault is not None:
        return prediction.files[: prediction.fault.params.keep]
    return prediction.files


def _hidden_output(prediction: Prediction, status: str) -> bool:
    rule = prediction.fault
    return (
        status == "succeeded"
        and rule is not None
        and rule.fault is FaultName.EXPIRED_OUTPUT
        and rule.params.what == "data"
    )


def _suffers(prediction: Prediction, name: FaultName) -> bool:
    return prediction.fault is not None and prediction.fault.fault is name


def _output(prediction: Prediction, status: str, base_url: str) -> JsonValue:
    if status != "succeeded":
        return None
    root = f"{base_url}/delivery/{prediction.id}"
    urls: list[JsonValue] = [f"{root}/{name}" for name in _delivered(prediction)]
    shape = prediction.output["shape"]
    if _suffers(prediction, FaultName.WRONG_OUTPUT_TYPE):
        # A shape that no model of the catalog has.
        return {"unexpected": [urls, 42]}
    if shape == "list":
        return urls
    if shape == "object":
        return {cast("str", prediction.output["key"]): urls[0] if urls else None}
    return urls[0] if urls else None


def _metrics(prediction: Prediction) -> dict[str, JsonValue]:
    total = (prediction.ends_us - prediction.accepted_us) / MICROSECONDS
    metrics: dict[str, JsonValue] = {
        "predict_time": _predict_us(prediction) / MICROSECONDS,
        "total_time": total,
    }
    if prediction.outcome != "succeeded":
        return metrics
    if prediction.kind is Kind.IMAGE:
        metrics["image_output_count"] = len(_delivered(prediction))
        return metrics
    if PRICES.get(prediction.model, ("",))[0] == "thousand_characters":
        metrics["character_input_count"] = len(prediction.prompt)
    metrics["audio_output_count"] = len(_delivered(prediction))
    if prediction.audio_seconds is not None:
        metrics["audio_output_duration_seconds"] = prediction.audio_seconds
    return metrics


def _predict_us(prediction: Prediction) -> int:
    return 0 if prediction.starts_us is None else prediction.ends_us - prediction.starts_us


def _logs(prediction: Prediction, status: str, *, removed: bool) -> str:
    if removed or status == "starting":
        return ""
    seed = prediction.input.get("seed")
    lines = [f"Using seed: {seed}"] if seed is not None else []
    lines.append("Drawn by the sandbox." if prediction.kind is Kind.IMAGE else "Sandbox audio.")
    return "\n".join(lines) + "\n"
