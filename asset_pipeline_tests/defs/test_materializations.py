"""What a landed clip shows in Dagster, whatever a provider called it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import dagster as dg
import pytest
from markdown_it import MarkdownIt

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.defs.materializations import metadata_of
from asset_pipeline.generation.batch import PromptOutcome
from asset_pipeline.generation.payment.recorder import Landed
from asset_pipeline.ledger.records import Clip
from asset_pipeline.media.preview import Preview
from asset_pipeline.money import MicroUsd
from asset_pipeline.prompts.spec import Prompt

HOSTILE = "p1 ![x](https://evil.example/x.png) <img src=x> | https://evil.example [a](javascript:b)"

Outcome = Callable[[str], PromptOutcome]


@pytest.fixture
def outcome() -> Outcome:
    """Make what a provider, or a prompt file, may call its things."""
    prompt = Prompt(
        kind=Kind.IMAGE,
        prompt_id="tree",
        collection=HOSTILE,
        text=HOSTILE,
        style="",
        model=HOSTILE,
        variants=1,
        inputs={},
        tags=(),
        reference=None,
        reference_sha256=None,
        path="",
    )
    clip = Clip(
        clip_id="c1",
        kind=Kind.IMAGE,
        prompt_id="tree",
        collection=HOSTILE,
        variant=1,
        model=HOSTILE,
        generation_hash="0" * 64,
        intent_id="i1",
        prediction_id=HOSTILE,
        run_id="r1",
        object_key="image/x.png",
        object_uri=f"s3://bucket/{HOSTILE}",
        sha256="0" * 64,
        bytes=1,
        mime="image/png",
        width=1,
        height=1,
        duration_seconds=None,
        cost_microusd=MicroUsd(0),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        superseded_at=None,
        strategy="fallback",
    )

    def made(web_url: str) -> PromptOutcome:
        landed = Landed(clip, Preview(b"RIFF", b"RIFF"), MicroUsd(0), False, web_url, HOSTILE)
        return PromptOutcome(prompt, landed=[landed])

    return made


def test_no_markdown_of_others_is_obeyed(outcome: Outcome) -> None:
    """The only pictures are our own previews, and there is no link and no HTML."""
    parser = MarkdownIt("commonmark", {"html": True}).enable("table")
    for name, value in metadata_of(outcome("")).items():
        if not isinstance(value, dg.MarkdownMetadataValue):
            continue
        for token in parser.parse(value.md_str or ""):
            for each in [token, *(token.children or ())]:
                assert each.type not in {"link_open", "html_inline", "html_block"}, name
                source = str(each.attrs.get("src", "data:image/webp;base64,"))
                assert source.startswith("data:image/webp;base64,"), name
                assert each.type != "text" or "https://" not in each.content, name


@pytest.mark.parametrize(
    ("url", "linked"),
    [
        ("https://replicate.com/p/p1", "https://replicate.com/p/p1"),
        ("https://u:p@replicate.com/p/p1?token=x", "https://replicate.com/p/p1"),
        ("javascript:alert(1)", None),
        ("data:text/html,<script>1</script>", None),
        ("JAVASCRIPT://replicate.com/%0aalert(1)", None),
        ("", None),
    ],
)
def test_a_predictions_page_is_linked_only_when_it_is_one(
    outcome: Outcome, url: str, linked: str | None
) -> None:
    """Only web addresses become links, without user and query."""
    told = metadata_of(outcome(url)).get("prediction")
    assert (told and told.url) == linked
