"""From a prompt to a request: the hash stands for what makes the clip, and for nothing else."""

from __future__ import annotations

import base64
import hashlib
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from asset_pipeline.catalog.pricing import UnpricedModelError
from asset_pipeline.catalog.reader import UnknownModelError
from asset_pipeline.generation.request import (
    BadReferenceError,
    derived_seed,
    generation_hash,
    resolve,
)
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline_tests.support.generation_samples import (
    CATALOG,
    COVER,
    FLUX_DEV,
    KOKORO,
    SPEECH,
    SPOKEN,
    request_for,
)

DAY = date(2026, 11, 21)
HASHES = st.text(alphabet="0123456789abcdef", min_size=64, max_size=64)
VALUES: st.SearchStrategy[JsonValue] = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
INPUTS = st.dictionaries(st.text(), VALUES)


@given(
    prompt_id=st.text(min_size=1),
    collection=st.text(min_size=1),
    tags=st.lists(st.text()),
    path=st.text(),
    variants=st.integers(1, 100),
)
def test_moving_and_renaming_costs_nothing(
    prompt_id: str, collection: str, tags: list[str], path: str, variants: int
) -> None:
    """Id, collection, tags, place and the number of variants are not in the hash."""
    moved = replace(
        COVER,
        prompt_id=prompt_id,
        collection=collection,
        tags=tuple(tags),
        path=path,
        variants=variants,
    )
    assert request_for(moved).generation_hash == request_for(COVER).generation_hash


@pytest.mark.parametrize(
    "changed",
    [
        replace(COVER, text="a Lighthouse"),
        replace(COVER, style="in oil"),
        replace(COVER, model=FLUX_DEV),
        replace(COVER, inputs={**COVER.inputs, "aspect_ratio": "16:9"}),
        replace(COVER, inputs={**COVER.inputs, "seed": 1}),
    ],
)
def test_whatever_changes_the_clip_changes_the_hash(changed: Prompt) -> None:
    """Text, style, model and inputs are in the hash, and so is the variant."""
    assert request_for(changed).generation_hash != request_for(COVER).generation_hash
    assert request_for(COVER, 2).generation_hash != request_for(COVER, 1).generation_hash


@pytest.mark.parametrize("origin", ["prompt", "defaults", "fixed_inputs"])
def test_variants_of_a_given_seed_differ_and_the_first_keeps_its_hash(origin: str) -> None:
    """The n-th asks for a seed n - 1 higher, wherever the seed was given, and for nothing twice."""
    prompt, catalog = COVER, CATALOG
    if origin == "prompt":
        prompt = replace(COVER, inputs={**COVER.inputs, "seed": 7})
    else:
        model = catalog.get(COVER.model)
        values = {**getattr(model, origin), "seed": 7}
        seeded = model.model_copy(update={origin: values})
        catalog = replace(catalog, models={**catalog.models, COVER.model: seeded})
    wanted = [resolve(prompt, variant, catalog, Path()) for variant in (1, 2, 3)]
    sent = [request.new_intent(DAY).inputs_for_attempt(1) for request in wanted]
    assert [each.seed for each in sent] == [each.inputs["seed"] for each in sent] == [7, 8, 9]
    first = wanted[0]
    assert first.generation_hash == generation_hash(COVER.model, first.inputs, 1)
    assert len({request.generation_hash for request in wanted}) == 3


def test_another_prompt_with_a_variants_seed_asks_for_the_same_clip() -> None:
    """The second variant of seed 7 is the first one of seed 8: whoever comes second finds it."""
    seven = replace(COVER, inputs={**COVER.inputs, "seed": 7}, variants=2)
    eight = replace(COVER, prompt_id="other", inputs={**COVER.inputs, "seed": 8})
    assert request_for(seven, 2).generation_hash == request_for(eight, 1).generation_hash


def test_equal_requests_to_a_model_without_a_seed_are_one_clip() -> None:
    """However the second variant came about, as by a fallback, it finds the first one's clip."""
    same = replace(SPOKEN, model=KOKORO)
    one, two = request_for(same, 1), request_for(same, 2)
    assert one.generation_hash == two.generation_hash
    varying = CATALOG.get(KOKORO).model_copy(update={"varies": True})
    catalog = replace(CATALOG, models={**CATALOG.models, KOKORO: varying})
    takes = [resolve(same, variant, catalog, Path()) for variant in (1, 2)]
    assert len({take.generation_hash for take in takes}) == 2
    assert takes[0].generation_hash == one.generation_hash


def test_a_styles_comma_and_a_texts_are_the_same_request() -> None:
    """What is sent decides, not how it is written down."""
    one, two = replace(COVER, text="a", style="b, c"), replace(COVER, text="a, b", style="c")
    assert request_for(one).generation_hash == request_for(two).generation_hash


@given(inputs=INPUTS, data=st.data())
def test_the_hash_does_not_depend_on_the_order_of_inputs(
    inputs: dict[str, JsonValue], data: st.DataObject
) -> None:
    """The JSON is canonical."""
    shuffled = dict(data.draw(st.permutations(list(inputs.items()))))
    assert generation_hash("a/b", inputs, 1) == generation_hash("a/b", shuffled, 1)


@given(one=INPUTS, two=INPUTS)
def test_different_inputs_have_different_hashes(
    one: dict[str, JsonValue], two: dict[str, JsonValue]
) -> None:
    """Equal hashes mean equal inputs, types included: true is not 1, and 1 is not "1"."""
    same = generation_hash("a/b", one, 1) == generation_hash("a/b", two, 1)
    assert same == (repr(sorted(one.items())) == repr(sorted(two.items())))


