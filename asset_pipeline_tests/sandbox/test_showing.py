"""Faults of what is shown: the prediction and its bill are as ever, its object is not."""

from __future__ import annotations

import base64
import hashlib
from typing import Any

import pytest

from asset_pipeline_tests.sandbox.conftest import (
    INSTANT,
    KOKORO_VERSION,
    PRO,
    SCHNELL,
    SMALL,
    Reply,
    Running,
    Start,
)

_TEXT = "A  cup\n of\ttea"


@pytest.fixture(name="sandbox")
def _sandbox(instant: Running) -> Running:
    instant.http.delete("/sandbox/faults")
    return instant


def _both(sandbox: Running, made: Reply) -> tuple[Reply, Reply]:
    return sandbox.get(made), sandbox.row(made)


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"form": "upper"}, "BLACK-FOREST-LABS/FLUX-SCHNELL"),
        ({"form": "lower"}, "black-forest-labs/flux-schnell"),
        ({"form": "alias", "alias": "bfl/schnell-official"}, "bfl/schnell-official"),
        ({}, f"{SCHNELL}:{hashlib.sha256(SCHNELL.encode()).hexdigest()}"),
    ],
)
def test_another_name_of_the_model(sandbox: Running, params: dict[str, str], name: str) -> None:
    """Answer, GET and listing name the model as the rule says; the bill as ever."""
    sandbox.fault("other_model_name", params=params)
    made = sandbox.create(**SMALL)
    assert {row["model"] for row in (made, *_both(sandbox, made))} == {name}
    assert sandbox.charges()["charges"][-1]["model"] == SCHNELL


def test_a_community_models_name_carries_its_version(sandbox: Running) -> None:
    """The version that is appended is the model's real one, where it has one."""
    sandbox.fault("other_model_name", match={"model": "jaaari/*"})
    body = {"version": KOKORO_VERSION, "input": {"text": "Hello."}}
    made = sandbox.http.post("/v1/predictions", json=body).json()
    assert made["model"] == f"jaaari/kokoro-82m:{KOKORO_VERSION}"


@pytest.mark.parametrize(
    ("fault", "field"), [("model_absent", "model"), ("created_at_absent", "created_at")]
)
def test_absent_fields(sandbox: Running, fault: str, field: str) -> None:
    """The field is left out, of the rows too, and the filter by time still works."""
    sandbox.fault(fault)
    made = sandbox.create(**SMALL)
    assert all(field not in row for row in _both(sandbox, made))
    ids = [row["id"] for row in sandbox.listed(created_after="2020-01-01T00:00:00Z")]
    assert made["id"] in ids


@pytest.mark.parametrize("hide", ["missing", "null"])
def test_a_hidden_seed(sandbox: Running, hide: str) -> None:
    """Neither input nor log tells the seed; everything else is there."""
    sandbox.fault("hidden_seed", params={"hide": hide})
    made = sandbox.create(seed=77, **SMALL)
    for row in _both(sandbox, made):
        expected = {"prompt": "A tea cup", **SMALL}
        assert row["input"] == (expected if hide == "missing" else {**expected, "seed": None})
        assert "77" not in row["logs"]


def test_collapsed_text(sandbox: Running) -> None:
    """Inner white space becomes one space each."""
    sandbox.fault("collapsed_text")
    made = sandbox.create(_TEXT, **SMALL)
    assert {row["input"]["prompt"] for row in _both(sandbox, made)} == {"A cup of tea"}


def test_an_emptied_input(sandbox: Running) -> None:
    """Input and logs are gone though the hour is not over."""
    sandbox.fault("emptied_input")
    made = sandbox.create(seed=77, **SMALL)
    for row in _both(sandbox, made):
        assert (row["input"], row["logs"], row["data_removed"]) == ({}, "", False)
        assert row["output"]


def test_a_route_narrows_where_it_shows(sandbox: Running) -> None:
    """With a route, listing and GET tell different stories."""
    sandbox.fault("hidden_seed", match={"route": "list"})
    sandbox.fault("model_absent", match={"route": "get"})
    made = sandbox.create(seed=7, **SMALL)
    single, row = _both(sandbox, made)
    assert ("seed" in made["input"], "model" in made) == (True, True)
    assert ("seed" in single["input"], "model" in single) == (True, False)
    assert ("seed" in row["input"], "model" in row) == (False, True)


def test_rules_about_what_is_shown_add_up(sandbox: Running) -> None:
    """Several of them change one object, and a fault of the wire still strikes beside them."""
    for name in ("hidden_seed", "collapsed_text", "created_at_absent"):
        sandbox.fault(name)
    sandbox.fault("failed", times=1)
    made = sandbox.create(_TEXT, seed=7, **SMALL)
    assert made["status"] == "failed"
    row = sandbox.row(made)
    assert row["input"] == {"prompt": "A cup of tea", **SMALL}
    assert "created_at" not in row


