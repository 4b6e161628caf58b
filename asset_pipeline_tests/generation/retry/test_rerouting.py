"""Other ways to a clip on a real server: each its own payment, and what was wanted is done."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.generation.planning.plan import make_plan
from asset_pipeline.ledger.breaker_machine import BreakerRules
from asset_pipeline.ledger.budgets import BudgetCaps
from asset_pipeline.ledger.records import Clip
from asset_pipeline.ledger.reports import LedgerReader
from asset_pipeline.ledger.schema import lineage
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline_tests.support.crash import workload
from asset_pipeline_tests.support.crash.site import Site
from asset_pipeline_tests.support.generation_samples import FLUX_DEV, SCHNELL
from asset_pipeline_tests.support.ledger_invariants import violations
from asset_pipeline_tests.support.retry_rules import rules_without_waits
from asset_pipeline_tests.support.settled_files import write_settled
from asset_pipeline_tests.support.stage import Stage, classes

SCHNELL_PRICE, DEV_PRICE = 3000, 25_000
NSFW = {"error": "NSFW content detected. Try running it again, or try a different prompt."}
MEMORY = {"error": "CUDA out of memory (E1001)"}


@pytest.fixture
def stage(site: Site) -> Iterator[Stage]:
    """A stage whose books must balance, with itself and with the provider's bill."""
    stage = Stage(site)
    yield stage
    books = stage.ledger()
    assert violations(books.engine) == []
    books.close()
    bill = {line["id"]: line["charge_micro_usd"] for line in site.charges()}
    assert {i.prediction_id: i.charged_microusd for i in stage.intents() if i.prediction_id} == bill


def _bloody(name: str, **changes: object) -> Prompt:
    return replace(workload.picture(name), text=f"A bloody field, {name}", **changes)  # type: ignore[arg-type]


def _refuse(stage: Stage, text: str) -> None:
    stage.site.fault({"fault": "failed", "match": {"prompt": text}, "params": NSFW})


def _clip(stage: Stage, prompt: Prompt) -> Clip:
    books = stage.ledger()
    (clip,) = books.current_clips_of(prompt.kind, prompt.prompt_id)
    books.close()
    return clip


def _parents(stage: Stage, clip: Clip) -> set[tuple[str, str, str]]:
    books = stage.ledger()
    with books.engine.connect() as connection:
        rows = connection.execute(select(lineage).where(lineage.c.child_uri == clip.object_uri))
        found = {(row.relation, row.parent_type, row.parent_id) for row in rows}
    books.close()
    return found


def test_a_refused_prompt_is_made_of_a_simpler_text_and_never_paid_again(
    stage: Stage, name: str
) -> None:
    """Two intents, two hashes; the next run finds the clip; its lineage says what made it."""
    prompt = _bloody(name)
    _refuse(stage, f"bloody field, {name}")
    assert stage.run(prompt)[name].done
    original, simple = stage.intents()
    assert (original.state, simple.state) == ("failed", "delivered")
    assert simple.generation_hash != original.generation_hash
    assert (simple.wanted_hash, simple.strategy) == (original.generation_hash, "simplified_prompt")
    assert simple.prompt_text == f"A field, {name}"
    clip = _clip(stage, prompt)
    assert _parents(stage, clip) == {
        ("generated_by", "model", SCHNELL),
        ("text", "text", f"A field, {name}"),
        ("wanted", "prompt", f"image/{name}"),
    }
    posts = stage.site.posts()
    again = stage.run(prompt)[name]
    assert again.done
    assert again.landed[0].cached
    assert again.landed[0].text == f"A field, {name}"
    assert stage.site.posts() == posts
    assert _clip(stage, prompt).clip_id == clip.clip_id


