"""The gallery: one self-contained page of all clips, that opens from the file system."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from html import escape
from io import StringIO
from itertools import groupby
from pathlib import Path
from typing import TextIO
from urllib.parse import quote, unquote, urlsplit

from pydantic import JsonValue

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.disclosure.addresses import is_web_address
from asset_pipeline.files import atomic_path
from asset_pipeline.ledger.records import Clip
from asset_pipeline.media.preview import data_uri
from asset_pipeline.money import format_usd
from asset_pipeline.warehouse.sweep_grid import SweepCell, fields_attribute, grid_markup

_TEMPLATE = Path(__file__).with_name("gallery.html")
_CLIPS_HERE = "<!-- clips -->\n"
# Of the page's content policy: where pictures and sound may come from.
_SOURCES = "'self' file:"
_WAVEFORM_RATIO = 480 / 144


@dataclass(frozen=True, slots=True)
class GalleryClip:
    """A clip as the gallery shows it.

    Attributes:
        clip: What the ledger says of it.
        text: The prompt's text; any text whatever.
        preview: A small WebP that the page embeds, or None: a picture is then loaded from its
            file when it is scrolled to, and a sound has no waveform.
        link: A link to the file in a remote store, good until it expires; None if there is none.
        review: Where the clip is reviewed, if there is a desk.
        badge: How the clip's files are marked, in a word or two; empty where none was yet.
        axes: What the sweep varies that its prompt is of; empty where it is of none.
        fields: The prompt's value on each of them.
    """

    clip: Clip
    text: str
    preview: bytes | None
    link: str | None = None
    badge: str = ""
    axes: tuple[str, ...] = ()
    fields: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    review: str | None = None


@dataclass(frozen=True, slots=True)
class GalleryLinks:
    """What the links of a page have in common.

    Attributes:
        sample: One of them, or one like them: the page loads from its server and no other.
        expire_at: When they expire.
    """

    sample: str
    expire_at: datetime


def render_gallery(
    clips: Iterable[GalleryClip], target: Path, links: GalleryLinks | None = None
) -> int:
    """Write the page, whole or not at all, clip by clip: thousands need no more memory than one.

    Those of a sweep are written together, as a table by two of its axes.

    Clips in local files are linked by their path relative to the page, so that the data folder
    can be moved or zipped. Clips elsewhere show their preview and their address, and are linked
    by the links they come with.

    Args:
        clips: The clips, those of a collection and kind one after another.
        target: The HTML file.
        links: What their links have in common; None if they have none.

    Returns:
        The number of clips on the page.
    """
    head, tail = _TEMPLATE.read_text(encoding="utf-8").split(_CLIPS_HERE)
    if links is not None:
        head = head.replace(_SOURCES, f"{_SOURCES} {_origin(links.sample)}") + _notice(links)
    count = 0
    # Text that is no valid Unicode becomes character references rather than an error.
    with (
        atomic_path(target) as temporary,
        temporary.open("w", encoding="utf-8", errors="xmlcharrefreplace") as page,
    ):
        page.write(head)
        for (collection, kind), members in groupby(clips, _group):
            noun = "pictures" if kind is Kind.IMAGE else "sound"
            name = escape(collection)
            page.write(f'<section data-name="{name}"><h2>{name} {noun} <small></small></h2>\n')
            page.write('<div class="grid">\n')
            sweeps: defaultdict[tuple[str, ...], list[SweepCell]] = defaultdict(list)
            for member in members:
                count += 1
                if not member.axes:
                    _write_card(page, member, target.parent)
                    continue
                card = StringIO()
                _write_card(card, member, target.parent)
                sweeps[member.axes].append(SweepCell(member.fields, card.getvalue()))
            page.write("</div>\n")
            for axes, cells in sweeps.items():
                page.write(grid_markup(axes, cells))
            page.write("</section>\n")
        page.write(tail)
    return count


def _group(member: GalleryClip) -> tuple[str, Kind]:
    return member.clip.collection, member.clip.kind


def _write_card(page: TextIO, member: GalleryClip, folder: Path) -> None:
    clip = member.clip
    link = _relative_link(clip.object_uri, folder) or _remote_link(member.link)
    ratio = _WAVEFORM_RATIO
    if clip.kind is Kind.IMAGE and clip.width and clip.height:
        ratio = clip.width / clip.height
    fields = fields_attribute(member.axes, member.fields) if member.axes else ""
    page.write(
        f'<figure class="{clip.kind}" style="--ratio: {ratio:.4f}" '
        f'data-cost="{clip.cost_microusd}"{fields}>\n'
    )
    page.write(_picture(member, link) if clip.kind is Kind.IMAGE else _player(member, link))
    page.write(f"<figcaption><p>{escape(member.text)}</p>\n{_facts(member)}</figcaption>")
    page.write("</figure>\n")


def _picture(member: GalleryClip, link: str | None) -> str:
    source = data_uri(member.preview) if member.preview else link
    image = f'<img loading="lazy" alt="{escape(member.text)}" src="{source}">' if source else ""
    if link is None:
        return f'<span class="frame">{image}</span>\n'
    return f'<a class="frame" href="{link}">{image}</a>\n'


def _player(member: GalleryClip, link: str | None) -> str:
    waveform = ""
    if member.preview:
        source = data_uri(member.preview)
        waveform = f'<span class="frame"><img loading="lazy" alt="" src="{source}"></span>\n'
    player = f'<audio controls preload="none" src="{link}"></audio>\n' if link else ""
    return waveform + player


def _facts(member: GalleryClip) -> str:
    clip = member.clip
    day = clip.created_at.date().isoformat()
    facts = [
        f"<b>{format_usd(clip.cost_microusd)}</b>",
        f"<span>{escape(clip.prompt_id)} #{clip.variant}</span>",
        f'<span title="{escape(clip.model)}">{escape(clip.model.rpartition("/")[2])}</span>',
        f"<span>{_size(clip)}</span>",
        f'<time datetime="{clip.created_at.isoformat()}">{day}</time>',
    ]
    if member.badge:
        badge = escape(member.badge)
        facts.append(f'<span class="badge" title="Where it comes from">{badge}</span>')
    review = _remote_link(member.review)
    if review is not None:
        facts.append(f'<a class="review" href="{review}" target="_blank" rel="noopener">Review</a>')
    if not clip.object_uri.startswith("file:"):
        facts.append(f"<span>{escape(clip.object_uri)}</span>")
    return f'<span class="facts">{"".join(facts)}</span>'


def _size(clip: Clip) -> str:
    if clip.kind is Kind.IMAGE:
        return f"{clip.width} × {clip.height}"  # noqa: RUF001 -- the sign is meant
    return f"{clip.duration_seconds or 0:.1f} s"


def _remote_link(link: str | None) -> str | None:
    """Return a link as an attribute takes it; None for one that is no web address."""
    if link is None or not is_web_address(link):
        return None
    return escape(link)


def _origin(link: str) -> str:
    """Return the server of a link, as a content policy names it."""
    parts = urlsplit(link)
    return quote(f"{parts.scheme}://{parts.netloc}", safe=":/[].")


def _notice(links: GalleryLinks) -> str:
    until = f"{links.expire_at:%Y-%m-%d %H:%M} UTC"
    return f'<p class="notice">Links expire on {until}; publish again to renew them.</p>\n'


def _relative_link(uri: str, folder: Path) -> str | None:
    """Return a local file's address relative to the page; None for what is not a local file.

    Everything but slashes is quoted: no file name can close the attribute or become a scheme.
    """
    parts = urlsplit(uri)
    if parts.scheme != "file":
        return None
    relative = os.path.relpath(unquote(parts.path), folder.absolute())
    return quote(relative, safe="/", errors="replace")
