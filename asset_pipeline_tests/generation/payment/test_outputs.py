"""Which files an output may hold: any shape will do, and the declared place comes first."""

from __future__ import annotations

import base64
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asset_pipeline.catalog.spec import OutputShape
from asset_pipeline.catalog.terms import Terms, terms_of
from asset_pipeline.generation.payment.outputs import (
    MAX_CANDIDATES,
    InlineFile,
    RemoteFile,
    candidates,
)
from asset_pipeline_tests.support.generation_samples import CATALOG, SCHNELL

ONE: Terms = replace(
    terms_of(CATALOG.get(SCHNELL), {}, on=date(2026, 11, 28)), output=OutputShape.ONE
)
LIST = replace(ONE, output=OutputShape.LIST)
OBJECT = replace(ONE, output=OutputShape.OBJECT, output_key="audio_out")
A, B, C = (f"https://files.example/{name}.png" for name in "abc")


def _urls(output: Any, terms: Terms = ONE) -> list[str]:  # noqa: ANN401 -- JSON
    return [each.url for each in candidates(output, terms) if isinstance(each, RemoteFile)]


@pytest.mark.parametrize("terms", [ONE, LIST, OBJECT])
@pytest.mark.parametrize(
    "output",
    [
        A,
        f" {A}\n",
        [A],
        [[A]],
        {"audio_out": A},
        {"image": A},
        {"images": [A]},
        {"images": [{"url": A, "width": 64}]},
        {"data": {"result": {"files": [{"file": {"href": A}}]}}},
        [None, 3, True, {"seed": 7, "url": A}],
        [A, A, {"again": A}],
    ],
)
def test_one_file_is_found_in_any_shape(output: Any, terms: Terms) -> None:  # noqa: ANN401
    """Whatever the catalog says, the one address is the one candidate."""
    assert _urls(output, terms) == [A]


def test_the_order_is_the_outputs_and_the_declared_place_goes_first() -> None:
    """An object's declared field before what stands above it; all else as it comes."""
    output = {"thumbnail": A, "audio_out": B, "more": [C]}
    assert _urls(output, OBJECT) == [B, A, C]
    assert _urls(output, ONE) == [A, B, C]
    assert [each.place for each in candidates(output, OBJECT)] == [
        "audio_out",
        "thumbnail",
        "more.0",
    ]


@pytest.mark.parametrize(
    "output",
    [
        None,
        "",
        [],
        {},
        0,
        True,
        "a text",
        "ftp://files.example/a.png",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "https://",
        "https:///a.png",
        "http://[broken/a.png",
        "https://files.example:99999/a.png",
        {"seed": 7, "note": "see https://files.example/a.png"},
    ],
)
def test_what_names_no_file_is_none(output: Any) -> None:  # noqa: ANN401
    """Nobody could be asked for it."""
    assert candidates(output, ONE) == ()


@pytest.mark.parametrize(
    "text",
    [
        "data:image/png;base64," + base64.b64encode(b"picture" * 40).decode(),
        "DATA:image/png;BASE64," + base64.b64encode(b"picture" * 40).decode(),
        "data:;base64," + base64.b64encode(b"picture" * 40).decode().rstrip("="),
        "data:image/png;charset=x;base64," + base64.urlsafe_b64encode(b"picture" * 40).decode(),
        "data:application/octet-stream," + "picture" * 40,
        "data:text/plain," + "%70icture" * 40,
        base64.b64encode(b"picture" * 40).decode(),
        base64.encodebytes(b"picture" * 40).decode(),
    ],
)
def test_files_inside_the_output_are_unpacked(text: str) -> None:
    """As data: URIs with any head, and as bare base64."""
    (found,) = candidates({"image": text}, ONE)
    assert isinstance(found, InlineFile)
    assert found.content(1000) == b"picture" * 40
    assert found.content(279) is None, "its size is bounded"


def test_a_broken_data_uri_is_a_sentence() -> None:
    """It is looked at, and said to be unreadable."""
    (found,) = candidates("data:image/png;base64,****", ONE)
    assert isinstance(found, InlineFile)
    with pytest.raises(ValueError, match="base64"):
        found.content(1000)


def test_a_hostile_output_is_bounded() -> None:
    """In number, in depth and in time."""
    many = [f"https://files.example/{number}" for number in range(100_000)]
    assert _urls(many) == many[:MAX_CANDIDATES]
    deep: Any = A
    for _ in range(50_000):
        deep = [deep]
    assert candidates(deep, ONE) == ()
    assert candidates([None] * 1_000_000, ONE) == ()


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.text() | st.sampled_from([A, B, C]),
    lambda inside: st.lists(inside) | st.dictionaries(st.text(), inside),
)


@given(JSON, st.sampled_from([ONE, LIST, OBJECT]))
def test_no_output_breaks_it(output: Any, terms: Terms) -> None:  # noqa: ANN401
    """Every address once, each of the output's own, whatever stands around it."""
    urls = _urls(output, terms)
    assert len(urls) == len(set(urls))
    assert set(urls) <= {A, B, C}