def test_without_consent_there_is_no_generic_picture(stage: Stage, name: str) -> None:
    """The collection names no generic prompts: the prompt fails, unpaid."""
    prompt = _bloody(name)
    _refuse(stage, name)
    assert classes(stage.run(prompt)[name]) == ["content_policy"]
    assert [intent.strategy for intent in stage.intents()] == [None, "simplified_prompt"]
    assert sum(intent.charged_microusd for intent in stage.intents()) == 0


def test_with_consent_a_generic_picture_is_made_once_for_all_that_show_it(
    stage: Stage, name: str
) -> None:
    """Two refused prompts of a collection share one generic clip: one payment, two partitions."""
    generic = (f"A plain paper texture {name.upper()}",)
    first, second = (_bloody(f"{name}-{n}", generic_prompts=generic) for n in "ab")
    _refuse(stage, "field, ")
    outcomes = stage.run(first, second)
    assert all(outcome.done for outcome in outcomes.values())
    clips = [_clip(stage, prompt) for prompt in (first, second)]
    assert clips[0].sha256 == clips[1].sha256
    assert {clip.strategy for clip in clips} == {"generic_fallback"}
    assert clips[0].wanted_hash != clips[1].wanted_hash
    assert sorted(clip.cost_microusd for clip in clips) == [0, SCHNELL_PRICE]
    posts = stage.site.posts()
    assert all(outcome.done for outcome in stage.run(first, second).values())
    assert stage.site.posts() == posts


def test_a_stand_in_counts_in_its_own_collection_alone(stage: Stage, name: str) -> None:
    """Another collection with the very same prompt has not agreed to the generic picture."""
    prompt = _bloody(name, generic_prompts=(f"A texture of {name.upper()}",))
    _refuse(stage, "field, ")
    assert stage.run(prompt)[name].done
    other = replace(prompt, prompt_id=f"{name}-other", collection="other", generic_prompts=())
    assert classes(stage.run(other)[other.prompt_id]) == ["content_policy"]


def test_an_edited_prompt_is_made_anew(stage: Stage, name: str) -> None:
    """The stand-in stood in for what was wanted before the edit."""
    prompt = _bloody(name)
    _refuse(stage, f"bloody field, {name}")
    stage.run(prompt)
    edited = replace(prompt, text=f"A meadow, {name}")
    assert stage.run(edited)[name].done
    clip = _clip(stage, prompt)
    assert (clip.strategy, clip.wanted_hash) == (None, None)


def test_a_model_that_fails_is_replaced_at_the_fallbacks_price(stage: Stage, name: str) -> None:
    """Names and values are mapped, and the budgets bear the fallback's price."""
    prompt = replace(
        workload.picture(name), model=FLUX_DEV, inputs={"num_inference_steps": 28, "guidance": 2}
    )
    stage.site.fault({"fault": "failed", "match": {"model": FLUX_DEV}, "params": MEMORY})
    assert stage.run(prompt)[name].done
    first, second = stage.intents()
    assert (first.model, second.model) == (FLUX_DEV, SCHNELL)
    assert "guidance" not in second.inputs
    assert second.charged_microusd == SCHNELL_PRICE
    assert second.price_source.startswith("$0.003/image")
    clip = _clip(stage, prompt)
    assert clip.strategy == "model_fallback"
    assert _parents(stage, clip) == {
        ("generated_by", "model", SCHNELL),
        ("wanted", "model", FLUX_DEV),
        ("text", "prompt", f"image/{name}"),
    }
    stage.site.mend()
    assert stage.run(prompt)[name].landed[0].cached


def test_a_dearer_fallback_is_refused_by_the_budget_at_its_own_price(
    stage: Stage, name: str, tmp_path: Path
) -> None:
    """What the first model would have fitted, its fallback does not: nothing is sent to it."""
    write_settled(
        tmp_path / "models.yaml", f"models: {{{SCHNELL}: {{fallbacks: [{{model: {FLUX_DEV}}}]}}}}"
    )
    stage.catalog = load_catalog(tmp_path)
    stage.caps["total_usd"] = "0.02"
    stage.site.fault({"fault": "failed", "match": {"model": SCHNELL}, "params": MEMORY})
    outcome = stage.run(workload.picture(name))[name]
    assert classes(outcome) == ["budget"]
    assert outcome.budget is not None
    assert outcome.budget.needed == DEV_PRICE
    assert stage.site.posts() == 1


