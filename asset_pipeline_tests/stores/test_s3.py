from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.stores.address import parse_address
from asset_pipeline.stores.factory import open_store
from asset_pipeline.stores.protocol import Store, StoreError, StoreUnavailableError
from asset_pipeline.stores.retry import Backoff, RetryingStore
from asset_pipeline.stores.s3 import S3Store
from asset_pipeline.stores.s3_access import open_s3
from asset_pipeline_tests.support.servers.proxy import Mishap, Proxy
from asset_pipeline_tests.support.servers.seaweed import BUCKET, SECRET_KEY, SeaweedFS
from asset_pipeline_tests.support.store_contract import StoreContract, key_of, sha256_of

_LARGE = os.urandom(1 << 16) * 145  # 9.5 MB: two parts


class TestS3Store(StoreContract):
    """A bucket on a real S3 server keeps the contract of every store."""

    @pytest.fixture
    def store(self, tmp_path: Path, seaweed: SeaweedFS) -> Store:  # noqa: ARG002 -- the contract's
        """A prefix that nothing was put under yet."""
        return open_store(seaweed.new_url())


def _without_waits(url: str) -> Store:
    """Return the store that open_store returns, but for the waits between two tries."""
    address = parse_address(*url.split("://"))
    return RetryingStore(S3Store(address, open_s3(address)), Backoff(sleep=lambda _: None))


def _put(store: Store, folder: Path, content: bytes) -> str:
    source = folder / "source"
    source.write_bytes(content)
    key = key_of(content)
    store.put(key, source, sha256=sha256_of(content), content_type="image/webp")
    return key


def _uploads(client: Any, prefix: str = "") -> list[Any]:  # noqa: ANN401 -- boto3 has no types
    found = client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    return [each for each in found if each["Key"].startswith(prefix)]


def test_parts(seaweed: SeaweedFS, s3_proxy: Proxy, tmp_path: Path) -> None:
    """A file of more than 8 MiB goes in parts and comes back whole, a smaller one at once."""
    store = open_store(seaweed.new_url())
    key = _put(store, tmp_path, _LARGE)
    assert [request.method for request in s3_proxy.seen] == ["POST", "PUT", "PUT", "POST"]
    assert b"".join(store.read(key)) == _LARGE
    link = store.signed_url(key)
    assert httpx.head(link.replace("X-Amz", "x-amz")).status_code == 403
    assert httpx.get(link).headers["content-type"] == "image/webp"
    s3_proxy.seen.clear()
    _put(store, tmp_path, _LARGE[: 8 << 20])
    assert [request.method for request in s3_proxy.seen] == ["PUT"]


def test_parts_never_overwrite(seaweed: SeaweedFS, tmp_path: Path) -> None:
    """A large object that is there is accepted when equal, refused when not; no parts are left."""
    url = seaweed.new_url()
    store = open_store(url)
    key = _put(store, tmp_path, _LARGE)
    assert _put(store, tmp_path, _LARGE) == key
    seaweed.client().put_object(Bucket=BUCKET, Key=f"{url.rpartition('/')[2]}/{key}", Body=b"other")
    with pytest.raises(StoreError, match="other content"):
        _put(store, tmp_path, _LARGE)
    assert not _uploads(seaweed.client(), url.rpartition("/")[2])


@pytest.mark.parametrize("lost", ["PUT", "POST"])
def test_parts_whose_reply_was_lost(
    seaweed: SeaweedFS, s3_proxy: Proxy, tmp_path: Path, lost: str
) -> None:
    """A part, and the completion of all parts, may lose their reply: the object is whole."""
    store = open_store(seaweed.new_url())
    s3_proxy.strike("lose_reply", lost, containing="uploadId" if lost == "POST" else "")
    assert b"".join(store.read(_put(store, tmp_path, _LARGE))) == _LARGE


def test_parts_of_a_killed_process_are_swept(seaweed: SeaweedFS) -> None:
    """Old uploads under the store's prefix are aborted; new ones and those of others are not."""
    url = seaweed.new_url()
    prefix, client = url.rpartition("/")[2], seaweed.client()
    for name in (f"{prefix}/image/big.webp", f"other-{prefix}/big.webp"):
        client.create_multipart_upload(Bucket=BUCKET, Key=name)
    store, now = open_store(url), datetime.now(UTC)
    assert store.sweep(now - timedelta(hours=1)) == 0
    assert store.sweep(now + timedelta(hours=1)) == 1
    assert not _uploads(client, prefix)
    assert len(_uploads(client, f"other-{prefix}")) == 1


