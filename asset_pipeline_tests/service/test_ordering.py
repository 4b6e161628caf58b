"""From an order over HTTP to a published clip, paid once."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import dagster as dg
from sqlalchemy import func, select

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.clock import SystemClock
from asset_pipeline.defs.resources.ledger import LedgerResource
from asset_pipeline.defs.resources.prompt_library import PromptLibraryResource
from asset_pipeline.ledger.api_keys import ApiKeys
from asset_pipeline.ledger.orders import standing_order
from asset_pipeline.ledger.schema import intents
from asset_pipeline_tests.service.conftest import SMALL, Served
from asset_pipeline_tests.support.settled_files import write_settled


def test_an_order_becomes_a_clip_that_is_approved_and_published(served: Served) -> None:
    """POST, a tick, a run, a verdict, a tick: the very clip lies, marked, where people take it."""
    answer = served.order(kind="image", text="A red fox", variants=2)
    assert answer.status_code == 202
    taken = answer.json()
    assert (taken["cached"], taken["worst_case_usd"]) == (0, "0.006000")
    assert taken["waits_for_daemon"]
    assert answer.headers["location"] == taken["status_url"]
    assert served.job(taken["status_url"])["state"] == "queued"

    assert [result.success for result in served.work()] == [True]
    job = served.job(taken["status_url"])
    assert (job["state"], job["charged_usd"], job["reserved_usd"]) == (
        "completed",
        "0.006000",
        "0.000000",
    )
    (item,) = job["items"]
    assert [clip["variant"] for clip in item["clips"]] == [1, 2]
    first, _ = item["clips"]
    media = served.client.get(first["media_url"])
    assert hashlib.sha256(media.content).hexdigest() == first["sha256"]

    decision = {"clip_id": first["clip_id"], "sha256": first["sha256"], "verdict": "approved"}
    assert served.client.post("/api/v1/reviews", json=decision).status_code == 201
    assert [result.success for result in served.review()] == [True]
    folder = served.project.root / "data" / "published.sandbox"
    (entry,) = json.loads((folder / "manifest.json").read_text())["clips"]
    assert entry["original_sha256"] == first["sha256"]
    lying = folder / entry["path"]
    assert hashlib.sha256(lying.read_bytes()).hexdigest() == entry["sha256"]
    assert [path for path in folder.rglob("*.webp") if path.is_file()] == [lying]
    assert served.review() == []


def test_what_is_approved_no_more_is_taken_back(served: Served) -> None:
    """An undone verdict withdraws its file and no other; partition and check show the verdicts."""
    taken = served.order(kind="image", text="A grey owl", variants=2).json()
    served.work()
    clips = served.job(taken["status_url"])["items"][0]["clips"]
    decisions = [
        {"clip_id": each["clip_id"], "sha256": each["sha256"], "verdict": "approved"}
        for each in clips
    ]
    answer = served.client.post("/api/v1/reviews", json={"reviews": decisions}).json()
    assert [result.success for result in served.review()] == [True]
    folder = served.project.root / "data" / "published.sandbox"
    assert len(list(folder.rglob("*.webp"))) == 2
    served.client.post(answer["items"][0]["undo_url"])
    assert [result.success for result in served.review()] == [True]
    (entry,) = json.loads((folder / "manifest.json").read_text())["clips"]
    assert entry["original_sha256"] == clips[1]["sha256"]
    assert [path.name for path in folder.rglob("*.webp")] == [Path(entry["path"]).name]
    assert served.review() == []
    again = served.client.post(
        f"/api/v1/clips/{clips[1]['clip_id']}/regenerate", json={"sha256": clips[1]["sha256"]}
    )
    assert again.status_code == 202
    served.work()
    assert [result.success for result in served.review()] == [True], "replaced after its approval"
    assert list(folder.rglob("*.webp")) == []
    instance = served.project.instance
    found = instance.fetch_observations(dg.AssetKey("image"), limit=1).records[0]
    assert found.asset_observation is not None
    assert found.asset_observation.metadata["review_state"].value == "1 approved, 1 undecided"
    key = dg.AssetCheckKey(dg.AssetKey("image"), "approved")
    history = instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
    assert len(history) == 2, "one evaluation a tick that saw verdicts"
    assert history[0].evaluation is not None
    assert history[0].evaluation.metadata["undecided"].value == 1


def test_the_same_key_orders_once(served: Served) -> None:
    """A caller that lost its answer gets it again, and nothing more is paid."""
    body = {"kind": "image", "text": "A blue door", "inputs": SMALL}
    headers = {"Idempotency-Key": "door-1"}
    first = served.client.post("/api/v1/generations", json=body, headers=headers)
    again = served.client.post("/api/v1/generations", json=body, headers=headers)
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert again.headers["idempotency-replayed"] == "true"
    other = served.client.post(
        "/api/v1/generations", json={**body, "text": "A green door"}, headers=headers
    )
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    served.work()
    third = served.client.post("/api/v1/generations", json=body, headers=headers)
    assert third.json() == first.json()
    served.work()
    with LedgerResource().open() as ledger, ledger.engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(intents)).scalar() == 1


def test_what_is_stored_is_cached_in_the_next_answer(served: Served) -> None:
    """The same prompt under another id costs nothing, and the answer says so."""
    served.order(kind="image", text="A tin boat", id="boat")
    served.work()
    answer = served.order(kind="image", text="A tin boat", id="other-boat").json()
    assert (answer["cached"], answer["worst_case_usd"]) == (1, "0.000000")
    served.work()
    assert served.job(answer["status_url"])["charged_usd"] == "0.000000"


def test_many_submissions_are_one_run(served: Served) -> None:
    """A tick makes one run of all that waits of a kind; each submission hears of its own."""
    orders = [served.order(kind="image", text=f"Number {n}").json() for n in range(5)]
    (request,) = served.tick()
    assert len(request.run_config["ops"]["image"]["config"]["prompt_ids"]) == 5
    assert served.tick()[0].run_key == request.run_key, "offered until Dagster has it"
    served.launch([request])
    assert served.tick() == []
    assert {served.job(each["status_url"])["state"] for each in orders} == {"completed"}


def test_a_bad_prompt_of_a_batch_names_its_place(served: Served) -> None:
    """Nothing of a batch is taken when one can't be made, and all that are wrong are named."""
    body = {
        "prompts": [
            {"id": "good", "text": "A tree"},
            {"id": "odd", "text": "A tree", "inputs": {"colour": "red"}},
            {"id": "none", "text": "A tree", "model": "nobody/nothing"},
        ]
    }
    answer = served.client.post("/api/v1/batches", json=body)
    assert answer.status_code == 422
    pointers = [each["pointer"] for each in answer.json()["errors"]]
    assert pointers == ["/prompts/1/inputs/colour", "/prompts/2/model"]
    assert served.client.get("/api/v1/jobs").json()["items"] == []


