"""Reading predictions: any JSON at all either has an id and is read, or is refused."""

from __future__ import annotations

import json
import math
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asset_pipeline.foreign.text import is_id
from asset_pipeline.providers.prediction import MalformedPredictionError, parse_prediction
from asset_pipeline_tests.support.provider_samples import prediction

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(changes=st.dictionaries(st.sampled_from(sorted(prediction())), ANY_JSON))
def test_any_fields_are_read_or_refused(changes: dict[str, object]) -> None:
    """No value in any field raises anything but the refusal of a row without an id."""
    # Through JSON, since that is where values come from: NaN and huge integers included.
    document = json.loads(json.dumps(prediction(**changes)))
    try:
        made = parse_prediction(document)
    except MalformedPredictionError:
        assert not is_id(changes["id"])
        return
    assert made.prediction_id
    assert all(math.isfinite(number) and number >= 0 for number in made.metrics.values())
    if made.created_at is not None:
        assert made.created_at.utcoffset() == timedelta(0)


@given(document=ANY_JSON)
def test_any_document_is_read_or_refused(document: object) -> None:
    """A reply that is no prediction at all is refused."""
    if isinstance(document, dict) and is_id(document.get("id")):
        assert parse_prediction(document).prediction_id == document["id"]
        return
    with pytest.raises(MalformedPredictionError) as caught:
        parse_prediction(document)
    assert len(str(caught.value)) < 300
