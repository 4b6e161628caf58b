"""Backfill 300 under `dagster dev`, 3 of which fail for good: who is touched, and what it costs.

The clips and their renditions are backfilled together. Then the failed ones alone are backfilled
again, with the provider mended; one prompt is edited; and only what is stale is made anew.
"""

from __future__ import annotations

import argparse
import signal
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import yaml

from asset_pipeline_tests.support.crash.site import Site, open_site
from benchmarks._workspace import Workspace, until

_BAD = ("plant-017", "plant-160", "plant-289")

_STATES = """
query States($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) {
    ... on AssetNode {
      assetPartitionStatuses {
        ... on DefaultPartitionStatuses {
          materializedPartitions failedPartitions unmaterializedPartitions materializingPartitions
        }
      }
    }
  }
}
"""
_STALE = """
query Stale($partition: String!) {
  assetNodes(assetKeys: [{path: ["image"]}, {path: ["image_rendition"]}]) {
    assetKey { path } staleStatus(partition: $partition)
  }
}
"""
_LAUNCH = """
mutation Launch($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  }
}
"""


def main(arguments: Sequence[str]) -> int:
    """Print what each step touched; 0 when it was what was asked for and nothing else."""
    parser = argparse.ArgumentParser(prog="isolation", description=__doc__)
    parser.add_argument("--prompts", type=int, default=300)
    parser.add_argument("--hold", type=int, default=0, help="seconds to look at the UI at the end")
    given = parser.parse_args(arguments)
    with (
        tempfile.TemporaryDirectory(prefix="isolation-") as name,
        open_site(Path(name) / "site", predict="0.5") as site,
    ):
        workspace = Workspace(Path(name), site.url)
        _write(workspace, given.prompts)
        workspace.start()
        try:
            story = _Story(workspace, site, given.prompts)
            story.tell()
            if given.hold:
                print(f"look at http://127.0.0.1:{workspace.port}", flush=True)
                time.sleep(given.hold)
        finally:
            workspace.stop(signal.SIGTERM)
    for flaw in story.flaws:
        print(f"  ! {flaw}")
    return 1 if story.flaws else 0