def test_cancelled_prompts_are_never_begun(served: Served) -> None:
    """Cancelling ends what waits at once, and what a run has but has not begun."""
    waiting = served.order(kind="image", text="Never made").json()
    cancelled = served.client.post(waiting["cancel_url"]).json()
    assert cancelled["state"] == "cancelled"
    assert served.tick() == []
    taken = served.order(kind="image", text="Nearly made").json()
    (request,) = served.tick()
    assert served.client.post(taken["cancel_url"]).json()["state"] == "cancelled"
    served.launch([request])
    assert served.project.charges() == []
    assert served.job(taken["status_url"])["counts"]["cancelled"] == 1


def test_a_budget_that_bears_nothing_refuses(served: Served, project_config: Path) -> None:
    """The job ends as refused by a budget; nothing was sent."""
    write_settled(project_config / "budgets.yaml", "total_usd: 0.001\n")
    taken = served.order(kind="image", text="Too dear").json()
    assert not taken["fits"]
    served.work()
    job = served.job(taken["status_url"])
    assert job["state"] == "refused_by_budget"
    assert served.project.charges() == []


def test_events_are_followed_and_taken_up_again(served: Served) -> None:
    """Every change is an event with a number; whoever comes back with it misses none."""
    taken = served.order(kind="image", text="A kite").json()
    served.work()
    whole = served.client.get(taken["events_url"]).text
    names = [line[7:] for line in whole.splitlines() if line.startswith("event: ")]
    assert names == ["job.queued", "job.running", "prompt.completed", "job.completed"]
    rest = served.client.get(taken["events_url"], headers={"Last-Event-ID": "2"}).text
    assert [line for line in rest.splitlines() if line.startswith("id: ")] == ["id: 3", "id: 4"]


