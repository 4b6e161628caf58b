"""A small project on disk with a sandbox of its own: what the Dagster tests run on."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dagster as dg
import httpx
import pytest
import yaml

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.definitions import build_defs
from asset_pipeline.defs.instance.storage import SqliteStorageByProvider
from asset_pipeline.defs.partition_sync import sync_prompts
from asset_pipeline.defs.resources.generation import GenerationResource
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource
from asset_pipeline.defs.resources.replicate import ReplicateResource
from asset_pipeline.defs.resources.store import StoreResource
from asset_pipeline_tests.support.retry_rules import rules_without_waits, write_rules

SCHNELL = "black-forest-labs/flux-schnell"
SPEECH = "minimax/speech-02-turbo"


@contextmanager
def running_sandbox(state_dir: Path) -> Generator[str]:
    """Run a sandbox without delays or limits, and end it afterwards."""
    command = [sys.executable, "-m", "asset_pipeline.sandbox", "--state-dir", str(state_dir)]
    command += ["--predict-seconds", "0", "--start-seconds", "0"]
    command += ["--creates-per-minute", "0", "--requests-per-minute", "0", "--idle-seconds", "600"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    record = state_dir / "server.json"
    try:
        for _ in range(600):
            if record.exists():
                break
            time.sleep(0.05)
        yield json.loads(record.read_text())["url"]
    finally:
        process.terminate()
        process.wait(timeout=10)


@dataclass
class Project:
    """A prompts folder, a data folder, a Dagster instance and a sandbox."""

    root: Path
    url: str
    instance: dg.DagsterInstance
    defs: dg.Definitions
    earlier: frozenset[str]

    @property
    def prompts_dir(self) -> Path:
        return self.root / "prompts"

    def write(
        self,
        kind: Kind,
        *prompts: dict[str, Any],
        renditions: dict[str, Any] | None = None,
        **defaults: Any,  # noqa: ANN401 -- YAML
    ) -> None:
        """Write the one collection of a kind."""
        folder = self.prompts_dir / {"image": "images", "audio": "audio"}[kind]
        folder.mkdir(parents=True, exist_ok=True)
        model = {"image": SCHNELL, "audio": SPEECH}[kind]
        inputs = {"image": {"megapixels": "0.25"}, "audio": {}}[kind]
        document = {
            "collection": f"{kind}s",
            "defaults": {"model": model, "inputs": inputs, **defaults},
            "prompts": list(prompts),
        }
        if renditions is not None:
            document["renditions"] = renditions
        (folder / "collection.yaml").write_text(yaml.safe_dump(document))

    def rules(self, **classes: dict[str, Any]) -> None:
        """Change what is done about some classes of failure; none waits unless it says so."""
        write_rules(self.root / "config", rules_without_waits(**classes))

    def sync(self) -> None:
        """Bring the instance's partitions up to date."""
        library = PromptLibraryResource().load().library
        for kind in Kind:
            sync_prompts(self.instance, kind, library.of_kind(kind).values())

    def run(
        self,
        kind: Kind,
        *prompt_ids: str,
        span: tuple[str, str] | None = None,
        **config: Any,  # noqa: ANN401 -- run config
    ) -> dg.ExecuteInProcessResult:
        """Run the clips of some prompts, or of a span of partitions, in this process."""
        if len(prompt_ids) > 1:
            config["prompt_ids"] = list(prompt_ids)
        tags = None
        if span is not None:
            tags = {
                "dagster/asset_partition_range_start": span[0],
                "dagster/asset_partition_range_end": span[1],
            }
        return self.defs.resolve_job_def(f"{kind}_clips").execute_in_process(
            instance=self.instance,
            partition_key=prompt_ids[0] if prompt_ids else None,
            tags=tags,
            run_config={"ops": {kind.value: {"config": config}}},
            raise_on_error=False,
        )

    def statuses(self, kind: Kind) -> dict[str, str | None]:
        """Return each partition's status as the UI shows it."""
        definition = self.defs.resolve_assets_def(kind.value).partitions_def
        assert definition is not None
        keys = self.instance.get_dynamic_partitions(f"{kind}_prompts")
        found = self.instance.get_status_by_partition(dg.AssetKey(kind.value), keys, definition)
        assert found is not None
        return {key: status.value if status else None for key, status in found.items()}

    def charged(self) -> int:
        """Return what the sandbox says it charged, in micro-dollars."""
        return sum(row["charge_micro_usd"] for row in self.charges())

    def charges(self) -> list[dict[str, Any]]:
        """Return one row a prediction that the sandbox accepted for this project."""
        rows = _all_charges(self.url)
        return [row for row in rows if row["id"] not in self.earlier]

    def ledger_charged(self) -> int:
        """Return what the ledger says it was charged, in micro-dollars."""
        with LedgerResource().open() as ledger:
            return {line.budget: line.charged for line in ledger.balances()}.get("total", 0)

    def fault(self, *rules: dict[str, Any]) -> None:
        """Rehearse failures."""
        httpx.post(f"{self.url}/sandbox/faults", json={"faults": list(rules)}).raise_for_status()

    def heal(self) -> None:
        """End all rehearsed failures."""
        httpx.delete(f"{self.url}/sandbox/faults").raise_for_status()


