"""Attacks on the service: other people's things, other sites' pages, bodies that are no bodies."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Generator
from pathlib import Path

import pytest
from PIL import Image
from sqlalchemy import select

from asset_pipeline.cli._service import revoke_key
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.ledger.service_schema import api_keys, service_audit, sessions
from asset_pipeline.service.identity import COOKIE
from asset_pipeline_tests.service.conftest import SMALL, Place, Served, serving

FOX = {"kind": "image", "text": "A fox", "inputs": SMALL}


def _bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def _picture(side: int = 64) -> bytes:
    image = Image.effect_noise((side, side), 80).convert("RGB")
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def _upload(alone: Served, content: bytes, name: str = "a.png", **headers: str) -> object:
    files = {"file": (name, content, "image/png")}
    return alone.client.post("/api/v1/files", files=files, headers=headers)


def test_with_a_key_nobody_comes_in_without_one(alone: Served) -> None:
    """A first key closes the door, on this machine too: a proxy here may hand on anybody's call."""
    assert alone.client.get("/api/v1/clips").status_code == 200
    key = alone.key("read")
    answer = alone.client.get("/api/v1/clips")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert alone.client.get("/api/v1/clips", headers=_bearer(key)).status_code == 200
    assert alone.client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "given", ["Bearer", "Bearer ap_", "Basic x", "Bearer ap_x_y", "Bearer \xff"]
)
def test_what_is_no_key_opens_nothing(alone: Served, given: str) -> None:
    """Whatever a header holds, it is a clean refusal, also while no key is needed."""
    answer = alone.client.get("/api/v1/clips", headers={"Authorization": given.encode("latin-1")})
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


def test_secrets_of_keys_and_sessions_are_not_in_the_ledger(alone: Served) -> None:
    """Whoever reads the database can't come in with what is there."""
    key = alone.key("admin")
    token = alone.client.post("/api/v1/session", json={"key": key}).cookies[COOKIE]
    with LedgerResource().open() as ledger, ledger.engine.connect() as connection:
        rows = str([connection.execute(select(table)).all() for table in (api_keys, sessions)])
    assert key.rpartition("_")[2] not in rows
    assert token not in rows


def test_scopes_hold(alone: Served) -> None:
    """A key does what its scopes say and no more; revoked, it does nothing, at once."""
    read, review = alone.key("read"), alone.key("review")
    for key, path in ((read, "/api/v1/generations"), (review, "/api/v1/generations")):
        answer = alone.client.post(path, json=FOX, headers=_bearer(key))
        assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing")
    assert alone.client.get("/api/v1/clips", headers=_bearer(review)).status_code == 403
    revoke_key(read.split("_")[1], as_json=True)
    assert alone.client.get("/api/v1/clips", headers=_bearer(read)).status_code == 401


def test_another_keys_jobs_and_files_are_none(alone: Served) -> None:
    """What somebody else ordered or uploaded can't be seen, followed, stopped, used or deleted."""
    mine, other = alone.key("read", "generate"), alone.key("read", "generate")
    taken = alone.client.post("/api/v1/generations", json=FOX, headers=_bearer(mine)).json()
    file = _upload(alone, _picture(), **_bearer(mine)).json()  # type: ignore[attr-defined]
    asked = [
        ("GET", taken["status_url"]),
        ("GET", taken["events_url"]),
        ("GET", f"{taken['status_url']}/items"),
        ("POST", taken["cancel_url"]),
        ("GET", f"/api/v1/files/{file['id']}"),
        ("DELETE", f"/api/v1/files/{file['id']}"),
    ]
    for method, url in asked:
        answer = alone.client.request(method, url, headers=_bearer(other))
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), url
    assert alone.client.get("/api/v1/jobs", headers=_bearer(other)).json()["items"] == []
    assert alone.client.get("/api/v1/files", headers=_bearer(other)).json()["items"] == []
    stolen = {**FOX, "model": "black-forest-labs/flux-dev", "inputs": {}, "reference": file["id"]}
    answer = alone.client.post("/api/v1/generations", json=stolen, headers=_bearer(other))
    assert answer.status_code == 422
    prompt = alone.client.get(taken["status_url"], headers=_bearer(mine)).json()["items"][0]
    body = {**FOX, "text": "Mine now", "id": prompt["prompt_id"]}
    answer = alone.client.post("/api/v1/generations", json=body, headers=_bearer(other))
    assert (answer.status_code, answer.json()["code"]) == (409, "prompt_taken")


def test_the_same_idempotency_key_of_two_callers_is_two(alone: Served) -> None:
    """Nobody gets another's answer by guessing the name that it was stored under."""
    one, two = alone.key("generate"), alone.key("generate")
    answers = [
        alone.client.post(
            "/api/v1/generations", json=FOX, headers={**_bearer(key), "Idempotency-Key": "1"}
        ).json()
        for key in (one, two)
    ]
    assert answers[0]["id"] != answers[1]["id"]


