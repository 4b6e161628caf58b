from __future__ import annotations

import base64
import io
import json
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import requests
from google.auth import credentials as google_credentials
from requests.adapters import HTTPAdapter

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.stores.address import parse_address
from asset_pipeline.stores.factory import open_store
from asset_pipeline.stores.gcs import GcsStore
from asset_pipeline.stores.gcs_access import open_gcs
from asset_pipeline.stores.protocol import Store, StoreError, StoreUnavailableError
from asset_pipeline.stores.retry import Backoff, RetryingStore
from asset_pipeline_tests.support.servers.gcs import ACCOUNT, Gcs
from asset_pipeline_tests.support.servers.proxy import Mishap
from asset_pipeline_tests.support.store_contract import StoreContract, key_of, sha256_of

_LARGE = os.urandom(1 << 16) * 145  # 9.5 MB: two parts


class TestGcsStore(StoreContract):
    """A bucket on a GCS server keeps the contract of every store."""

    @pytest.fixture
    def store(self, tmp_path: Path, gcs: Gcs) -> Store:  # noqa: ARG002 -- the contract's
        """A prefix that nothing was put under yet."""
        return open_store(gcs.new_url())


def _without_waits(url: str) -> Store:
    """Return the store that open_store returns, but for the waits between two tries."""
    address = parse_address(*url.split("://"))
    return RetryingStore(GcsStore(address, open_gcs(address)), Backoff(sleep=lambda _: None))


def _put(store: Store, folder: Path, content: bytes) -> str:
    source = folder / "source"
    source.write_bytes(content)
    key = key_of(content)
    store.put(key, source, sha256=sha256_of(content), content_type="image/webp")
    return key


def _uploads(gcs: Gcs) -> list[str]:
    seen = [request for request in gcs.proxy.seen if request.path.startswith("/upload/")]
    return [request.method for request in seen]


def test_parts(gcs: Gcs, tmp_path: Path) -> None:
    """A file of more than 8 MiB goes in parts and comes back whole, a smaller one at once."""
    store = open_store(gcs.new_url())
    key = _put(store, tmp_path, _LARGE)
    assert _uploads(gcs) == ["POST", "PUT", "PUT"]
    assert b"".join(store.read(key)) == _LARGE
    gcs.proxy.forget()
    _put(store, tmp_path, _LARGE[: 8 << 20])
    assert _uploads(gcs) == ["POST"]


def test_objects_are_given_to_nobody(gcs: Gcs, tmp_path: Path) -> None:
    """No request asks for an access list, and each creates: it would not overwrite."""
    store = open_store(gcs.new_url())
    _put(store, tmp_path, b"content")
    _put(store, tmp_path, _LARGE)
    begun = [each for each in gcs.proxy.seen if each.method == "POST"]
    assert len(begun) == 2
    for request in begun:
        assert "ifGenerationMatch=0" in request.path
        assert "predefinedAcl" not in request.path
        assert b'"acl"' not in request.body[:2000]


@pytest.mark.parametrize("mishap", ["lose_request", "lose_reply", "damage", "busy"])
def test_a_put_that_goes_wrong(gcs: Gcs, tmp_path: Path, mishap: Mishap) -> None:
    """A put is repeated until the object is there, whole, once; a damaged body is not kept."""
    store = _without_waits(gcs.new_url())
    content = os.urandom(50_000)
    gcs.proxy.strike(mishap, "POST", containing="/upload/")
    key = _put(store, tmp_path, content)
    assert _uploads(gcs) == ["POST", "POST"]
    assert b"".join(store.read(key)) == content
    assert len(list(store.list(""))) == 1


@pytest.mark.parametrize("large", [False, True])
def test_a_damaged_body_is_not_kept(gcs: Gcs, tmp_path: Path, *, large: bool) -> None:
    """What arrives otherwise than it was sent is not there afterwards."""
    store = _without_waits(gcs.new_url())
    gcs.proxy.strike("damage", "PUT" if large else "POST", containing="/upload/", times=100)
    with pytest.raises(StoreUnavailableError):
        _put(store, tmp_path, _LARGE if large else os.urandom(9000))
    assert list(store.list("")) == []


