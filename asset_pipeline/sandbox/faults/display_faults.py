"""Faults of what is shown: a prediction that looks other than it was asked for."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Iterator

from pydantic import JsonValue

from asset_pipeline.catalog.spec import Model
from asset_pipeline.sandbox.faults.names import FaultName
from asset_pipeline.sandbox.faults.plan import FaultRule, Params
from asset_pipeline.sandbox.lifecycle import Prediction
from asset_pipeline.sandbox.outputs import MIME_TYPES, with_extras
from asset_pipeline.sandbox.render_pool import RenderError
from asset_pipeline.sandbox.renderer import MediaRenderer

_SEED_LOG = "Using seed:"

Body = dict[str, JsonValue]


class Disguise:
    """Changes how one prediction is shown.

    Args:
        prediction: Which.
        model: Its entry in the catalog, None when it has been removed since.
        studio: Renders the files of a data URI.
        base_url: Origin under which the client reaches the server.
    """

    def __init__(
        self, prediction: Prediction, model: Model | None, studio: MediaRenderer, base_url: str
    ) -> None:
        self._prediction = prediction
        self._model = model
        self._studio = studio
        self._root = f"{base_url}/delivery/{prediction.id}"

    async def change(self, body: Body, rule: FaultRule) -> None:
        """Change a prediction's JSON as one rule says."""
        params = rule.params
        match rule.fault:
            case FaultName.OTHER_MODEL_NAME:
                body["model"] = _renamed(self._prediction, params)
            case FaultName.MODEL_ABSENT:
                body.pop("model", None)
            case FaultName.CREATED_AT_ABSENT:
                body.pop("created_at", None)
            case FaultName.HIDDEN_SEED:
                self._hide_seed(body, params)
            case FaultName.COLLAPSED_TEXT:
                body["input"] = _collapsed(body["input"])
            case FaultName.EMPTIED_INPUT:
                body["input"], body["logs"] = {}, ""
            case FaultName.ABSURD_METRICS:
                _replace_metrics(body, params)
            case FaultName.OUTPUT_SHAPE:
                await self._reshape(body, params)
            case FaultName.WEBHOOK_HIDDEN:
                hide_webhook(body)
            case _:
                return

    def _hide_seed(self, body: Body, params: Params) -> None:
        """Hide the seed wherever it can be read, in the log too."""
        inputs, logs = body["input"], body["logs"]
        name = (self._model.seed_input if self._model is not None else None) or "seed"
        if isinstance(inputs, dict) and name in inputs:
            rest: Body = {key: value for key, value in inputs.items() if key != name}
            body["input"] = {**rest, name: None} if params.hide == "null" else rest
        if isinstance(logs, str):
            lines = logs.splitlines(keepends=True)
            body["logs"] = "".join(line for line in lines if not line.startswith(_SEED_LOG))

    async def _reshape(self, body: Body, params: Params) -> None:
        files = list(_files(body["output"]))
        if not files:
            return
        match params.shape:
            case "string":
                body["output"] = files[0]
            case "list":
                body["output"] = list(files)
            case "object":
                body["output"] = {"output": files[0]}
            case "nested_list":
                body["output"] = [list(files)]
            case "nested_object":
                body["output"] = {"result": {"files": [{"url": file} for file in files]}}
            case "several":
                names = with_extras(self._prediction.files, params.files)
                body["output"] = [f"{self._root}/{name}" for name in names]
            case "data_uri":
                body["output"] = await self._inlined(body["output"])
            case "none":
                body["output"] = None

    async def _inlined(self, output: JsonValue) -> JsonValue:
        """Return an output of the same shape with each file's bytes in the place of its URL."""
        if isinstance(output, list):
            return [await self._inlined(each) for each in output]
        if isinstance(output, dict):
            return {name: await self._inlined(each) for name, each in output.items()}
        if not isinstance(output, str) or not output.startswith(self._root):
            return output
        try:
            path = await self._studio.file(self._prediction, output.rpartition("/")[2])
        except RenderError:
            return output
        content = await asyncio.to_thread(path.read_bytes)
        return f"data:{MIME_TYPES[path.suffix[1:]]};base64,{base64.b64encode(content).decode()}"


def hide_webhook(body: Body) -> None:
    """Leave out what the create said of its webhook."""
    body.pop("webhook", None)
    body.pop("webhook_events_filter", None)


def _renamed(prediction: Prediction, params: Params) -> str:
    name = prediction.model
    match params.form:
        case "upper":
            return name.upper()
        case "lower":
            return name.lower()
        case "alias":
            return params.alias or name
        case "version":
            version = prediction.version
            if version == "hidden":  # an official model's; it has one all the same
                version = hashlib.sha256(name.encode()).hexdigest()
            return f"{name}:{version}"


def _collapsed(value: JsonValue) -> JsonValue:
    if isinstance(value, dict):
        return {name: _collapsed(each) for name, each in value.items()}
    return " ".join(value.split()) if isinstance(value, str) else value


def _replace_metrics(body: Body, params: Params) -> None:
    metrics = body.get("metrics")
    if isinstance(metrics, dict):
        changed: Body = {**metrics, **params.metrics}
        body["metrics"] = {
            name: value
            for name, value in changed.items()
            if params.metrics.get(name, value) is not None
        }


def _files(output: JsonValue) -> Iterator[str]:
    """Yield the files of an output of any shape."""
    if isinstance(output, str):
        yield output
    elif isinstance(output, list | dict):
        for each in output.values() if isinstance(output, dict) else output:
            yield from _files(each)