class _Story:
    """The steps, one after another, and what was not as it should be."""

    def __init__(self, workspace: Workspace, site: Site, prompts: int) -> None:
        self.flaws: list[str] = []
        self._workspace = workspace
        self._site = site
        self._prompts = prompts

    def tell(self) -> None:
        workspace, wanted = self._workspace, self._prompts
        until(lambda: len(workspace.partitions()["partitionKeys"]) == wanted, "the sensor")
        self._fault(*({"prompt": bad.replace("plant-", "number ") + " "} for bad in _BAD))
        started = time.monotonic()
        status = self._backfill(workspace.partitions()["partitionKeys"], with_renditions=True)
        print(
            f"backfill of {wanted}: {status} after {time.monotonic() - started:.0f} s", flush=True
        )
        self._check("the backfill ends as failed", status == "COMPLETED_FAILED")
        clips, renditions = self._states("image"), self._states("image_rendition")
        self._say("clips", clips)
        self._say("renditions", renditions)
        landed = sorted(set(workspace.partitions()["partitionKeys"]) - set(_BAD))
        self._check("three clips are red", sorted(clips["failedPartitions"]) == sorted(_BAD))
        self._check("all others are green", sorted(clips["materializedPartitions"]) == landed)
        self._check(
            "renditions are of exactly those",
            sorted(renditions["materializedPartitions"]) == landed,
        )
        self._again()
        self._edit()

    def _again(self) -> None:
        """Backfill the failed ones, with the provider mended."""
        httpx.delete(f"{self._site.url}/sandbox/faults").raise_for_status()
        before = len(self._site.charges())
        status = self._backfill(self._states("image")["failedPartitions"], with_renditions=False)
        paid = len(self._site.charges()) - before
        print(f"backfill of the failed ones: {status}, {paid} predictions", flush=True)
        self._check("only the failed ones run again", (status, paid) == ("COMPLETED_SUCCESS", 3))
        self._wait_for_renditions()

    def _edit(self) -> None:
        """Edit one prompt, and make only what is stale."""
        _write(self._workspace, self._prompts, edited="plant-100")
        key = "plant-100"
        until(lambda: self._stale(key) == ["image", "image_rendition"], "the edit shows")
        others = [name for name in ("plant-099", "plant-101", *_BAD) if self._stale(name)]
        print(f"edited {key}: it and its rendition are stale, of others {len(others)}", flush=True)
        self._check("no other prompt is stale", not others)
        before = len(self._site.charges())
        status = self._backfill([key], with_renditions=True)
        until(lambda: not self._stale(key), "the edited prompt is fresh")
        paid = len(self._site.charges()) - before
        print(f"made anew: {status}, {paid} prediction", flush=True)
        self._check("one payment", (status, paid) == ("COMPLETED_SUCCESS", 1))

    def _wait_for_renditions(self) -> None:
        """Those of clips that landed by themselves follow by the automation conditions."""
        until(
            lambda: len(self._states("image_rendition")["materializedPartitions"]) == self._prompts,
            "the renditions follow",
        )

    def _backfill(self, partitions: Sequence[str], *, with_renditions: bool) -> str:
        assets = ["image", "image_rendition"] if with_renditions else ["image"]
        params = {
            "assetSelection": [{"path": [name]} for name in assets],
            "partitionNames": list(partitions),
        }
        launched = self._workspace.ask(_LAUNCH, params=params)["launchPartitionBackfill"]
        backfill = launched["backfillId"]
        ended = ("COMPLETED_SUCCESS", "COMPLETED_FAILED", "FAILED", "CANCELED")
        until(lambda: self._workspace.backfill_status(backfill) in ended, "the backfill ends")
        return self._workspace.backfill_status(backfill)

    def _states(self, asset: str) -> dict[str, list[str]]:
        node = self._workspace.ask(_STATES, key={"path": [asset]})["assetNodeOrError"]
        found: dict[str, list[str]] = node["assetPartitionStatuses"]
        return found

    def _stale(self, partition: str) -> list[str]:
        nodes = self._workspace.ask(_STALE, partition=partition)["assetNodes"]
        return sorted(
            node["assetKey"]["path"][0] for node in nodes if node["staleStatus"] == "STALE"
        )

    def _fault(self, *matches: dict[str, Any]) -> None:
        rules = [
            {"fault": "failed", "match": match, "params": {"error": "NSFW content detected"}}
            for match in matches
        ]
        reply = httpx.post(f"{self._site.url}/sandbox/faults", json={"faults": rules})
        reply.raise_for_status()

    def _say(self, what: str, states: dict[str, list[str]]) -> None:
        print(
            f"  {what:10} {len(states['materializedPartitions'])} green, "
            f"{len(states['failedPartitions'])} red, "
            f"{len(states['unmaterializedPartitions'])} missing",
            flush=True,
        )

    def _check(self, what: str, fine: bool) -> None:  # noqa: FBT001 -- a claim and whether it holds
        if not fine:
            self.flaws.append(f"it does not hold that {what}")


def _write(workspace: Workspace, count: int, edited: str = "") -> None:
    folder = workspace.folder / "prompts" / "images"
    folder.mkdir(parents=True, exist_ok=True)
    document = {
        "collection": "garden",
        "defaults": {
            "model": "black-forest-labs/flux-schnell",
            "inputs": {"megapixels": "0.25"},
        },
        "prompts": [
            {
                "id": f"plant-{number:03}",
                "text": f"Plant number {number:03} of the garden"
                + (" at dusk" if edited == f"plant-{number:03}" else ""),
            }
            for number in range(count)
        ],
    }
    (folder / "garden.yaml").write_text(yaml.safe_dump(document))