def _all_charges(url: str) -> list[dict[str, Any]]:
    reply = httpx.get(f"{url}/sandbox/charges")
    if reply.status_code == httpx.codes.NOT_FOUND:
        return []  # another server, which keeps no such account
    charges: list[dict[str, Any]] = reply.json()["charges"]
    return charges


@contextmanager
def shipped_instance(folder: Path) -> Generator[dg.DagsterInstance]:
    """Open a fresh instance on the storage that the shipped `dagster.yaml` names."""
    shutil.copytree(_empty_instance().name, folder, dirs_exist_ok=True)
    with _instance_in(folder) as instance:
        yield instance


@functools.cache
def _empty_instance() -> tempfile.TemporaryDirectory[str]:
    """Make the databases once, to copy: that is 0.4 s of CPU, and opening them 0.1 s."""
    folder = tempfile.TemporaryDirectory(prefix="dagster-", ignore_cleanup_errors=True)
    with _instance_in(Path(folder.name)):
        return folder


def _instance_in(folder: Path) -> dg.DagsterInstance:
    storage = {
        "module": SqliteStorageByProvider.__module__,
        "class": SqliteStorageByProvider.__name__,
        "config": {"home": str(folder)},
    }
    return dg.DagsterInstance.local_temp(str(folder), overrides={"storage": {"custom": storage}})


@contextmanager
def project_at(root: Path, url: str, monkeypatch: pytest.MonkeyPatch) -> Generator[Project]:
    """Set up a project whose settings come from the environment, as a user's do."""
    monkeypatch.setenv("ASSET_PIPELINE_PROVIDER", "sandbox")
    monkeypatch.setenv("REPLICATE_BASE_URL", url)
    monkeypatch.setenv("ASSET_PIPELINE_PROMPTS_DIR", str(root / "prompts"))
    monkeypatch.setenv("ASSET_PIPELINE_DATA_DIR", str(root / "data"))
    monkeypatch.setenv("ASSET_PIPELINE_CONFIG_DIR", str(root / "config"))
    monkeypatch.setenv("ASSET_PIPELINE_RATE_LIMIT_PER_MINUTE", "0")
    monkeypatch.delenv("REPLICATE_API_TOKEN", raising=False)
    (root / "prompts").mkdir()
    (root / "dagster").mkdir()
    (root / "config").mkdir()
    write_rules(root / "config", rules_without_waits())
    replicate, ledger, store = ReplicateResource(), LedgerResource(), StoreResource()
    generation = GenerationResource(
        replicate=replicate, ledger=ledger, store=store, settle_seconds=0.5
    )
    with shipped_instance(root / "dagster") as instance:
        defs = build_defs({"generation": generation})
        earlier = frozenset(row["id"] for row in _all_charges(url))
        yield Project(root, url, instance, defs, earlier)


@pytest.fixture(scope="session")
def sandbox_url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    """One sandbox for all tests of a session."""
    with running_sandbox(tmp_path_factory.mktemp("sandbox")) as url:
        yield url


@pytest.fixture
def project(
    tmp_path: Path, sandbox_url: str, monkeypatch: pytest.MonkeyPatch
) -> Generator[Project]:
    """A fresh project; failures that were rehearsed end with it."""
    with project_at(tmp_path, sandbox_url, monkeypatch) as found:
        yield found
        found.heal()
