"""Lineage for other tools: one OpenLineage event for each run, after its work, off by default.

Dagster's own lineage is in its events, the ledger's in its table ``lineage``; neither needs this.
"""

from __future__ import annotations

import atexit
import logging
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from asset_pipeline.generation.batch import PromptOutcome

_log = logging.getLogger(__name__)

PRODUCER: Final = "https://pypi.org/project/asset-pipeline"
SCHEMA: Final = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"
_VERSION_FACET: Final = (
    "https://openlineage.io/spec/facets/1-0-1/DatasetVersionDatasetFacet.json"
    "#/$defs/DatasetVersionDatasetFacet"
)
_NAMESPACE: Final = "asset_pipeline"

_SECONDS: Final = 5.0
_EXIT_SECONDS: Final = 2.0


@dataclass
class RunLineage:
    """What a run took and made.

    Attributes:
        run_id: Dagster's, which is a UUID as OpenLineage wants it.
        job: The asset that the run makes.
    """

    run_id: str
    job: str
    _inputs: dict[str, Mapping[str, object]] = field(
        default_factory=dict[str, Mapping[str, object]]
    )
    _outputs: dict[str, Mapping[str, object]] = field(
        default_factory=dict[str, Mapping[str, object]]
    )

    def add(self, outcome: PromptOutcome) -> None:
        """Note the clips of a prompt; of one that landed none, nothing."""
        prompt = outcome.prompt
        for landed in outcome.landed:
            clip = landed.clip
            name = f"prompts/{prompt.kind}/{prompt.prompt_id}"
            self._inputs[name] = _dataset(_NAMESPACE, name, prompt.prompt_hash)
            namespace, path = _address(clip.object_uri)
            self._outputs[clip.object_uri] = _dataset(namespace, path, clip.sha256)

    def event(self, at: datetime, *, failed: bool) -> Mapping[str, object]:
        """Return the event of the run's end.

        Args:
            at: When it ended.
            failed: Whether some prompt did not land.
        """
        return {
            "eventType": "FAIL" if failed else "COMPLETE",
            "eventTime": at.isoformat(),
            "run": {"runId": self.run_id},
            "job": {"namespace": _NAMESPACE, "name": self.job},
            "inputs": list(self._inputs.values()),
            "outputs": list(self._outputs.values()),
            "producer": PRODUCER,
            "schemaURL": SCHEMA,
        }


def send(url: str, events: Sequence[Mapping[str, object]]) -> threading.Thread:
    """Send events from a thread: no run waits for whoever collects them.

    At the end of the process two seconds are waited for it. What can't be sent is told in the log.
    """
    thread = threading.Thread(target=_send, args=(url, events), name="lineage", daemon=True)
    thread.start()
    atexit.register(thread.join, _EXIT_SECONDS)
    return thread


def _send(url: str, events: Sequence[Mapping[str, object]]) -> None:
    import httpx  # noqa: PLC0415 -- for who asked for it

    try:
        for event in events:
            httpx.post(url, json=event, timeout=_SECONDS).raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        # Not its text, which names the address with whatever secrets are in it.
        _log.warning("The lineage of a run was not taken: %s.", type(error).__name__)


def _dataset(namespace: str, name: str, version: str) -> Mapping[str, object]:
    facet = {"_producer": PRODUCER, "_schemaURL": _VERSION_FACET, "datasetVersion": version}
    return {"namespace": namespace, "name": name, "facets": {"version": facet}}


def _address(uri: str) -> tuple[str, str]:
    """Return an object's namespace and name, as OpenLineage names those of stores."""
    parts = urlsplit(uri)
    if parts.scheme in {"s3", "gs"}:
        return f"{parts.scheme}://{parts.netloc}", parts.path.lstrip("/")
    return "file", parts.path