@pytest.mark.parametrize("mishap", ["lose_request", "lose_reply", "damage", "busy"])
def test_a_put_that_goes_wrong(
    seaweed: SeaweedFS, s3_proxy: Proxy, tmp_path: Path, mishap: Mishap
) -> None:
    """A put is repeated until the object is there, whole, once; a damaged body is refused."""
    store = _without_waits(seaweed.new_url())
    content = os.urandom(50_000)
    s3_proxy.strike(mishap)
    key = _put(store, tmp_path, content)
    assert [request.method for request in s3_proxy.seen].count("PUT") == 2
    assert b"".join(store.read(key)) == content
    assert len(list(store.list(""))) == 1


@pytest.mark.parametrize("large", [False, True])
def test_a_damaged_body_is_refused_by_the_server(
    seaweed: SeaweedFS, s3_proxy: Proxy, tmp_path: Path, *, large: bool
) -> None:
    """What arrives otherwise than it was sent is never stored, however often it is tried."""
    store = _without_waits(seaweed.new_url())
    s3_proxy.strike("damage", times=100)
    with pytest.raises(StoreUnavailableError):
        _put(store, tmp_path, _LARGE if large else b"content")
    assert list(store.list("")) == []


@pytest.mark.parametrize("mishap", ["lose_request", "cut", "busy"])
def test_a_get_that_goes_wrong(
    seaweed: SeaweedFS, s3_proxy: Proxy, tmp_path: Path, mishap: Mishap
) -> None:
    """A stream that breaks off goes on where it ended, and the file is whole."""
    store = _without_waits(seaweed.new_url())
    content = os.urandom(3 << 20)
    key = _put(store, tmp_path, content)
    s3_proxy.strike(mishap, "GET")
    store.get(key, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == content


@pytest.mark.parametrize("method", ["HEAD", "GET", "POST"])
def test_other_requests_are_repeated(
    seaweed: SeaweedFS, s3_proxy: Proxy, tmp_path: Path, method: str
) -> None:
    """Head, list and delete are tried again when the server is busy or hangs up."""
    store = _without_waits(seaweed.new_url())
    key = _put(store, tmp_path, b"content")
    s3_proxy.strike("busy", method)
    s3_proxy.strike("lose_reply", method)
    if method == "HEAD":
        assert store.exists(key)
    elif method == "GET":
        assert [each.key for each in store.list("")] == [key]
    else:
        store.delete(key)
        assert not store.exists(key)


def test_a_server_that_is_away(seaweed: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer at all is an error of its own, after some tries."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    with pytest.raises(StoreUnavailableError, match="did not answer"):
        _without_waits(seaweed.new_url()).head("a")


@pytest.mark.parametrize(
    ("variable", "value", "advice"),
    [
        ("AWS_SECRET_ACCESS_KEY", "wrong", "AWS_SECRET_ACCESS_KEY"),
        ("AWS_ACCESS_KEY_ID", "unknown", "AWS_ACCESS_KEY_ID"),
    ],
)
def test_wrong_credentials(
    seaweed: SeaweedFS,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    advice: str,
) -> None:
    """Wrong credentials are a sentence that says which, and shows neither key nor signature."""
    monkeypatch.setenv(variable, value)
    store = open_store(seaweed.new_url())
    for content in (b"small", _LARGE):
        with pytest.raises(StoreError, match=advice) as caught:
            _put(store, tmp_path, content)
        assert not isinstance(caught.value, StoreUnavailableError)
        assert "Signature=" not in str(caught.value)
        assert SECRET_KEY not in str(caught.value)


def test_no_credentials(seaweed: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without credentials is told how to give them."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    store = open_store(seaweed.new_url())
    with pytest.raises(StoreError, match="AWS_PROFILE"):
        list(store.list(""))
    with pytest.raises(StoreError, match="AWS_PROFILE"):
        store.signed_url("a")


def test_no_bucket(seaweed: SeaweedFS, tmp_path: Path) -> None:
    """A missing bucket is said to be missing: no object is thought lost, nor any made."""
    del seaweed
    store = open_store("s3://no-such-bucket/x")
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


def test_profiles(seaweed: SeaweedFS, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys, region and endpoint come from a profile as for the AWS tools."""
    keys = seaweed.environment
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "ENDPOINT_URL", "REGION", "DEFAULT_REGION"):
        monkeypatch.delenv(f"AWS_{name}")
    (tmp_path / "config").write_text(
        f"[profile studio]\nregion = us-east-1\nendpoint_url = {seaweed.url}\n"
        f"aws_access_key_id = {keys['AWS_ACCESS_KEY_ID']}\n"
        f"aws_secret_access_key = {keys['AWS_SECRET_ACCESS_KEY']}\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_PROFILE", "studio")
    store = open_store(seaweed.new_url())
    assert store.exists(_put(store, tmp_path, b"content"))
    monkeypatch.setenv("AWS_PROFILE", "unknown")
    with pytest.raises(ConfigurationError, match="AWS_PROFILE"):
        open_store(seaweed.new_url())


@pytest.mark.parametrize(
    ("environment", "host"),
    [
        ({"AWS_REGION": "eu-central-1"}, "my-clips.s3.eu-central-1.amazonaws.com"),
        ({"AWS_ENDPOINT_URL_S3": "https://s3.example.org"}, "s3.example.org"),
    ],
)
def test_where_requests_go(
    clean_environment: Path, monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], host: str
) -> None:
    """AWS is reached at the bucket's own host of its region, another server by path."""
    del clean_environment
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, value in {**environment, "AWS_SESSION_TOKEN": "token/of+session"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIA")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    link = httpx.URL(open_store("s3://my-clips/a").signed_url("b.webp"))
    assert (link.scheme, link.host) == ("https", host)
    assert link.params["X-Amz-Security-Token"] == "token/of+session"
    assert link.params["X-Amz-Expires"] == str(7 * 24 * 3600)


def test_links_over_http(seaweed: SeaweedFS, tmp_path: Path) -> None:
    """A link serves its object by its method alone; tampered with, it serves nothing."""
    store = open_store(seaweed.new_url())
    content = os.urandom(1000)
    key, other = _put(store, tmp_path, content), _put(store, tmp_path, b"other")
    link = store.signed_url(key, ttl=timedelta(minutes=5), content_type="image/png")
    reply = httpx.get(link)
    assert (reply.status_code, reply.content) == (200, content)
    assert reply.headers["content-type"] == "image/png"
    assert httpx.head(link).status_code == 403
    assert httpx.delete(link).status_code == 403
    assert httpx.put(link, content=b"x").status_code == 403
    for tampered in (
        link.replace(key, other),
        link.replace("image%2Fpng", "text%2Fhtml"),
        link.replace("X-Amz-Expires=300", "X-Amz-Expires=3000"),
        f"{link[:-1]}{'0' if link[-1] != '0' else '1'}",
        link.partition("?")[0],
    ):
        assert tampered != link
        assert httpx.get(tampered).status_code == 403
    assert httpx.head(store.signed_url(key, method="HEAD")).status_code == 200


def test_expired_links(seaweed: SeaweedFS, tmp_path: Path) -> None:
    """A link serves nothing when its time is over."""
    store = open_store(seaweed.new_url())
    link = store.signed_url(_put(store, tmp_path, b"content"), ttl=timedelta(seconds=1))
    for _ in range(200):
        status = httpx.get(link).status_code
        if status != 200:
            break
    assert status == 403


def test_links_to_put_with(seaweed: SeaweedFS) -> None:
    """A link to put with takes the content type that it was signed for, and no other."""
    store = open_store(seaweed.new_url())
    link = store.signed_url("notes/a.txt", method="PUT", content_type="text/plain")
    assert httpx.put(link, content=b"x", headers={"Content-Type": "text/html"}).status_code == 403
    assert not store.exists("notes/a.txt")
    assert httpx.put(link, content=b"x", headers={"Content-Type": "text/plain"}).is_success
    assert store.exists("notes/a.txt")


def test_nothing_is_public(seaweed: SeaweedFS, tmp_path: Path) -> None:
    """Without a signature neither an object nor the list of objects is served."""
    url = seaweed.new_url()
    key = _put(open_store(url), tmp_path, b"content")
    address = f"{seaweed.url}/{BUCKET}"
    assert httpx.get(f"{address}/{url.rpartition('/')[2]}/{key}").status_code == 403
    assert httpx.get(address).status_code == 403


def test_strangers_in_the_bucket(seaweed: SeaweedFS) -> None:
    """Names that no key has are neither listed nor an error."""
    url = seaweed.new_url()
    prefix = url.rpartition("/")[2]
    for name in ("a b.txt", ".hidden/x", "a/b.txt"):
        seaweed.client().put_object(Bucket=BUCKET, Key=f"{prefix}/{name}", Body=b"x")
    assert [each.key for each in open_store(url).list("")] == ["a/b.txt"]
