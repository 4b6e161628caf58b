"""The desk's page and the routes that it asks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.service.desk import pages
from asset_pipeline.settings import load_settings
from asset_pipeline_tests.service.conftest import SMALL, Served
from asset_pipeline_tests.support.desk_clips import fill_desk
from asset_pipeline_tests.support.project import SCHNELL

DESK = "/api/v1/desk"
STATIC = Path(pages.__file__).parent / "static"


def _index(served: Served, **query: str) -> dict[str, Any]:
    return served.client.get(f"{DESK}/index", params=query).json()


def test_the_page_lets_nothing_in_from_elsewhere(alone: Served) -> None:
    """No inline script or style, and no address of another host in any of the page's files."""
    answer = alone.client.get("/")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*src=)|<style|\son\w+=|\sstyle=", answer.text)
    for path in STATIC.iterdir():
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", text), path.name
        assert "innerHTML" not in text, path.name
        assert alone.client.get(f"/desk/{path.name}").status_code == 200
    assert alone.client.get("/desk/..%2fpages.py").status_code == 404


def test_a_file_that_a_browser_has_is_not_sent_again(alone: Served) -> None:
    """After an upgrade a browser asks, and mixes no old modules with new ones."""
    first = alone.client.get("/desk/app.js")
    again = alone.client.get("/desk/app.js", headers={"If-None-Match": first.headers["etag"]})
    assert first.headers["cache-control"] == "no-cache"
    assert (again.status_code, again.content) == (304, b"")


def test_the_index_comes_in_two_parts_and_in_order(alone: Served) -> None:
    """The first screens come before the rest; together they are all clips, the newest first."""
    fill_desk(load_settings(), 900, pictures=2)
    first, whole = _index(alone), _index(alone, whole="true")
    assert first["counts"] == {"undecided": 900, "approved": 0, "rejected": 0}
    assert (len(first["clips"]), first["more"]) == (400, True)
    assert [row[0] for row in whole["clips"]] == [f"{number:032x}" for number in range(900)]
    assert whole["clips"][:400] == first["clips"]
    assert not whole["more"]
    oldest = _index(alone, order="oldest", whole="true")["clips"]
    assert oldest == whole["clips"][::-1]


def test_views_show_what_they_ask_for(alone: Served) -> None:
    """Filters, search and verdicts narrow a view; its counts are of all verdicts."""
    fill_desk(load_settings(), 120, pictures=2)
    sound = _index(alone, kind="audio")["clips"]
    assert len(sound) == 10
    assert all(ratio is None and seconds > 0 for _, ratio, seconds, _, _ in sound)
    assert len(_index(alone, q="scene 7:")["clips"]) == 2
    assert len(_index(alone, collection="shelf-1")["clips"]) == 24
    detail = alone.client.post(f"{DESK}/details", json={"ids": [sound[0][0]]}).json()["items"][0]
    assert detail["badge"] == ""
    verdict = {
        "clip_id": detail["id"],
        "sha256": detail["sha256"],
        "verdict": "approved",
        "supersedes": 0,
    }
    assert alone.client.post("/api/v1/reviews", json=verdict).status_code == 201
    assert [row[0] for row in _index(alone, state="approved")["clips"]] == [detail["id"]]
    counts = alone.client.get(f"{DESK}/counts", params={"kind": "audio"}).json()
    assert counts == {"undecided": 9, "approved": 1, "rejected": 0}


def test_of_two_people_the_second_is_told(alone: Served) -> None:
    """Who saw no verdict on a clip does not overwrite one that was given meanwhile."""
    fill_desk(load_settings(), 2, pictures=1)
    clip = alone.client.get("/api/v1/clips").json()["items"][0]
    seen = {"clip_id": clip["id"], "sha256": clip["sha256"], "supersedes": 0}
    assert (
        alone.client.post("/api/v1/reviews", json={**seen, "verdict": "approved"}).status_code
        == 201
    )
    second = alone.client.post("/api/v1/reviews", json={**seen, "verdict": "rejected"})
    assert (second.status_code, second.json()["code"]) == (409, "review_changed")


