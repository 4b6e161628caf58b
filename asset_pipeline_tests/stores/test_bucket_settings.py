"""What a team's bucket asks for is sent with each request, by both libraries, and in links."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.settings import load_settings
from asset_pipeline.stores.address import parse_address
from asset_pipeline.stores.bucket_settings import BucketSettings
from asset_pipeline.stores.environment import bucket_settings, settings_for
from asset_pipeline.stores.factory import open_store
from asset_pipeline.stores.hardening import RuleStatus, check, each
from asset_pipeline.stores.probe import try_everything
from asset_pipeline.stores.protocol import Store, StoreRefusedError
from asset_pipeline.stores.s3_access import open_s3
from asset_pipeline.stores.s3_hardening import s3_rules
from asset_pipeline_tests.support.servers.gcs import Gcs
from asset_pipeline_tests.support.servers.proxy import Proxy, Request
from asset_pipeline_tests.support.servers.seaweed import SeaweedFS

OWNER = {"x-amz-expected-bucket-owner": "111122223333"}


def put(store: Store, folder: Path, size: int) -> str:
    source = folder / "source"
    source.write_bytes(b"x" * size)
    sha256 = hashlib.sha256(source.read_bytes()).hexdigest()
    key = f"image/{sha256[:2]}/{sha256}.webp"
    store.put(key, source, sha256=sha256, content_type="image/webp")
    return key


def use(store: Store, folder: Path) -> None:
    """Everything that a store is asked for: put, in parts too, again, read, head, list, delete."""
    for size in (10, 9 << 20):
        key = put(store, folder, size)
        assert put(store, folder, size) == key
        assert sum(len(block) for block in store.read(key)) == size
        assert store.exists(key)
        assert [each.key for each in store.list("image/")] == [key]
        store.delete(key)
        assert store.head(key) is None
    try_everything(store)


def requires(proxy: Proxy, headers: dict[str, str], *, of_new_objects: bool = False) -> None:
    """Let the proxy refuse, as a bucket's policy does, what lacks one of the headers."""

    def refuse(request: Request) -> int | None:
        makes = request.method == "PUT" and "partNumber" not in request.path
        makes = makes or (request.method == "POST" and "uploads" in request.path)
        if of_new_objects and not makes:
            return 400 if any(name in request.headers for name in headers) else None
        sent = {name: request.headers.get(name) for name in headers}
        signed = request.headers.get("authorization", "")
        return None if sent == headers and all(name in signed for name in headers) else 403

    proxy.check = refuse


def test_requester_pays(s3_proxy: Proxy, seaweed: SeaweedFS, tmp_path: Path) -> None:
    """Each request says so, signed; without the setting each is refused."""
    requires(s3_proxy, {"x-amz-request-payer": "requester"})
    url = seaweed.new_url()
    with pytest.raises(StoreRefusedError, match="403"):
        put(open_store(url), tmp_path, 10)
    store = open_store(url, BucketSettings(requester_pays=True))
    use(store, tmp_path)
    key = put(store, tmp_path, 10)
    s3_proxy.check = lambda _: None
    link = store.signed_url(key, content_type="image/webp")
    assert httpx.URL(link).params["x-amz-request-payer"] == "requester"
    reply = httpx.get(link)
    assert (reply.status_code, reply.content) == (200, b"x" * 10)
    assert reply.headers["content-type"] == "image/webp"
    assert httpx.get(link.replace("requester", "somebody")).status_code == 403
    assert httpx.head(store.signed_url(key, method="HEAD")).status_code == 200


@pytest.mark.parametrize("size", [10, 9 << 20])
def test_required_encryption(
    s3_proxy: Proxy, seaweed: SeaweedFS, tmp_path: Path, size: int
) -> None:
    """New objects carry the header, in one request and in parts; all other requests do not."""
    requires(s3_proxy, {"x-amz-server-side-encryption": "AES256"}, of_new_objects=True)
    url = seaweed.new_url()
    with pytest.raises(StoreRefusedError):
        put(open_store(url), tmp_path, size)
    for asked in (
        BucketSettings(encryption="AES256"),
        BucketSettings(headers={"X-Amz-Server-Side-Encryption": "AES256"}),
    ):
        store = open_store(url, asked)
        key = put(store, tmp_path, size)
        assert sum(len(block) for block in store.read(key)) == size
        store.delete(key)


@pytest.mark.parametrize("headers", [{}, OWNER])
@pytest.mark.parametrize("size", [10, 9 << 20])
def test_a_key_of_the_key_service(
    s3_proxy: Proxy, seaweed: SeaweedFS, tmp_path: Path, size: int, headers: dict[str, str]
) -> None:
    """Sent with what makes an object, signed, by either library, with nothing else."""
    arn = "arn:aws:kms:us-east-1:111122223333:key/abcd"
    wanted = {
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": arn,
    }
    requires(s3_proxy, wanted, of_new_objects=True)
    store = open_store(seaweed.new_url(), BucketSettings(kms_key=arn, headers=headers))
    # SeaweedFS has no such key: what matters is that the request was let through to it.
    with pytest.raises(Exception, match=r"(?!403)"):
        put(store, tmp_path, size)
    made = [each for each in s3_proxy.seen if wanted.items() <= each.headers.items()]
    assert made
    assert all(each.method in {"PUT", "POST"} for each in made)


