"""`generate --stages`: a bad stage ends the command before the next one costs anything."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import httpx
import pytest

from asset_pipeline_tests.cli.conftest import Done, Sandbox, Workspace

Cli = Callable[..., Done]

pytestmark = pytest.mark.usefixtures("flowers")

FLAWED = """
collection: flowers
defaults: {model: black-forest-labs/flux-schnell, inputs: {megapixels: "0.25"}}
prompts:
  - {id: aster, text: An aster that is staged}
  - {id: broom, text: A broom that is staged and spoilt}
  - {id: clover, text: A clover that is staged}
  - {id: dahlia, text: A dahlia that is staged}
"""


@pytest.fixture
def flowers(workspace: Workspace, sandbox: Sandbox) -> Iterator[Workspace]:
    """Four prompts, the second of which the provider refuses to draw."""
    for path in (workspace.root / "prompts").rglob("*.yaml"):
        path.unlink()
    workspace.write("images/flowers.yaml", FLAWED)
    workspace.environment["REPLICATE_BASE_URL"] = sandbox.url
    rule = {"fault": "failed", "match": {"prompt": "spoilt"}, "params": {"error": "NSFW"}}
    httpx.post(f"{sandbox.url}/sandbox/faults", json={"faults": [rule]}).raise_for_status()
    yield workspace
    httpx.delete(f"{sandbox.url}/sandbox/faults").raise_for_status()


def test_a_stage_with_too_many_failures_is_the_last(
    cli: Cli, flowers: Workspace, sandbox: Sandbox
) -> None:
    """Exit code 1, the stage and its rate in a sentence, what landed published, no more sent."""
    before = sandbox.bill()["accepted"]
    done = cli("generate", "--stages", "2,3,all")
    assert done.code == 1
    assert "Stopped after stage 1 of 3: 1 of 2 prompts failed, 50 %: more than 20 %." in done.err
    assert sandbox.bill()["accepted"] == before + 2
    assert (flowers.root / "data" / "gallery" / "index.html").is_file()
    (group,) = cli("status", "--json").json["collections"]
    assert (group["landed"], group["failed"], group["missing"]) == (1, 1, 2)


def test_stages_within_their_bounds_run_to_the_end(cli: Cli, sandbox: Sandbox) -> None:
    """A failure that is allowed stops nothing; a number at the end leaves the rest alone."""
    before = sandbox.bill()["accepted"]
    done = cli("generate", "--stages", "2,3", "--max-failure-rate", "0.5", "--json")
    assert done.code == 1, "one prompt did fail"
    assert "Stopped" not in done.err
    assert (done.json["prompts"], done.json["done"], done.json["failed"]) == (3, 2, 1)
    assert sandbox.bill()["accepted"] == before + 3
    assert done.json["paid_usd"] == "0.006000"


def test_a_stage_that_is_too_dear_is_the_last(cli: Cli, sandbox: Sandbox) -> None:
    """The bound is on what a stage's clips cost each."""
    before = sandbox.bill()["accepted"]
    done = cli("generate", "--stages", "1,all", "--max-cost-per-clip", "0.002")
    assert done.code == 1
    assert "$0.003 was charged for 1 clips: more than $0.002 a clip." in done.err
    assert sandbox.bill()["accepted"] == before + 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--stages", "5,2"], "does not name growing numbers"),
        (["--max-failure-rate", "0.1"], "Give --stages"),
        (["--stages", "1,all", "--max-failure-rate", "20"], "no share of the prompts"),
        (["--stages", "1,all", "--max-cost-per-clip", "dear"], "--max-cost-per-clip: 'dear'"),
    ],
)
def test_wrong_flags_start_nothing(
    cli: Cli, sandbox: Sandbox, arguments: list[str], said: str
) -> None:
    """A sentence and exit code 2."""
    before = sandbox.bill()["accepted"]
    done = cli("generate", *arguments)
    assert (done.code, said in done.err) == (2, True), done.err
    assert sandbox.bill()["accepted"] == before


def test_a_budget_that_is_nearly_used_up_is_told(cli: Cli) -> None:
    """Once, by the run that passed the threshold, and by `status` from then on."""
    env = {"ASSET_PIPELINE_BUDGET_TOTAL_USD": "0.01"}
    first = cli("generate", "--prompt", "aster", env=env)
    assert "has passed" not in first.err
    second = cli("generate", "--prompt", "clover", env=env)
    assert "Budget 'total' has passed 50 %: $0.006 of $0.01 is used" in second.err
    third = cli("generate", "--prompt", "clover", env=env)
    assert "has passed" not in third.err
    assert "passed 50 %" in cli("status", env=env).out
