"""Accounts that share the server and see nothing of each other."""

from __future__ import annotations

import sqlite3

import pytest

from asset_pipeline_tests.sandbox.conftest import INSTANT, SCHNELL, SMALL, Reply, Running, Start

STUDIO = "r8_account_studio"
OTHER_OF_STUDIO = "r8_account_studio_second-key"


def _as(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _create(sandbox: Running, token: str, prompt: str = "A cup") -> Reply:
    path = f"/v1/models/{SCHNELL}/predictions"
    body = {"input": {"prompt": prompt, **SMALL}}
    reply = sandbox.http.post(path, json=body, headers=_as(token))
    assert reply.status_code == 201, reply.text
    return reply.json()


@pytest.mark.parametrize(
    ("token", "name"),
    [
        ("sandbox", "sandbox"),
        ("r8_anything", "sandbox"),
        ("r8_poor_one", "sandbox"),
        ("r8_account_", "sandbox"),
        (STUDIO, "studio"),
        (OTHER_OF_STUDIO, "studio"),
        ("r8_account_studio-2", "studio-2"),
    ],
)
def test_the_token_names_the_account(instant: Running, token: str, name: str) -> None:
    """Two tokens can be one account's; what names none is the sandbox's own."""
    said = instant.http.get("/v1/account", headers=_as(token)).json()
    assert (said["username"], said["type"]) == (name, "user")


def test_an_account_sees_its_own_predictions_alone(start: Start) -> None:
    """Another account's token lists, gets and cancels nothing, and its own sees all of it."""
    sandbox = start(INSTANT, predict_seconds=(100.0, 100.0))
    mine, theirs = _create(sandbox, "r8_mine"), _create(sandbox, STUDIO)
    path = f"/v1/predictions/{theirs['id']}"
    assert sandbox.http.get(path, headers=_as("r8_mine")).status_code == 404
    assert sandbox.http.post(f"{path}/cancel", headers=_as("r8_mine")).status_code == 404
    assert [row["id"] for row in sandbox.listed("r8_mine")] == [mine["id"]]
    assert [row["id"] for row in sandbox.listed(OTHER_OF_STUDIO)] == [theirs["id"]]
    read = sandbox.http.get(path, headers=_as(OTHER_OF_STUDIO))
    assert read.json()["status"] == "processing"
    canceled = sandbox.http.post(f"{path}/cancel", headers=_as(OTHER_OF_STUDIO))
    assert canceled.json()["status"] == "canceled"


def test_the_bill_has_all_accounts(start: Start) -> None:
    """Each row says whose it is; one account's part can be asked for."""
    sandbox = start(INSTANT)
    _create(sandbox, "r8_mine")
    _create(sandbox, STUDIO)
    _create(sandbox, STUDIO)
    assert [line["account"] for line in sandbox.charges()["charges"]] == [
        "sandbox",
        "studio",
        "studio",
    ]
    part = sandbox.http.get("/sandbox/charges", params={"account": "studio"}).json()
    assert (part["accepted"], part["total_micro_usd"]) == (2, 6000)


def test_a_state_of_an_earlier_release_is_taken_over(start: Start) -> None:
    """Predictions made before there were accounts are the sandbox's own, with their times."""
    first = start(INSTANT)
    made = first.create(**SMALL)
    first.stop()
    with sqlite3.connect(first.state_dir / "sandbox.db") as connection:
        for column in ("account", "skew_us", "created_skew_us", "shown_id", "webhook"):
            connection.execute(f"ALTER TABLE predictions DROP COLUMN {column}")
        for column in ("skew_us", "created_skew_us"):
            connection.execute(f"ALTER TABLE settings DROP COLUMN {column}")
    second = start(INSTANT, state_dir=first.state_dir)
    assert second.get(made) == {**made, "urls": second.get(made)["urls"]} | {
        "output": second.get(made)["output"]
    }
    assert second.charges()["charges"][0]["account"] == "sandbox"