def test_an_open_breaker_sends_the_next_clip_to_the_fallback_at_once(
    stage: Stage, name: str
) -> None:
    """The first failure opens it; the second clip costs the failing model not one request."""
    stage.plan["breaker_rules"] = lambda: BreakerRules(failure_threshold=1, open_seconds=50)
    stage.rules = rules_without_waits(server_error={"strategies": ["model_fallback"]})
    stage.max_in_flight = 1
    broken = {"error": "Director: unexpected error handling prediction (E9828)"}
    stage.site.fault({"fault": "failed", "match": {"model": FLUX_DEV}, "params": broken})
    prompts = [
        replace(workload.picture(f"{name}-{n}"), model=FLUX_DEV, inputs={}) for n in range(3)
    ]
    outcomes = stage.run(*prompts)
    assert all(outcome.done for outcome in outcomes.values())
    assert [intent.model for intent in stage.intents()] == [FLUX_DEV, SCHNELL, SCHNELL, SCHNELL]
    assert stage.site.posts() == 4


def test_no_other_way_is_taken_while_an_intent_is_open(stage: Stage, name: str) -> None:
    """A clip that may be paid for already is not asked of another model: that would pay twice."""
    stage.rules = rules_without_waits(
        network={"strategies": ["model_fallback"]}, server_error={"strategies": ["model_fallback"]}
    )
    prompt = replace(workload.picture(name), model=FLUX_DEV, inputs={})
    stage.site.fault(
        {"fault": "lost_reply_after", "match": {"prompt": name}, "times": 1},
        {"fault": "error_5xx_before", "match": {"route": "list"}},
    )
    outcome = stage.run(prompt)[name]
    assert not outcome.done
    assert [intent.state.value for intent in stage.intents()] == ["unknown"]
    assert outcome.stake is not None
    assert (outcome.stake.charged, outcome.stake.reserved) == (0, DEV_PRICE)
    stage.site.mend()
    assert stage.run(prompt)[name].done
    assert stage.site.posts() == 1


def test_an_open_stand_in_is_taken_up_before_anything_new_is_sent(stage: Stage, name: str) -> None:
    """Stopped while the simpler picture was on its way: the next run fetches it, and pays none."""
    prompt = _bloody(name)
    _refuse(stage, f"bloody field, {name}")
    stage.rules = rules_without_waits(server_error={"strategies": ["fail"]})
    # The store takes no picture: the clip is paid for and stays at hand.
    blocked = stage.site.folder / "clips" / "image"
    blocked.parent.mkdir()
    blocked.write_text("no folder")
    assert classes(stage.run(prompt)[name]) == ["server_error"]
    assert [intent.state.value for intent in stage.intents()] == ["failed", "completed"]
    blocked.unlink()
    posts = stage.site.posts()
    assert stage.run(prompt)[name].done
    assert stage.site.posts() == posts
    assert _clip(stage, prompt).strategy == "simplified_prompt"


def test_the_plan_counts_a_stand_in_as_made(stage: Stage, name: str) -> None:
    """What the next run would find is not planned to be paid for again."""
    prompt = _bloody(name)
    _refuse(stage, f"bloody field, {name}")
    stage.run(prompt)
    books = stage.ledger()
    plan = make_plan(
        [prompt, replace(prompt, prompt_id=f"{name}-other", collection="other")],
        stage.catalog,
        stage.site.folder,
        LedgerReader(books.engine),
        BudgetCaps(),
        now=stage.clock.now(),
        prompts_a_run=1000,
    )
    books.close()
    assert (plan.cached, plan.to_generate) == (1, 1)
