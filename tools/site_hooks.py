"""Hooks of MkDocs: generated pages join the written ones, and links out of docs/ are followed.

Written pages link to files beside docs/ as they lie in the repository, so that they can be read
there too. The site has those files as pages, or leads to the page that says the same.
"""

from __future__ import annotations

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

from tools.reference.api import api_pages
from tools.reference.commands import commands_page
from tools.reference.resources import resources_page
from tools.reference.settings import settings_page
from tools.reference.tables import ledger_page, tables_page

ROOT = Path(__file__).parent.parent

BESIDE = {"CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Files of the repository's top that are pages of the site."""

_LINK = re.compile(r"\]\(((?:\.\./)+)([A-Za-z_./-]+)(#[^)]*)?\)")
_ROLE = re.compile(r":(?:func|class|meth|data|attr|mod|exc|obj):(?=<code>|`)")


def generated_pages() -> dict[str, str]:
    """Return all pages that are not written by hand, by their place below docs/."""
    pages = {
        "reference/commands.md": commands_page(),
        "reference/settings.md": settings_page(),
        "reference/tables.md": tables_page(),
        "reference/ledger.md": ledger_page(),
        "reference/resources.md": resources_page(),
    }
    pages |= {f"reference/api/{name}": text for name, text in api_pages().items()}
    for source, page in BESIDE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        pages[page] = text.replace("](docs/", "](").replace("](LICENSE)", "](index.md)")
    return pages


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages."""
    for place, text in generated_pages().items():
        files.append(File.generated(config, place, content=text))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links that leave docs/ to the site's own pages."""
    del config, files
    depth = page.file.src_uri.count("/")

    def led(match: re.Match[str]) -> str:
        up, target, anchor = match[1].count("../"), match[2], match[3] or ""
        if up <= depth:
            return match[0]
        home = "../" * depth
        if target in BESIDE:
            return f"]({home}{BESIDE[target]}{anchor})"
        return f"]({home}index.md)"

    return _LINK.sub(led, markdown)


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Take off the roles that docstrings have for other tools."""
    del page, config, files
    return _ROLE.sub("", html)
