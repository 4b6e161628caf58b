from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Self
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.ledger.records import Clip
from asset_pipeline.money import MicroUsd
from asset_pipeline.warehouse.gallery import GalleryClip, render_gallery
from asset_pipeline_tests.support.ledger_rows import NOW

WEBP = b"RIFF\x04\0\0\0WEBP"


def clip(**changes: object) -> Clip:
    """A picture of the prompt ``cover``, but for the changes."""
    picture = Clip(
        clip_id="clip",
        kind=Kind.IMAGE,
        prompt_id="cover",
        collection="kit",
        variant=1,
        model="black-forest-labs/flux-schnell",
        generation_hash="hash",
        intent_id="intent",
        prediction_id="prediction",
        run_id="run",
        object_key="image/ab/ab.webp",
        object_uri="file:///data/clips/image/ab/ab.webp",
        sha256="ab" * 32,
        bytes=1234,
        mime="image/webp",
        width=64,
        height=32,
        duration_seconds=None,
        cost_microusd=MicroUsd(3_000),
        created_at=NOW,
        superseded_at=None,
    )
    return replace(picture, **changes)  # pyright: ignore[reportArgumentType]


def sound(**changes: object) -> Clip:
    """A sound of the prompt ``cover``, but for the changes."""
    audio = {"kind": Kind.AUDIO, "mime": "audio/mpeg", "width": None, "height": None}
    return clip(**audio | {"duration_seconds": 4.25} | changes)


class Page(HTMLParser):
    """The page as a browser's parser sees it: elements with attributes, and text."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def values(self, tag: str, name: str) -> list[str | None]:
        """The values of an attribute, on all elements of a tag that have it."""
        return [
            attributes[name]
            for each, attributes in self.elements
            if each == tag and name in attributes
        ]


def render(folder: Path, *members: GalleryClip) -> str:
    """The markup of a gallery in ``folder``."""
    target = folder / "gallery" / "index.html"
    assert render_gallery(members, target) == len(members)
    return target.read_text(encoding="utf-8")


def test_a_picture(tmp_path: Path) -> None:
    """A picture shows its preview, prompt, cost, model and date, and links its file."""
    uri = (tmp_path / "clips" / "image" / "a b.webp").as_uri()
    page = Page(render(tmp_path, GalleryClip(clip(object_uri=uri), "A cover", WEBP)))
    assert page.values("a", "href") == ["../clips/image/a%20b.webp"]
    assert page.values("img", "src") == [
        "data:image/webp;base64," + base64.b64encode(WEBP).decode()
    ]
    for shown in ("A cover", "$0.003", "cover #1", "flux-schnell", "64 \u00d7 32", "2026-11-21"):
        assert shown in page.text
    assert page.values("span", "title") == ["black-forest-labs/flux-schnell"]


def test_a_clip_links_its_place_at_the_desk(tmp_path: Path) -> None:
    """Where there is a desk, and where the link is a web address, which no script is."""
    uri = (tmp_path / "clips" / "image" / "ab.webp").as_uri()
    for link, shown in (("https://desk.example/?a=1&b=2", True), ("javascript:alert(1)", False)):
        member = GalleryClip(clip(object_uri=uri), "A cover", WEBP, review=link)
        page = Page(render(tmp_path, member))
        assert (link in page.values("a", "href")) is shown


def test_a_sound(tmp_path: Path) -> None:
    """A sound has a player for its file, loaded only when it is played, under its waveform."""
    uri = (tmp_path / "clips" / "x.mp3").as_uri()
    page = Page(render(tmp_path, GalleryClip(sound(object_uri=uri), "Welcome", WEBP)))
    assert page.values("audio", "src") == ["../clips/x.mp3"]
    assert page.values("audio", "preload") == ["none"]
    assert len(page.values("img", "src")) == 1
    assert page.values("a", "href") == []
    assert "4.2 s" in page.text


def test_without_preview(tmp_path: Path) -> None:
    """A picture without a preview is loaded from its file, when it is scrolled to."""
    uri = (tmp_path / "x.webp").as_uri()
    page = Page(render(tmp_path, GalleryClip(clip(object_uri=uri), "A cover", None)))
    assert page.values("img", "src") == ["../x.webp"]
    assert page.values("img", "loading") == ["lazy"]


@pytest.mark.parametrize("uri", ["s3://bucket/x.webp", "javascript:alert(1)", "https://x/y.webp"])
def test_clips_elsewhere(tmp_path: Path, uri: str) -> None:
    """A clip that is no local file shows its preview and its address, and links nothing."""
    page = Page(
        render(
            tmp_path,
            GalleryClip(clip(object_uri=uri), "A cover", WEBP),
            GalleryClip(sound(object_uri=uri), "Welcome", None),
        )
    )
    assert page.values("a", "href") == page.values("audio", "src") == []
    assert all(source and source.startswith("data:") for source in page.values("img", "src"))
    assert page.text.count(uri) == 2


def test_sections(tmp_path: Path) -> None:
    """Clips stand in sections by collection and kind."""
    members = [
        GalleryClip(clip(), "one", None),
        GalleryClip(clip(variant=2), "two", None),
        GalleryClip(clip(collection="tea"), "three", None),
        GalleryClip(sound(collection="tea"), "four", None),
    ]
    page = Page(render(tmp_path, *members))
    assert page.values("section", "data-name") == ["kit", "tea", "tea"]
    assert page.values("figure", "class") == ["image", "image", "image", "audio"]
    assert page.values("figure", "data-cost") == ["3000"] * 4


def test_self_contained(tmp_path: Path) -> None:
    """The page names no address but the clips', and a policy that lets it load nothing else."""
    markup = render(tmp_path, GalleryClip(clip(), "A cover", WEBP))
    assert not re.search(r"https?:|//[a-z]", markup.replace("// ", ""))
    policies = Page(markup).values("meta", "content")
    assert any(policy and policy.startswith("default-src 'none'") for policy in policies)
    assert Page(markup).values("link", "href") == Page(markup).values("script", "src") == []


