"""A refused prompt is rewritten by a language model where the rules say so: paid, bounded, told."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from asset_pipeline.drafting.paid_chat import PaidChat, Payment
from asset_pipeline.drafting.price_list import PriceList
from asset_pipeline.drafting.rewriting import PromptRewriter
from asset_pipeline.generation.retry.rewriter import Rewriting
from asset_pipeline.ledger.budgets import BudgetCaps
from asset_pipeline.ledger.engine import open_engine
from asset_pipeline.ledger.llm_calls import LlmCallRepository
from asset_pipeline.ledger.schema import intents, lineage
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.providers.openrouter import OpenRouterProvider
from asset_pipeline_tests.support.crash import workload
from asset_pipeline_tests.support.crash.site import Site
from asset_pipeline_tests.support.ledger_invariants import violations
from asset_pipeline_tests.support.retry_rules import rules_without_waits
from asset_pipeline_tests.support.stage import Stage, classes

NSFW = {"error": "NSFW content detected. Try running it again, or try a different prompt."}


class SiteRewriter:
    """Rewrites on the site's own server and ledger, in the loop that asks."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.caps = BudgetCaps()

    async def rewrite(self, prompt: Prompt) -> Rewriting:
        stage = self._stage
        engine = open_engine(SecretStr(stage.site.ledger_url))
        calls = LlmCallRepository(engine, stage.clock, lambda: self.caps)
        provider = OpenRouterProvider(SecretStr("sk-or-test"), stage.site.url, name="sandbox")
        try:
            chat = PaidChat(provider, calls, stage.clock, settle_seconds=1)
            prices = PriceList(stage.site.folder, provider, stage.clock)
            payment = Payment("run-1", calls.start_worker("run-1"))
            rewriter = PromptRewriter(chat, prices, calls, payment, stage.catalog)
            return Rewriting(*await rewriter.rewrite(prompt))
        finally:
            await provider.aclose()
            calls.close()


@pytest.fixture
def stage(site: Site) -> Iterator[Stage]:
    """A stage that rewrites refused prompts first, and whose books must balance."""
    stage = Stage(site)
    rewriting = {"strategies": ["rewritten_prompt", "generic_fallback", "fail"]}
    stage.rules = rules_without_waits(content_policy=rewriting)
    stage.rewriter = SiteRewriter(stage)
    yield stage
    books = stage.ledger()
    assert violations(books.engine) == []
    books.close()


def _refused(stage: Stage, name: str) -> Prompt:
    text = f"A bloody field, {name}"
    fault = {"fault": "failed", "match": {"prompt": f"bloody field, {name}"}, "params": NSFW}
    stage.site.fault(fault)
    return replace(workload.picture(name), text=text)


def _calls(stage: Stage) -> list[int]:
    """What each call to a language model was charged."""
    books = stage.ledger()
    with books.engine.connect() as connection:
        rows = connection.execute(select(intents).where(intents.c.kind == "text")).all()
    books.close()
    return [row.charged_microusd for row in rows]


def test_a_refused_prompt_lands_as_it_was_rewritten_once(stage: Stage, name: str) -> None:
    """One paid call, one clip; its lineage names call and strategy; a second run pays nothing."""
    prompt = _refused(stage, name)
    outcome = stage.run(prompt)[name]
    assert outcome.done
    clip = outcome.landed[0].clip
    assert clip.strategy == "rewritten_prompt"
    (charged,) = _calls(stage)
    assert charged > 0
    books = stage.ledger()
    with books.engine.connect() as connection:
        rows = connection.execute(select(lineage)).all()
    books.close()
    (call,) = [row.parent_id for row in rows if row.relation == "rewritten_prompt"]
    assert [(row.child_uri, row.parent_id) for row in rows if row.relation == "rewritten"] == [
        (f"draft/{call}", f"image/{name}")
    ]
    posts = stage.site.posts()
    again = stage.run(prompt)[name]
    assert again.done
    assert (again.paid, stage.site.posts(), _calls(stage)) == (0, posts, [charged])


def test_variants_share_one_rewriting(stage: Stage, name: str) -> None:
    """Two variants are refused alike, and the second finds what the first one paid for."""
    prompt = replace(_refused(stage, name), variants=2)
    stage.max_in_flight = 1
    assert stage.run(prompt)[name].done
    assert len(_calls(stage)) == 1


def test_without_the_strategy_nobody_is_asked(stage: Stage, name: str) -> None:
    """It is opt-in: by the packaged rules a refusal pays no language model."""
    stage.rules = rules_without_waits()
    prompt = replace(_refused(stage, name), text=f"Some bloody field, {name}")
    stage.run(prompt)
    assert _calls(stage) == []


def test_a_budget_without_room_rewrites_nothing(stage: Stage, name: str) -> None:
    """The llm line refuses the call before it is sent; the clip fails as it would have."""
    rewriter = SiteRewriter(stage)
    rewriter.caps = BudgetCaps.model_validate({"llm_usd": "0.0001"})
    stage.rewriter = rewriter
    assert classes(stage.run(_refused(stage, name))[name]) == ["content_policy"]
    assert _calls(stage) == []


def test_a_text_that_is_refused_too_is_not_rewritten_again(stage: Stage, name: str) -> None:
    """One call for one prompt, whatever becomes of its text."""
    prompt = _refused(stage, name)
    stage.site.fault({"fault": "failed", "match": {"prompt": "friendly picture"}, "params": NSFW})
    assert classes(stage.run(prompt)[name]) == ["content_policy"]
    assert len(_calls(stage)) == 1