def test_a_known_hash_stays_what_it_is() -> None:
    """A change here would make everybody pay again for everything."""
    canonical = '{"inputs":{"prompt":"é","seed":1},"model":"a/b","variant":2}'
    expected = hashlib.sha256(canonical.encode()).hexdigest()
    assert generation_hash("a/b", {"seed": 1, "prompt": "é"}, 2) == expected


def test_a_number_that_json_has_not_is_refused() -> None:
    """NaN is equal to nothing, so no hash can stand for it."""
    with pytest.raises(ValueError, match="JSON compliant"):
        generation_hash("a/b", {"speed": float("nan")}, 1)


@given(one=HASHES, attempt=st.integers(1, 10_000))
def test_derived_seeds_are_31_bits(one: str, attempt: int) -> None:
    """A seed fits every model's signed 32 bits."""
    assert 0 <= derived_seed(one, attempt) < 2**31


@given(one=HASHES)
def test_each_attempt_has_a_seed_of_its_own(one: str) -> None:
    """Reconciliation tells attempts apart by their seeds."""
    seeds = {derived_seed(one, attempt) for attempt in range(1, 101)}
    assert len(seeds) == 100


def test_seeds_of_many_requests_hardly_ever_meet() -> None:
    """Of ten thousand requests, as few seeds are equal as chance has it."""
    seeds = {derived_seed(hashlib.sha256(b"%d" % n).hexdigest(), 1) for n in range(10_000)}
    assert len(seeds) > 9_990


def test_a_derived_seed_is_sent_and_not_hashed() -> None:
    """Attempts differ in their seed and share their hash."""
    new = request_for().new_intent(DAY)
    first, second = new.inputs_for_attempt(1), new.inputs_for_attempt(2)
    assert first.seed != second.seed
    assert first.inputs["seed"] == first.seed
    assert "seed" not in request_for().inputs
    assert {**first.inputs, "seed": None} == {**second.inputs, "seed": None}


def test_a_seed_that_the_user_gave_is_kept() -> None:
    """A picture asked for with a seed is made with that seed, at every attempt."""
    new = request_for(replace(COVER, inputs={"seed": 0})).new_intent(DAY)
    assert [new.inputs_for_attempt(n).seed for n in (1, 2)] == [0, 0]


def test_a_model_without_a_seed_gets_none() -> None:
    """No seed is sent where the model takes none."""
    new = request_for(replace(COVER, model=SPEECH, inputs={})).new_intent(DAY)
    assert new.inputs_for_attempt(1).seed is None
    assert set(new.inputs_for_attempt(1).inputs) == {"text"}


def test_the_intent_says_what_it_costs_and_why() -> None:
    """The worst case and the source of the price go into the ledger."""
    new = request_for().new_intent(DAY)
    assert new.worst_case == 3000
    assert "$0.003/image" in new.price_source
    assert "pricing page" in new.price_source


def test_models_without_a_price_or_a_name_are_refused() -> None:
    """Nothing is planned for what nobody can price."""
    with pytest.raises(UnpricedModelError):
        request_for(replace(COVER, model="stability-ai/sdxl", inputs={})).new_intent(DAY)
    with pytest.raises(UnpricedModelError):
        request_for().new_intent(date(2020, 1, 1))
    with pytest.raises(UnknownModelError):
        request_for(replace(COVER, model="nobody/nothing"))


def _with_reference(folder: Path, content: bytes) -> Prompt:
    (folder / "ref.png").write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    return replace(COVER, model=FLUX_DEV, inputs={}, reference="ref.png", reference_sha256=digest)


def test_a_reference_counts_by_its_content(tmp_path: Path) -> None:
    """Another name for the same file costs nothing; another content is another clip."""
    prompt = _with_reference(tmp_path, b"one")
    renamed = replace(prompt, reference="elsewhere.png")
    other = _with_reference(tmp_path, b"two")
    hashes = [request_for(p, folder=tmp_path).generation_hash for p in (prompt, renamed, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert request_for(prompt, folder=tmp_path).inputs["image"] == (
        f"sha256:{hashlib.sha256(b'one').hexdigest()}"
    )


def test_a_reference_is_sent_as_a_data_uri(tmp_path: Path) -> None:
    """The ledger keeps the digest; the wire gets the file."""
    request = request_for(_with_reference(tmp_path, b"one"), folder=tmp_path)
    recorded = request.new_intent(DAY).inputs_for_attempt(1).inputs
    sent = request.sent_inputs(recorded)
    assert sent["image"] == f"data:image/png;base64,{base64.b64encode(b'one').decode()}"
    assert {**sent, "image": None} == {**recorded, "image": None}
    assert ("reference", "ref.png") in {(p.parent_type, p.parent_id) for p in request.parents()}


@pytest.mark.parametrize("trouble", ["gone", "changed", "a folder"])
def test_a_reference_that_is_not_what_was_planned_is_refused(tmp_path: Path, trouble: str) -> None:
    """Sending other bytes than the hash stands for would file the clip under a wrong name."""
    request = request_for(_with_reference(tmp_path, b"one"), folder=tmp_path)
    (tmp_path / "ref.png").unlink()
    if trouble == "changed":
        (tmp_path / "ref.png").write_bytes(b"two")
    elif trouble == "a folder":
        (tmp_path / "ref.png").mkdir()
    with pytest.raises(BadReferenceError, match=r"ref\.png"):
        request.sent_inputs(request.inputs)