def test_a_keys_budget_is_a_line_of_the_reservation(served: Served) -> None:
    """What does not fit the key's own budget is never sent, whatever the others bear."""
    key = served.key("read", "generate", budget=4_000)
    body = {**FOX, "variants": 2}
    taken = served.client.post("/api/v1/generations", json=body, headers=_bearer(key)).json()
    assert not taken["fits"]
    served.work()
    job = served.client.get(taken["status_url"], headers=_bearer(key)).json()
    assert (job["state"], job["charged_usd"]) == ("refused_by_budget", "0.003000")
    assert len(served.project.charges()) == 1
    budgets = served.client.get("/api/v1/budgets", headers=_bearer(key)).json()["items"]
    own = next(each for each in budgets if each["period"] == "key")
    assert (own["cap_usd"], own["charged_usd"]) == ("0.004000", "0.003000")
    with LedgerResource().open() as ledger:
        assert ledger.audit().mismatches == ()


def test_a_keys_rate_is_exact(alone: Served) -> None:
    """So many requests a minute are let through and no more; the answer says when again."""
    key = alone.key("read", rate=5)
    answers = [alone.client.get("/api/v1/models", headers=_bearer(key)) for _ in range(8)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429] * 3
    assert int(answers[-1].headers["retry-after"]) in range(1, 13)
    assert answers[0].headers["ratelimit-remaining"] == "4"


def test_a_session_needs_its_token(alone: Served) -> None:
    """A cookie alone changes nothing, no script reads it, and logging in makes a new one."""
    key = alone.key("admin")
    fixed = {"Cookie": f"{COOKIE}=chosen-by-somebody-else"}
    login = alone.client.post("/api/v1/session", json={"key": key}, headers=fixed)
    cookie = login.headers["set-cookie"]
    assert all(word in cookie for word in ("HttpOnly", "Secure", "Path=/", "SameSite=strict"))
    assert "chosen-by" not in cookie
    token = {"Cookie": f"{COOKIE}={login.cookies[COOKIE]}"}
    answer = alone.client.post("/api/v1/generations", json=FOX, headers=token)
    assert (answer.status_code, answer.json()["code"]) == (403, "csrf")
    with_token = {**token, "X-CSRF-Token": login.json()["csrf_token"]}
    assert alone.client.post("/api/v1/generations", json=FOX, headers=with_token).is_success
    foreign = {**with_token, "Origin": "https://evil.example"}
    answer = alone.client.post("/api/v1/generations", json=FOX, headers=foreign)
    assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
    alone.client.delete("/api/v1/session", headers=with_token)
    assert alone.client.get("/api/v1/clips", headers=token).status_code == 401


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_sites_pages_order_nothing_here(alone: Served, headers: dict[str, str]) -> None:
    """Without any login, a page that the user looks at can't spend their money."""
    answer = alone.client.post("/api/v1/generations", json=FOX, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
    form = {"Content-Type": "text/plain"}
    answer = alone.client.post("/api/v1/generations", content=b"{}", headers=form)
    assert answer.status_code == 415


def test_a_name_that_is_not_ours_is_refused(place: Place) -> None:
    """A site that gives its own name this machine's address reads nothing."""
    with serving(place, hosts=frozenset({"127.0.0.1", "localhost"})) as alone:
        answer = alone.client.get("/api/v1/clips", headers={"Host": "evil.example:8484"})
        assert (answer.status_code, answer.json()["code"]) == (421, "wrong_host")
        assert alone.client.get("/api/v1/clips").status_code == 200


def test_forwarded_names_are_heard_from_listed_addresses_alone(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody can write the header; only the proxy's word counts."""
    monkeypatch.setenv("ASSET_PIPELINE_TRUSTED_PROXIES", "10.9.8.7")
    with serving(place) as alone:
        forged = {"X-Forwarded-User": "boss", "X-Forwarded-For": "10.9.8.7"}
        assert alone.client.get("/api/v1/clips", headers=forged).status_code == 401
    monkeypatch.setenv("ASSET_PIPELINE_TRUSTED_PROXIES", "10.9.8.7")
    with serving(place) as alone:
        alone.client._transport.client = ("10.9.8.7", 4711)  # type: ignore[attr-defined]
        session = alone.client.get("/api/v1/session", headers={"X-Forwarded-User": "ann"})
        assert session.json()["actor"] == "user:ann"


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"[" * 100_000, "too_deep"),
        (b'{"text": "\\ud800"}', "bad_json"),
        (b'{"text": "a\\u0000b"}', "bad_json"),
        (b'{"text": NaN}', "bad_json"),
        (b"\xff\xfe", "bad_json"),
        (b"{", "bad_json"),
        (b'{"kind":"image","text":"x","inputs":' + b'{"a":' * 40 + b"1" + b"}" * 41, "too_deep"),
    ],
)
def test_bodies_that_are_none(alone: Served, content: bytes, code: str) -> None:
    """Whatever comes, it is a problem with a code and the request's id."""
    answer = alone.client.post(
        "/api/v1/generations", content=content, headers={"Content-Type": "application/json"}
    )
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_two_gigabytes_are_not_read(alone: Served) -> None:
    """A length that is too large is refused before the body; one that lies is cut off."""

    def endless() -> Generator[bytes]:
        for _ in range(40):
            yield b" " * 1024 * 1024

    kind = {"Content-Type": "application/json"}
    announced = {**kind, "Content-Length": str(2 * 1024**3)}
    answer = alone.client.post("/api/v1/batches", content=b"{}", headers=announced)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
    answer = alone.client.post("/api/v1/batches", content=endless(), headers=kind)
    assert (answer.status_code, answer.json()["code"]) == (413, "too_large")