def test_pictures_and_shapes_are_made_once(alone: Served) -> None:
    """A picture comes as sharp as is asked, a sound as its shape; a browser keeps both for good."""
    fill_desk(load_settings(), 12, pictures=2)
    picture = alone.client.get(f"{DESK}/clips/{0:032x}/picture", params={"side": 640})
    assert picture.headers["content-type"] == "image/webp"
    assert "immutable" in picture.headers["cache-control"]
    peaks = alone.client.get(f"{DESK}/clips/{11:032x}/peaks")
    assert len(peaks.json()) == 400
    assert max(peaks.json()) == 255
    tag = peaks.headers["etag"]
    again = alone.client.get(f"{DESK}/clips/{11:032x}/peaks", headers={"If-None-Match": tag})
    assert again.status_code == 304
    assert alone.client.get(f"{DESK}/clips/none/picture").status_code == 404
    assert alone.client.get(f"{DESK}/clips/{11:032x}/picture").status_code == 404


@pytest.mark.parametrize("path", ["index", "choices", "failures", "events", "counts"])
def test_with_a_key_around_nobody_looks_without_one(alone: Served, path: str) -> None:
    """The desk's own routes ask who it is as all others do."""
    alone.key("read")
    assert alone.client.get(f"{DESK}/{path}").status_code == 401


def test_who_may_only_read_orders_nothing(alone: Served) -> None:
    """Takes, retries and edits need the scope that spends."""
    login = {"Authorization": f"Bearer {alone.key('read', 'review')}"}
    asked = {
        "takes": {"clips": [{"clip_id": "a", "sha256": "0" * 64}]},
        "retries": {"prompts": [{"kind": "image", "prompt_id": "a"}]},
        "prompts/image/a/edit": {"file_sha256": "0" * 64},
    }
    for path, body in asked.items():
        answer = alone.client.post(f"{DESK}/{path}", json=body, headers=login)
        assert (answer.status_code, answer.json()["code"]) == (403, "scope_missing"), path


def test_a_prompt_of_a_file_is_edited_and_made_anew(served: Served) -> None:
    """What it costs is told first; then the file has the new text and the clip is the new one."""
    served.project.write(Kind.IMAGE, {"id": "cover", "text": "A lighthouse"})
    path = next(served.project.prompts_dir.rglob("*.yaml"))
    path.write_text(f"# Ours.\nretake_rejected: true\n{path.read_text()}")
    retry = {"prompts": [{"kind": "image", "prompt_id": "cover"}]}
    assert served.client.post(f"{DESK}/retries", json=retry).status_code == 202
    served.work()
    shown = served.client.get(f"{DESK}/prompts/image/cover").json()
    [old] = shown["clips"]
    assert (shown["source"], shown["text"], shown["take_usd"]) == (
        "file",
        "A lighthouse",
        ["0.003000"],
    )
    seen = {"clips": [{"clip_id": old["id"], "sha256": old["sha256"]}]}
    assert served.client.post(f"{DESK}/costs", json=seen).json()["retakes_usd"] == "0.003000"
    url = f"{DESK}/prompts/image/cover/edit"
    edit = {"file_sha256": shown["file_sha256"], "text": "A harbour"}
    plan = served.client.post(url, json={**edit, "dry_run": True}).json()
    assert (plan["worst_case_usd"], plan["to_generate"]) == ("0.003000", 1)
    assert "A harbour" not in path.read_text()
    assert served.client.post(url, json=edit).status_code == 202
    assert path.read_text().startswith("# Ours.\n")
    assert served.client.post(url, json=edit).json()["code"] == "file_changed"
    served.work()
    [new, *_] = served.client.get(f"{DESK}/prompts/image/cover").json()["clips"]
    assert new["prompt_text"] == "A harbour"
    assert new["id"] != old["id"]


def test_takes_and_their_price(served: Served) -> None:
    """The price of a key is known before it; the order is for exactly the clips that were seen."""
    prompt = {
        "kind": "image",
        "text": "A lighthouse",
        "model": SCHNELL,
        "variants": 2,
        "id": "cover",
    }
    served.order(**prompt, inputs=SMALL)
    served.work()
    clips = served.client.get("/api/v1/clips").json()["items"]
    seen = {"clips": [{"clip_id": clip["id"], "sha256": clip["sha256"]} for clip in clips]}
    costs = served.client.post(f"{DESK}/costs", json=seen).json()
    assert (costs["takes"], costs["takes_usd"], costs["retakes"], costs["gone"]) == (
        2,
        "0.006000",
        0,
        0,
    )
    taken = served.client.post(f"{DESK}/takes", json=seen)
    assert (taken.status_code, taken.json()["worst_case_usd"]) == (202, "0.006000")
    served.work()
    assert served.client.post(f"{DESK}/takes", json=seen).json()["code"] == "clip_replaced"
    now = {clip["id"] for clip in served.client.get("/api/v1/clips").json()["items"]}
    assert len(now) == 2
    assert not now & {clip["id"] for clip in clips}