def test_headers_of_a_teams_own(s3_proxy: Proxy, seaweed: SeaweedFS, tmp_path: Path) -> None:
    """They go with each request, signed; a link has what a browser can't send in its query."""
    wanted = {**OWNER, "x-tenant": "studio"}
    requires(s3_proxy, wanted)
    url = seaweed.new_url()
    with pytest.raises(StoreRefusedError):
        put(open_store(url), tmp_path, 10)
    store = open_store(url, BucketSettings(headers=wanted, requester_pays=True))
    use(store, tmp_path)
    key = put(store, tmp_path, 10)
    s3_proxy.check = lambda _: None
    link = store.signed_url(key, ttl=timedelta(minutes=5))
    assert httpx.URL(link).params["x-amz-expected-bucket-owner"] == "111122223333"
    assert httpx.get(link).status_code == 200


@pytest.mark.usefixtures("seaweed")
def test_path_and_virtual_addressing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bucket's name stands in the path or before the host, for bytes and for links alike."""
    monkeypatch.delenv("AWS_ENDPOINT_URL")
    for addressing, host, path in (
        ("path", "s3.us-east-1.amazonaws.com", "/my-clips/a/b.webp"),
        ("virtual", "my-clips.s3.us-east-1.amazonaws.com", "/a/b.webp"),
        ("auto", "my-clips.s3.us-east-1.amazonaws.com", "/a/b.webp"),
    ):
        asked = BucketSettings(addressing=addressing, requester_pays=True)  # type: ignore[arg-type]
        link = httpx.URL(open_store("s3://my-clips/a", asked).signed_url("b.webp"))
        assert host.replace("us-east-1.", "") in str(link.host).replace("us-east-1.", "")
        assert link.path == path
        access = open_s3(parse_address("s3", "my-clips/a"), asked)
        shown = repr(vars(access.objects)["_objects"])
        assert "my-clips" in shown


def test_the_buckets_own_settings_are_asked_with_them_too(
    s3_proxy: Proxy, seaweed: SeaweedFS
) -> None:
    """`doctor` and `store harden` ask a requester-pays bucket as its users do."""
    requires(s3_proxy, {"x-amz-request-payer": "requester"})
    address = parse_address("s3", seaweed.new_url().removeprefix("s3://"))
    for asked, refused in ((BucketSettings(), True), (BucketSettings(requester_pays=True), False)):
        rules = s3_rules(open_s3(address, asked).client, address, versioning=True, asked=asked)
        found = list(each(rules, check))
        assert any("403" in finding.detail for finding in found) is refused


def test_the_bucket_is_hardened_with_the_key(seaweed: SeaweedFS) -> None:
    """Its default encryption is then the same as that of new objects."""
    address = parse_address("s3", seaweed.new_url().removeprefix("s3://"))
    asked = BucketSettings(kms_key="alias/clips")
    rules = s3_rules(open_s3(address).client, address, versioning=False, asked=asked)
    (encryption,) = [rule for rule in rules if rule.name == "encryption"]
    assert check(encryption).verdict is RuleStatus.FAIL


@pytest.fixture
def environment(clean_environment: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[None]:
    """The variables of a demanding bucket."""
    for name, value in {
        "ASSET_PIPELINE_STORE_URL": "s3://my-clips/studio",
        "ASSET_PIPELINE_STORE_ENCRYPTION": "aws:kms:dsse",
        "ASSET_PIPELINE_STORE_KMS_KEY": "alias/clips",
        "ASSET_PIPELINE_STORE_REQUESTER_PAYS": "true",
        "ASSET_PIPELINE_STORE_USER_PROJECT": "studio-1",
        "ASSET_PIPELINE_STORE_ADDRESSING": "path",
        "ASSET_PIPELINE_STORE_HEADERS": '{"x-gateway": "s3cret-value"}',
    }.items():
        monkeypatch.setenv(name, value)
    yield
    del clean_environment


@pytest.mark.usefixtures("environment")
def test_the_environment_says_what_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it can be shown but the headers' values; the same bucket asks exports for the same."""
    settings = load_settings()
    asked = bucket_settings(settings)
    assert asked == BucketSettings(
        encryption="aws:kms:dsse",
        kms_key="alias/clips",
        requester_pays=True,
        user_project="studio-1",
        addressing="path",
        headers={"x-gateway": "s3cret-value"},
    )
    assert "s3cret" not in asked.describe() + repr(asked) + repr(settings)
    assert "x-gateway" in asked.describe()
    assert settings_for("s3://my-clips/share", settings) == asked
    assert settings_for("s3://theirs/share", settings) == BucketSettings()
    assert settings_for("share", settings) == BucketSettings()
    for wrong in (
        "x-gateway: s3cret-value",
        "[]",
        '{"x": 1}',
        '{"a b": "s3cret"}',
        '{"host": "x"}',
    ):
        monkeypatch.setenv("ASSET_PIPELINE_STORE_HEADERS", wrong)
        with pytest.raises(ConfigurationError) as refused:
            bucket_settings(load_settings())
        assert "s3cret" not in str(refused.value)


def test_google(gcs: Gcs, tmp_path: Path) -> None:
    """The project that pays goes with each request, key and headers too; without it: refused."""

    def refuse(request: Request) -> int | None:
        if "upload_id=" in request.path:
            return None  # a session of its own, which was begun with both
        pays = "userProject=studio-1" in request.path
        return None if pays and request.headers.get("x-tenant") == "studio" else 403

    gcs.proxy.check, before = refuse, gcs.proxy.check
    try:
        url = gcs.new_url()
        with pytest.raises(StoreRefusedError):
            put(open_store(url), tmp_path, 10)
        asked = BucketSettings(user_project="studio-1", headers={"x-tenant": "studio"})
        use(open_store(url, asked), tmp_path)
        keyed = BucketSettings(
            "aws:kms", "projects/p/k", user_project="studio-1", headers=asked.headers
        )
        put(open_store(url, keyed), tmp_path, 10)
        assert any("kmsKeyName=projects" in request.path for request in gcs.proxy.seen)
    finally:
        gcs.proxy.check = before