@pytest.mark.parametrize("mishap", ["lose_request", "cut", "busy"])
def test_a_get_that_goes_wrong(gcs: Gcs, tmp_path: Path, mishap: Mishap) -> None:
    """A download that breaks off is asked for again, and the file is whole."""
    store = _without_waits(gcs.new_url())
    content = os.urandom(3 << 20)
    key = _put(store, tmp_path, content)
    gcs.proxy.strike(mishap, "GET", containing="/download/")
    store.get(key, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == content


@pytest.mark.parametrize("method", ["HEAD", "GET", "DELETE"])
def test_other_requests_are_repeated(gcs: Gcs, tmp_path: Path, method: str) -> None:
    """Head, list and delete are tried again when the server is busy or hangs up."""
    store = _without_waits(gcs.new_url())
    key = _put(store, tmp_path, b"content")
    sent = "DELETE" if method == "DELETE" else "GET"
    gcs.proxy.strike("busy", sent)
    gcs.proxy.strike("lose_reply", sent)
    if method == "HEAD":
        assert store.exists(key)
    elif method == "GET":
        assert [each.key for each in store.list("")] == [key]
    else:
        store.delete(key)
        assert not store.exists(key)


def test_a_server_that_is_away(gcs: Gcs, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer at all is an error of its own, after some tries."""
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    with pytest.raises(StoreUnavailableError, match="did not answer"):
        _without_waits(gcs.new_url()).head("a")


def test_no_bucket(gcs: Gcs, tmp_path: Path) -> None:
    """A missing bucket is said to be missing: no object is thought lost, nor any made."""
    del gcs
    store = open_store("gs://no-such-bucket/x")
    attempts: list[Callable[[], object]] = [
        lambda: store.head("a"),
        lambda: store.exists("a"),
        lambda: list(store.read("a")),
        lambda: list(store.list("")),
        lambda: store.delete("a"),
        lambda: _put(store, tmp_path, b"x"),
        lambda: _put(store, tmp_path, _LARGE),
    ]
    for attempt in attempts:
        with pytest.raises(StoreError, match="Create the bucket"):
            attempt()


def test_no_credentials(gcs: Gcs, monkeypatch: pytest.MonkeyPatch, clean_environment: Path) -> None:
    """A machine without credentials is told how to give them."""
    monkeypatch.setenv("HOME", str(clean_environment))
    monkeypatch.delenv("GOOGLE_APPLICATION_CREDENTIALS")
    with pytest.raises(StoreError, match="gcloud auth"):
        open_store(gcs.new_url()).signed_url("a")
    monkeypatch.delenv("STORAGE_EMULATOR_HOST")
    with pytest.raises(ConfigurationError, match="gcloud auth"):
        open_store(gcs.new_url())


def test_links_over_http(gcs: Gcs, tmp_path: Path) -> None:
    """A link serves its object by its method alone; tampered with, it serves nothing."""
    store = open_store(gcs.new_url())
    content = os.urandom(1000)
    key, other = _put(store, tmp_path, content), _put(store, tmp_path, b"other")
    link = store.signed_url(key, ttl=timedelta(minutes=5), content_type="image/png")
    reply = httpx.get(link)
    assert (reply.status_code, reply.content) == (200, content)
    assert httpx.head(link).status_code == 403
    assert httpx.delete(link).status_code == 403
    assert httpx.put(link, content=b"x").status_code == 403
    for tampered in (
        link.replace(key, other),
        link.replace("image%2Fpng", "text%2Fhtml"),
        link.replace("X-Goog-Expires=300", "X-Goog-Expires=3000"),
        f"{link[:-1]}{'0' if link[-1] != '0' else '1'}",
    ):
        assert tampered != link
        assert httpx.get(tampered).status_code == 403
    assert httpx.get(link.partition("?")[0]).status_code == 401
    assert httpx.head(store.signed_url(key, method="HEAD")).status_code == 200


def test_expired_links(gcs: Gcs, tmp_path: Path) -> None:
    """A link serves nothing when its time is over; one of seven days is taken."""
    store = open_store(gcs.new_url())
    key = _put(store, tmp_path, b"content")
    assert httpx.get(store.signed_url(key)).status_code == 200
    link = store.signed_url(key, ttl=timedelta(seconds=1))
    for _ in range(500):
        status = httpx.get(link).status_code
        if status != 200:
            break
    assert status == 400


def test_links_to_put_with(gcs: Gcs) -> None:
    """A link to put with is good for the content type that it was signed for, and no other."""
    store = open_store(gcs.new_url())
    link = store.signed_url("notes/a.txt", method="PUT", content_type="text/plain")
    refused = httpx.put(link, content=b"x", headers={"Content-Type": "text/html"})
    assert refused.status_code == 403
    passed = httpx.put(link, content=b"x", headers={"Content-Type": "text/plain"})
    assert passed.status_code not in {400, 401, 403}


class _OfTheMachine(google_credentials.Credentials):
    """What a virtual machine has: a token and a name, but no key."""

    service_account_email = ACCOUNT

    def refresh(self, request: object) -> None:
        del request
        self.token = "token-of-the-machine"
        self.expiry = None


@pytest.fixture
def google(gcs: Gcs, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Google's token and IAM services, the latter with the throwaway key; who asked, and what."""
    asked: list[tuple[str, str]] = []
    send = HTTPAdapter.send

    def answer(
        adapter: HTTPAdapter,
        request: requests.PreparedRequest,
        **options: Any,  # noqa: ANN401
    ) -> requests.Response:
        url = urlsplit(str(request.url))
        if url.hostname == "127.0.0.1":
            return send(adapter, request, **options)
        asked.append((str(request.headers.get("Authorization")), url.path))
        response = requests.Response()
        response.status_code = 200
        content: dict[str, object] = {"access_token": "token-of-a-person", "expires_in": 3600}
        if url.path.endswith(":signBlob"):
            payload = base64.b64decode(json.loads(request.body or b"")["payload"])
            signed = base64.b64encode(gcs.key.sign(payload)).decode()
            content = {"keyId": "0", "signedBlob": signed}
        response.raw = io.BytesIO(json.dumps(content).encode())
        return response

    monkeypatch.setattr(HTTPAdapter, "send", answer)
    return asked


_SIGN = f"/v1/projects/-/serviceAccounts/{ACCOUNT}:signBlob"


def test_links_signed_by_the_machines_account(
    gcs: Gcs, tmp_path: Path, google: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where no key is at hand, IAM signs as the machine's own account, and the link is good."""
    store = open_store(gcs.new_url())
    key = _put(store, tmp_path, b"content")
    monkeypatch.setattr("google.auth.default", lambda **_: (_OfTheMachine(), None))
    assert httpx.get(store.signed_url(key)).content == b"content"
    assert google == [("Bearer token-of-the-machine", _SIGN)]


def _person() -> dict[str, str]:
    person = {"client_id": "c", "client_secret": "s", "refresh_token": "r"}
    return {"type": "authorized_user", **person}


def test_links_signed_by_an_impersonated_account(
    gcs: Gcs, tmp_path: Path, google: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person who impersonates a service account signs through IAM as that account."""
    found = {
        "type": "impersonated_service_account",
        "service_account_impersonation_url": "https://iamcredentials.googleapis.com/v1/projects/-/"
        f"serviceAccounts/{ACCOUNT}:generateAccessToken",
        "source_credentials": _person(),
        "delegates": [],
    }
    (tmp_path / "adc.json").write_text(json.dumps(found))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "adc.json"))
    store = open_store(gcs.new_url())
    key = _put(store, tmp_path, b"content")
    assert httpx.get(store.signed_url(key)).content == b"content"
    assert google[-1] == ("Bearer token-of-a-person", _SIGN)


def test_a_person_cannot_sign(
    gcs: Gcs, tmp_path: Path, google: list[tuple[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A person's own credentials have no key: the error says whom to impersonate, and how."""
    del google
    (tmp_path / "adc.json").write_text(json.dumps(_person()))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "adc.json"))
    with pytest.raises(StoreError, match="impersonate-service-account"):
        open_store(gcs.new_url()).signed_url("a")
