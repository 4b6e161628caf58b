"""Which rule strikes, how often, and what a bad plan is answered."""

from __future__ import annotations

from pathlib import Path

import pytest

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.sandbox.faults.names import Route
from asset_pipeline.sandbox.faults.plan import FAILED_ERRORS, FaultRule, load_plan
from asset_pipeline.sandbox.faults.registry import Event, FaultRegistry
from asset_pipeline.sandbox.state import State
from asset_pipeline_tests.sandbox.conftest import INSTANT, SMALL, Start


def _book(tmp_path: Path, *rules: dict[str, object]) -> FaultRegistry:
    book = FaultRegistry(State(tmp_path))
    book.add(FaultRule.model_validate(rule) for rule in rules)
    return book


def _struck(book: FaultRegistry, *prompts: str, route: Route = Route.CREATE) -> list[bool]:
    return [
        book.fire(Event(route, "a/b", prompt, f"{prompt}{number}")) is not None
        for number, prompt in enumerate(prompts)
    ]


def test_nth_every_and_times(tmp_path: Path) -> None:
    """Rules count the requests that match them, and strike when their turn comes."""
    for name, rule, expected in (
        ("nth", {"match": {"nth": [2, 5]}}, [0, 1, 0, 0, 1, 0]),
        ("every", {"match": {"every": 3}}, [0, 0, 1, 0, 0, 1]),
        ("times", {"times": 2}, [1, 1, 0, 0, 0, 0]),
        ("prompt", {"match": {"prompt": "CUP", "nth": 1}}, [1, 0, 0, 0, 0, 0]),
        ("model", {"match": {"model": "a/*"}, "times": 1}, [1, 0, 0, 0, 0, 0]),
        ("other", {"match": {"model": "b/*"}}, [0] * 6),
    ):
        book = _book(tmp_path / name, {"fault": "failed", **rule})
        assert _struck(book, *["A cup"] * 6) == [bool(one) for one in expected], name


def test_the_first_rule_that_strikes_decides(tmp_path: Path) -> None:
    """Rules are tried in order; a spent one lets the next have its turn."""
    book = _book(tmp_path, {"fault": "failed", "times": 1}, {"fault": "blank"})
    event = Event(Route.CREATE, "a/b", "x", "x")
    fired = [rule.fault for rule in (book.fire(event), book.fire(event)) if rule is not None]
    assert fired == ["failed", "blank"]


def test_per_prompt(tmp_path: Path) -> None:
    """Each prompt is struck once and then left in peace."""
    book = _book(tmp_path, {"fault": "failed", "per_prompt": 1})
    assert _struck(book, "a", "b", "a", "b", "c") == [True, True, False, False, True]


def test_probability_depends_on_the_input_alone(tmp_path: Path) -> None:
    """A tenth of the inputs is struck, the same ones in any order; another seed hits others."""
    rule = {"fault": "failed", "match": {"probability": 0.1, "seed": 1}}

    def struck(folder: str, order: list[int], **match: object) -> set[int]:
        changed = {**rule, "match": {"probability": 0.1, "seed": 1, **match}}
        book = _book(tmp_path / folder, changed)
        events = {n: Event(Route.CREATE, "a/b", f"prompt {n}", f"input {n}") for n in order}
        return {n for n, event in events.items() if book.fire(event) is not None}

    forwards = struck("one", list(range(400)))
    assert 20 <= len(forwards) <= 65
    assert struck("two", list(reversed(range(400)))) == forwards
    assert struck("three", list(range(400)), seed=2) != forwards


def test_a_share_of_the_prompts_is_struck_at_every_attempt(tmp_path: Path) -> None:
    """A tenth of the prompts meets the fault whatever their seeds; the others never do."""
    book = _book(tmp_path, {"fault": "failed", "match": {"share": 0.1, "seed": 1}})

    def struck(attempt: int) -> set[int]:
        events = {n: Event(Route.CREATE, "a/b", f"{n}", f"{n} {attempt}") for n in range(400)}
        return {n for n, event in events.items() if book.fire(event) is not None}

    first = struck(1)
    assert 20 <= len(first) <= 65
    assert struck(2) == first


def test_failed_predictions_speak_by_code(start: Start) -> None:
    """Each of the provider's error codes can be rehearsed by its name."""
    sandbox = start(INSTANT)
    for code, words in FAILED_ERRORS.items():
        sandbox.fault("failed", match={"prompt": f"<{code}>"}, params={"code": code})
        made = sandbox.create(f"A cup <{code}>", **SMALL)
        assert (made["status"], made["error"]) == ("failed", words)


def test_counts_are_shared_and_survive(tmp_path: Path) -> None:
    """Two processes on one state spend the same allowance, and a restart does not renew it."""
    _book(tmp_path, {"fault": "failed", "times": 2})
    one, two = FaultRegistry(State(tmp_path)), FaultRegistry(State(tmp_path))
    assert _struck(one, "a") + _struck(two, "b") + _struck(one, "c") == [True, True, False]
    assert FaultRegistry(State(tmp_path)).report() == [
        {"fault": "failed", "times": 2, "matched": 3, "fired": 2}
    ]


def test_plan_file(start: Start, tmp_path: Path) -> None:
    """A server can start with a plan; clearing the rules ends it."""
    path = tmp_path / "faults.yaml"
    path.write_text("faults:\n  - {fault: failed, match: {prompt: cup}, params: {error: E1001}}\n")
    sandbox = start(INSTANT, faults_file=path)
    assert sandbox.create("A cup", **SMALL)["error"] == "E1001"
    assert sandbox.create("A house", **SMALL)["status"] == "succeeded"
    assert sandbox.http.delete("/sandbox/faults").status_code == 204
    assert sandbox.http.get("/sandbox/faults").json() == {"faults": []}
    assert sandbox.create("A cup", **SMALL)["status"] == "succeeded"


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("faults:\n  - {fault: nonsense}\n", "faults.0.fault"),
        ("faults:\n  - {fault: failed, params: {code: E1}}\n", "E1 is none of PA"),
        ("faults:\n  - {fault: failed, match: {prmpt: cup}}\n", "prmpt"),
        ("faults:\n  - {fault: blank, match: {route: list}}\n", "blank can strike create, file"),
        ("faults: [", "not YAML"),
        ("- 1\n", "FaultPlan"),
    ],
)
def test_bad_plans_are_named(tmp_path: Path, text: str, named: str) -> None:
    """A plan that breaks the form is refused with file and field."""
    path = tmp_path / "faults.yaml"
    path.write_text(text)
    with pytest.raises(ConfigurationError, match=named) as caught:
        load_plan(path)
    assert str(path) in caught.value.message


def test_missing_plan(tmp_path: Path) -> None:
    """A plan that is not there is a sentence, not a traceback."""
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_plan(tmp_path / "none.yaml")


def test_bad_rules_over_http(start: Start) -> None:
    """A rule that breaks the form is a 422, and none is added."""
    sandbox = start(INSTANT)
    reply = sandbox.http.post("/sandbox/faults", json={"faults": [{"fault": "nonsense"}]})
    assert reply.status_code == 422
    assert sandbox.http.get("/sandbox/faults").json() == {"faults": []}
