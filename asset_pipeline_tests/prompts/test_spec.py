"""What decides a prompt's clips."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.prompts.spec import Prompt

PROMPT = Prompt(
    kind=Kind.IMAGE,
    prompt_id="a",
    collection="c",
    text="A lake",
    style="ink",
    model="black-forest-labs/flux-dev",
    variants=1,
    inputs={"seed": 1, "guidance": 3},
    tags=("t",),
    reference="a.png",
    reference_sha256="0" * 64,
    path="images/c.yaml",
)


def test_the_hash_is_stable() -> None:
    """The hash is the data version in stored events: it may not change between releases."""
    assert PROMPT.prompt_hash == "415fa71202027c5d30742f2665599f3a56ac52d90dc28453f6b0c57f7bc6e7c9"


@pytest.mark.parametrize(
    "change",
    [
        {"text": "A hill"},
        {"style": ""},
        {"model": "black-forest-labs/flux-schnell"},
        {"variants": 2},
        {"inputs": {"seed": 2, "guidance": 3}},
        {"reference_sha256": None},
    ],
)
def test_what_decides_the_clips_changes_the_hash(change: dict[str, object]) -> None:
    """Text, style, model, variants, inputs and the reference's bytes make clips stale."""
    assert replace(PROMPT, **change).prompt_hash != PROMPT.prompt_hash


@pytest.mark.parametrize(
    "change",
    [
        {"prompt_id": "b"},
        {"collection": "d"},
        {"tags": ()},
        {"path": "images/d.yaml"},
        {"reference": "b.png"},
        {"inputs": {"guidance": 3, "seed": 1}},
        {"text": "A lake, ink", "style": ""},
    ],
)
def test_what_does_not_decide_them_leaves_it(change: dict[str, object]) -> None:
    """Renaming, moving, tagging and reordering cost nothing."""
    assert replace(PROMPT, **change).prompt_hash == PROMPT.prompt_hash