def test_another_take_is_one_clip_more(served: Served) -> None:
    """Another take makes exactly its own variant anew; the others stay and nothing else is paid."""
    taken = served.order(kind="image", text="A bell", variants=2).json()
    served.work()
    first, second = served.job(taken["status_url"])["items"][0]["clips"]
    plan = served.client.post(
        f"/api/v1/clips/{first['clip_id']}/regenerate", json={"dry_run": True}
    ).json()
    assert (plan["to_generate"], plan["cached"], plan["worst_case_usd"]) == (1, 1, "0.003000")
    again = served.client.post(
        f"/api/v1/clips/{first['clip_id']}/regenerate", json={"sha256": first["sha256"]}
    )
    assert again.status_code == 202
    served.work()
    job = served.job(again.json()["status_url"])
    assert job["state"] == "completed"
    now = {clip["variant"]: clip for clip in job["items"][0]["clips"]}
    assert now[1]["clip_id"] != first["clip_id"]
    assert now[2]["clip_id"] == second["clip_id"]
    assert len(served.project.charges()) == 3
    stale = served.client.post(
        f"/api/v1/clips/{first['clip_id']}/regenerate", json={"sha256": first["sha256"]}
    )
    assert (stale.status_code, stale.json()["code"]) == (409, "clip_replaced")


def test_prompts_over_http_are_in_the_library(served: Served) -> None:
    """They live in the ledger as a collection of their own, beside those of files."""
    served.project.write(Kind.IMAGE, {"id": "filed", "text": "A filed thing"})
    served.order(kind="image", text="A posted thing", id="posted", collection="posted-ones")
    library = PromptLibraryResource().load().library
    assert [prompt.prompt_id for prompt in library.prompts.values()] == ["filed", "posted"]
    assert library.prompts[Kind.IMAGE, "posted"].path == "ledger/posted-ones"
    refused = served.order(kind="image", text="Mine now", id="filed")
    assert (refused.status_code, refused.json()["code"]) == (409, "prompt_taken")


def test_a_key_that_ended_begins_nothing_more(served: Served) -> None:
    """What a revoked key ordered before, and nobody began, is not paid for, by no other run."""
    key = served.key("generate", budget=1_000_000)
    answer = served.client.post(
        "/api/v1/generations",
        json={"kind": "image", "text": "A stolen fox", "inputs": SMALL},
        headers={"Authorization": f"Bearer {key}"},
    )
    assert answer.status_code == 202
    with LedgerResource().open() as ledger:
        ApiKeys(ledger.engine, SystemClock()).revoke(key.split("_")[1])
    served.work()
    with LedgerResource().open() as ledger, ledger.engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(intents)).scalar() == 0


def test_a_run_of_its_own_pays_from_the_budget_of_the_key(served: Served) -> None:
    """A backfill of what came over HTTP passes the key's budget no more than its launch would."""
    key = served.key("generate", budget=100)
    answer = served.client.post(
        "/api/v1/generations",
        json={"kind": "image", "text": "A dear fox", "id": "dear-fox", "inputs": SMALL},
        headers={"Authorization": f"Bearer {key}"},
    )
    assert answer.status_code in {202, 409, 402, 422}, answer.text
    with LedgerResource().open() as ledger, ledger.engine.connect() as connection:
        found = standing_order(connection, Kind.IMAGE, "dear-fox")
    assert found.key_id == key.split("_")[1]
    assert found.cap is not None
    assert found.cap.cap == 100
