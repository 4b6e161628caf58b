"""Links to the review desk: where there is one, and nowhere else."""

from __future__ import annotations

import pytest

from asset_pipeline.desk_links import failures_link, prompt_link, queue_link


def test_links_lead_below_the_services_address() -> None:
    """A path before the desk is kept, and an id can't become another parameter."""
    url = "https://clips.example.com/desk/"
    assert queue_link(url) == "https://clips.example.com/desk/"
    assert failures_link(url) == "https://clips.example.com/desk/#failures"
    found = prompt_link(url, "image", "a&state=all")
    assert found == "https://clips.example.com/desk/?kind=image&prompt_id=a%26state%3Dall"


@pytest.mark.parametrize("url", [None, ""])
def test_without_a_service_there_are_none(url: str | None) -> None:
    """Nobody is sent to an address that nobody serves."""
    assert queue_link(url) is None
    assert failures_link(url) is None
    assert prompt_link(url, "image", "a") is None
