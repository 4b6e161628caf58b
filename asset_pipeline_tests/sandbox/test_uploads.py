"""Files: what is taken in, listed, deleted, and how it is given back."""

from __future__ import annotations

import httpx

from asset_pipeline_tests.sandbox.conftest import INSTANT, Running, Start


def test_uploads_are_judged_by_what_comes(start: Start) -> None:
    """The metadata is a JSON object, the name is short, the type is one; else it says which."""
    sandbox = start(INSTANT)

    def sent(name: str = "a.png", kind: str = "image/png", **data: str) -> httpx.Response:
        return sandbox.http.post("/v1/files", files={"content": (name, b"x", kind)}, data=data)

    for metadata in ("", "{}", '{"a": {"b": [1, "\\ud800"]}}'):
        assert sent(metadata=metadata).status_code == 201
    for metadata in ("[]", "x", "null", "5", '{"a": NaN}', '{"a":' * 90, "{'a': 1}"):
        refused = sent(metadata=metadata)
        assert refused.status_code == 422, metadata
        assert refused.json()["invalid_fields"][0]["field"] == "metadata"
    assert sent(name="a" * 256).json()["invalid_fields"][0]["field"] == "filename"
    assert sent(kind="picture").json()["invalid_fields"][0]["field"] == "type"
    named = sent(filename="b.webp", type="image/webp").json()
    assert (named["name"], named["content_type"]) == ("b.webp", "image/webp")
    for kind in ("application/json", "multipart/mixed; boundary=b", ""):
        reply = sandbox.http.post("/v1/files", content=b"x", headers={"content-type": kind})
        assert reply.status_code == 415
    assert len(sandbox.http.get("/v1/files").json()["results"]) == 4


def test_files_are_listed_and_deleted(start: Start) -> None:
    """Pages of a hundred, newest first, of the account alone; what is deleted is gone for good."""
    sandbox = start(INSTANT)
    ids = [
        sandbox.http.post("/v1/files", files={"content": ("a.bin", b"x")}).json()["id"]
        for _ in range(103)
    ]
    first = sandbox.http.get("/v1/files").json()
    second = sandbox.http.get(first["next"]).json()
    assert [row["id"] for row in first["results"] + second["results"]] == ids[::-1]
    assert (first["previous"], second["next"]) == (None, None)
    assert sandbox.http.get(second["previous"]).json()["results"] == first["results"]
    assert [file.id for file in sandbox.client.files.list()] == ids[:2:-1]

    other = {"Authorization": "Bearer r8_account_studio"}
    assert sandbox.http.get("/v1/files", headers=other).json()["results"] == []
    assert sandbox.http.delete(f"/v1/files/{ids[0]}", headers=other).status_code == 404
    assert sandbox.client.files.delete(ids[0])
    for method, path in (("GET", ""), ("DELETE", ""), ("GET", "/download")):
        assert sandbox.http.request(method, f"/v1/files/{ids[0]}{path}").status_code == 404
    assert not (sandbox.state_dir / "uploads" / ids[0]).exists()


def test_an_uploaded_page_is_no_page_of_this_server(instant: Running) -> None:
    """What comes back is a download: a page's script would be let in as the server's own."""
    page = {"content": ("a.html", b"<script>1</script>", "text/html")}
    url = instant.http.post("/v1/files", files=page).json()["urls"]["get"]
    reply = instant.http.get(f"{url}/download")
    assert reply.headers["content-disposition"].startswith("attachment")
    assert reply.headers["x-content-type-options"] == "nosniff"