def test_a_share_is_drawn_once_for_each_prediction(sandbox: Running) -> None:
    """One that hides its seed hides it at every look, and the one beside it never."""
    sandbox.fault("hidden_seed", match={"probability": 0.5, "seed": 4})
    made = [sandbox.create(f"Number {number}", seed=number, **SMALL) for number in range(12)]
    looks = [[("seed" in sandbox.get(row)["input"]) for row in made] for _ in range(2)]
    assert looks[0] == looks[1]
    assert set(looks[0]) == {True, False}
    assert ["seed" in sandbox.row(row)["input"] for row in made] == looks[0]


@pytest.mark.parametrize("value", [1e12, 0, 0.4, -3, "many", None])
def test_absurd_metrics(sandbox: Running, value: Any) -> None:  # noqa: ANN401 -- a table
    """What is shown is what the rule says, missing included; what is billed is the truth."""
    sandbox.fault("absurd_metrics", params={"metrics": {"image_output_count": value}})
    made = sandbox.create(**SMALL)
    for row in _both(sandbox, made):
        shown = row["metrics"]
        assert shown.get("image_output_count", "absent") == ("absent" if value is None else value)
        assert shown["total_time"] == 0
    assert sandbox.charges()["charges"][-1]["charge_micro_usd"] == 3000


_URL = "http://url"


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        ("string", _URL),
        ("list", [_URL]),
        ("object", {"output": _URL}),
        ("nested_list", [[_URL]]),
        ("nested_object", {"result": {"files": [{"url": _URL}]}}),
        ("none", None),
    ],
)
@pytest.mark.parametrize("model", [SCHNELL, PRO])
def test_output_shapes(sandbox: Running, shape: str, expected: object, model: str) -> None:
    """Whatever shape the catalog says, the output comes in the rule's."""
    sandbox.fault("output_shape", params={"shape": shape})
    made = sandbox.create(model=model)
    for row in _both(sandbox, made):
        assert row["status"] == "succeeded"
        assert _masked(row["output"]) == expected


def _masked(output: object) -> object:
    if isinstance(output, list):
        return [_masked(each) for each in output]
    if isinstance(output, dict):
        return {name: _masked(each) for name, each in output.items()}
    return _URL if isinstance(output, str) and "/delivery/" in output else output


def test_an_output_within_the_object(sandbox: Running) -> None:
    """A data URI holds the very bytes of the file, in the shape that the output has."""
    made = sandbox.create(**SMALL)
    content = sandbox.http.get(made["output"][0]).content
    sandbox.fault("output_shape", params={"shape": "data_uri"})
    (uri,) = sandbox.get(made)["output"]
    head, _, data = uri.partition(",")
    assert head == "data:image/webp;base64"
    assert base64.b64decode(data) == content
    sandbox.fault("output_shape", params={"shape": "string"})
    assert sandbox.get(made)["output"] == uri


def test_several_files_where_one_was_asked_for(sandbox: Running) -> None:
    """Each of them can be fetched and is another picture; one is billed."""
    sandbox.fault("output_shape", params={"shape": "several", "files": 3})
    made = sandbox.create(**SMALL)
    contents = [sandbox.http.get(url).content for url in made["output"]]
    assert len(set(contents)) == 3
    assert sandbox.charges()["charges"][-1]["charge_micro_usd"] == 3000


def test_the_webhook_is_repeated(start: Start) -> None:
    """Answer and GET repeat address, query and filter; a listing only when told to."""
    sandbox = start(INSTANT)
    url = "http://127.0.0.1:9/hook?intent=42&x=%2F"
    body = {"input": {"prompt": "A cup", **SMALL}, "webhook": url}
    body["webhook_events_filter"] = ["completed"]
    made = sandbox.http.post(f"/v1/models/{SCHNELL}/predictions", json=body).json()
    for shown in (made, sandbox.get(made)):
        assert (shown["webhook"], shown["webhook_events_filter"]) == (url, ["completed"])
    assert "webhook" not in sandbox.row(made)
    assert "webhook" not in sandbox.create(**SMALL)
    sandbox.fault("webhook_listed")
    assert sandbox.row(made)["webhook"] == url
    sandbox.fault("webhook_hidden", match={"route": "get"})
    assert "webhook" not in sandbox.get(made)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ({"fault": "absurd_metrics"}, "needs params.metrics"),
        ({"fault": "other_model_name", "params": {"form": "alias"}}, "needs params.alias"),
        ({"fault": "webhook_listed", "match": {"route": "get"}}, "can strike list, not get"),
        ({"fault": "late_file", "params": {"seconds": 100_000}}, "params.seconds"),
        ({"fault": "output_shape", "params": {"shape": "several", "files": 11}}, "params.files"),
        ({"fault": "forgotten", "params": {"lasting": 0}}, "params.lasting"),
    ],
)
def test_rules_that_say_too_little_or_too_much(
    sandbox: Running, rule: dict[str, Any], words: str
) -> None:
    """A rule without what it needs, or out of bounds, is refused by name."""
    reply = sandbox.http.post("/sandbox/faults", json={"faults": [rule]})
    assert reply.status_code == 422
    assert words in reply.json()["detail"]