def _bomb() -> bytes:
    """A PNG of 48 kB that says it has 400 million pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        checked = kind + data
        return struct.pack(">I", len(data)) + checked + struct.pack(">I", zlib.crc32(checked))

    header = struct.pack(">IIBBBBB", 20_000, 20_000, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(2501 * 20_000), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<script>alert(1)</script>",
        b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"GIF89a<script>alert(1)</script>",
        b"PK\x03\x04" + bytes(100),
        _picture()[:500],
        _bomb(),
    ],
    ids=["empty", "html", "svg", "polyglot", "zip", "cut", "bomb"],
)
def test_files_that_are_no_media_are_refused(alone: Served, content: bytes) -> None:
    """A file is judged by its content and decoded in full; nothing of a refused one stays."""
    answer = _upload(alone, content)
    assert answer.status_code in {415, 422}  # type: ignore[attr-defined]
    folder = alone.place.root / "data" / "uploads"
    assert list(folder.iterdir()) == []


def test_a_files_name_decides_nothing(alone: Served) -> None:
    """The sender's name leads nowhere; the file gets an id of ours and is used by it."""
    answer = _upload(alone, _picture(), name="../../../etc/passwd<script>.svg")
    body = answer.json()  # type: ignore[attr-defined]
    assert "passwd" not in str(body)
    (kept,) = (alone.place.root / "data" / "uploads").iterdir()
    assert kept.name == f"{body['id']}.png"
    for reference in ("../collection.yaml", "/etc/passwd", "http://127.0.0.1/", f"{body['id']}/.."):
        refused = alone.order(kind="image", text="x", reference=reference)
        assert refused.status_code == 422


def test_a_quota_bounds_what_is_kept(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files of one owner take so much room and no more; the one that is refused leaves nothing."""
    monkeypatch.setenv("ASSET_PIPELINE_UPLOAD_QUOTA_MB", "1")
    with serving(place) as alone:
        codes = [_upload(alone, _picture(400)).status_code for _ in range(6)]  # type: ignore[attr-defined]
        assert codes[0] == 201
        assert codes[-1] == 413
        kept = list((place.root / "data" / "uploads").iterdir())
        assert len(kept) == codes.count(201)


def test_prompts_are_never_markup(alone: Served) -> None:
    """A prompt with a script in it comes back as data, under policies that run nothing."""
    answer = alone.order(kind="image", text="<script>alert(1)</script>")
    assert answer.status_code == 202
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    page = alone.client.get("/")
    assert "script-src 'self';" in page.headers["content-security-policy"]
    assert "innerHTML" not in alone.client.get("/desk.js").text


def test_changes_are_in_the_audit(alone: Served) -> None:
    """Who did what is a row, found by the request's id; refused attempts too."""
    key = alone.key("read", "generate")
    headers = {**_bearer(key), "X-Request-Id": "request-0001"}
    alone.client.post("/api/v1/generations", json=FOX, headers=headers)
    alone.client.post("/api/v1/reviews", json={"reviews": []}, headers=_bearer(key))
    with LedgerResource().open() as ledger, ledger.engine.connect() as connection:
        rows = connection.execute(select(service_audit)).all()
    assert (rows[0].request_id, rows[0].action, rows[0].status) == (
        "request-0001",
        "POST /api/v1/generations",
        202,
    )
    assert rows[0].actor.startswith(f"key:{key.split('_')[1]}")
    assert rows[1].code == "scope_missing"


def test_no_secret_is_in_an_answer_or_log(alone: Served, tmp_path: Path) -> None:
    """A key that was given is nowhere in what is answered or written."""
    key = alone.key("admin")
    secret = key.rpartition("_")[2]
    answer = alone.client.get("/api/v1/session", headers=_bearer(key))
    assert secret not in answer.text
    logs = list((tmp_path / "data" / "logs").glob("*")) if (tmp_path / "data/logs").exists() else []
    assert all(secret not in path.read_text() for path in logs)