def test_no_clips(tmp_path: Path) -> None:
    """A gallery of nothing is a page, too."""
    assert Page(render(tmp_path)).values("section", "data-name") == []


def test_an_interrupted_page(tmp_path: Path) -> None:
    """A page is written whole or not at all."""
    target = tmp_path / "index.html"
    target.write_text("old")

    def members() -> Iterator[GalleryClip]:
        yield GalleryClip(clip(), "one", None)
        raise KeyError("half-way")

    with pytest.raises(KeyError):
        render_gallery(members(), target)
    assert target.read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["index.html"]


HOSTILE = st.one_of(
    st.sampled_from(
        [
            "<script>alert(1)</script>",
            '"><img src=x onerror=alert(1)>',
            "' onmouseover='alert(1)",
            "</figure></section><h1>",
            "<!-- clips -->\n",
            "-->",
            "]]>",
            "&lt;script&gt;",
            "</title></style></script><svg/onload=alert(1)>",
            "javascript:alert(1)",
            "${x}`",
            "\0\x0b\u2028",
            "\ud800",
        ]
    ),
    st.text(st.sampled_from("<>\"'&;/= abc!-\n") | st.characters(), max_size=60),
)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(text=HOSTILE, name=HOSTILE, file=HOSTILE, kind=st.sampled_from(Kind))
def test_hostile_text(
    tmp_path_factory: pytest.TempPathFactory, text: str, name: str, file: str, kind: Kind
) -> None:
    """No element and no attribute ever comes from a text; the prompt's arrives as it is."""
    folder = tmp_path_factory.getbasetemp() / "hostile"
    make = clip if kind is Kind.IMAGE else sound
    plain = make(prompt_id="x", collection="x", model="x/x", object_uri="file:///x/x")
    hostile = make(
        prompt_id=name, collection=name, model=f"{name}/{name}", object_uri=f"file:///x/{file}"
    )
    expected = Page(render(folder, GalleryClip(plain, "plain", WEBP)))
    page = Page(render(folder, GalleryClip(hostile, text, WEBP)))
    shape = [(tag, sorted(attributes)) for tag, attributes in page.elements]
    assert shape == [(tag, sorted(attributes)) for tag, attributes in expected.elements]
    for link in page.values("a", "href") + page.values("audio", "src"):
        assert link is not None
        assert link.startswith("../")
        assert ".." in unquote(link)


@given(text=st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=80))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_text_arrives_as_it_is(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    """What people wrote is what the page shows."""
    folder = tmp_path_factory.getbasetemp() / "text"
    page = Page(render(folder, GalleryClip(clip(), text, WEBP)))
    assert text in "".join(page.text)
    assert text in page.values("img", "alt")


def test_thousands_of_clips(tmp_path: Path) -> None:
    """A page of thousands is written as the clips come, none of them kept."""
    alive = 0

    class Counted(bytes):
        def __new__(cls) -> Self:
            nonlocal alive
            alive += 1
            return super().__new__(cls, WEBP)

        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def members() -> Iterator[GalleryClip]:
        for _ in range(3_000):
            assert alive < 5
            yield GalleryClip(clip(), "A cover", Counted())

    assert render_gallery(members(), tmp_path / "index.html") == 3_000


def test_a_sweep_is_a_table_by_two_axes(tmp_path: Path) -> None:
    """The first axis that varies goes down, the second across; other clips stay as they were."""
    axes = ("size", "light", "seed")
    members = [
        GalleryClip(
            clip(prompt_id=f"pot-{size}-{light}"),
            "A pot",
            None,
            axes=axes,
            fields={"size": size, "light": light, "seed": 1},
        )
        for light in ("dusk", "<dawn>")
        for size in (10, 9)
    ]
    markup = render(tmp_path, GalleryClip(clip(), "Another", None), *members)
    (table,) = re.findall(r"<table>.*?</table>", markup, re.DOTALL)
    head, *rows = re.findall(r"<tr>.*?</tr>", table, re.DOTALL)
    assert re.findall(r"<th>(.*?)</th>", head) == ["size \\ light", "dusk", "&lt;dawn&gt;"]
    assert [re.findall(r"<th>(.*?)</th>", row) for row in rows] == [["9"], ["10"]]
    assert [re.findall(r"pot-\S+ #1", row) for row in rows] == [
        ["pot-9-dusk #1", "pot-9-&lt;dawn&gt; #1"],
        ["pot-10-dusk #1", "pot-10-&lt;dawn&gt; #1"],
    ]
    assert markup.count("<figure") == 5
