"""The documentation site: links lead somewhere, the reference is the code's, nothing is fetched."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import duckdb
import pytest
import yaml
from mkdocs.commands.build import build
from mkdocs.config import load_config
from typer.testing import CliRunner

from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.cli.app import app
from asset_pipeline.definitions import default_resources
from asset_pipeline.defs.assets.warehouse import TABLES
from asset_pipeline.ledger.column_types import metadata
from asset_pipeline.prompts.library import load_library
from asset_pipeline.settings import Settings
from asset_pipeline_tests.support.settled_files import write_settled
from tools import site_hooks
from tools.reference.api import ROOMS, modules_of
from tools.reference.commands import commands_page, walk
from tools.reference.resources import resources_page
from tools.reference.settings import settings_page
from tools.reference.tables import ledger_page, published_tables, tables_page

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
WRITTEN = sorted([*DOCS.rglob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"])
TAUGHT = sorted([DOCS / "tutorial.md", *(DOCS / "how-to").glob("*.md")])

_LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _without_code(text: str) -> str:
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def _anchors(text: str) -> set[str]:
    """The anchors of a page's headings, as GitHub and MkDocs make them of plain words."""
    heads = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head.lower()).strip().replace(" ", "-") for head in heads}


def _blocks(path: Path, language: str) -> Iterator[str]:
    text = path.read_text(encoding="utf-8")
    for indent, block in re.findall(
        rf"^( *)```{language}\n(.*?)^ *```", text, re.MULTILINE | re.DOTALL
    ):
        yield re.sub(rf"^{indent}", "", block, flags=re.MULTILINE)


@pytest.mark.parametrize("path", WRITTEN, ids=_name)
def test_links_lead_somewhere(path: Path) -> None:
    """Each relative link of a written page is a file with its anchor, or a generated page."""
    generated = {DOCS / place for place in _generated_places()}
    for target in _LINK.findall(_without_code(path.read_text(encoding="utf-8"))):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        found = (path.parent / place).resolve() if place else path
        assert found.exists() or found in generated, target
        if anchor and found.suffix == ".md" and found.exists():
            assert anchor in _anchors(found.read_text(encoding="utf-8")), target


def _generated_places() -> list[str]:
    names = ["commands", "settings", "tables", "ledger", "resources", "api/index"]
    return [f"reference/{name}.md" for name in names]


def test_every_page_is_in_the_navigation() -> None:
    """A page that nobody can reach is none; what the navigation names exists or is generated."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    named = set(re.findall(r"[\w/.-]+\.md", text.split("\nnav:")[1]))
    written = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*.md")}
    rooms = {f"reference/api/{room}.md" for room in [*ROOMS, "asset_pipeline"]}
    generated = {*_generated_places(), *rooms, *site_hooks.BESIDE.values()}
    assert named == written | generated


def test_the_site_asks_nobody_for_anything() -> None:
    """No page or picture loads a font, script, picture or diagram from another server."""
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert "font: false" in text
    assert not re.search(r"https?://|mermaid|analytics|social|emoji", text)
    for path in WRITTEN:
        page = path.read_text(encoding="utf-8")
        assert "```mermaid" not in page, path
        assert not re.search(r"!\[[^\]]*\]\(https?:|<(?:script|img|link|iframe)\b", page), path
    for picture in (DOCS / "images").glob("*.svg"):
        svg = picture.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|<script|<image|@import", svg), picture


def test_the_commands_page_has_every_command_and_option() -> None:
    """Groups are walked, so that `ledger backup` is there as much as `plan`."""
    page = commands_page()
    names = [name for name, _ in walk()]
    assert {"generate", "prompts import", "ledger backup", "sandbox serve"} <= set(names)
    for name, command in walk():
        section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
        assert command.help.strip().splitlines()[0] in section
        for parameter in command.params:
            if parameter.param_type_name == "option" and parameter.name != "help":
                assert parameter.opts[0] in section, name


def test_the_settings_page_describes_every_setting() -> None:
    """Each variable has a row with what it means."""
    page = settings_page()
    for field in Settings.model_fields.values():
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{field.alias}` |")]
        assert field.description, field.alias
        assert field.description in row


def test_the_tables_page_has_every_table_view_and_column() -> None:
    """What the page says of the published tables is what DuckDB makes of the schema."""
    page = tables_page()
    declared = {each.name: [column[0] for column in each.columns] for each in published_tables()}
    assert set(TABLES) <= set(declared)
    schema = (ROOT / "asset_pipeline" / "warehouse" / "schema.sql").read_text(encoding="utf-8")
    with duckdb.connect(":memory:") as connection:
        connection.execute(schema)
        found = connection.execute(
            "SELECT table_name, list(column_name ORDER BY ordinal_position) "
            "FROM information_schema.columns GROUP BY ALL"
        ).fetchall()
    assert declared == dict(found)
    for view in (ROOT / "asset_pipeline" / "warehouse" / "queries").glob("*.sql"):
        assert f"\n### {view.stem}\n" in page
    assert "| `used_percent` |" in page


def test_the_ledger_page_has_every_table() -> None:
    """Custody's and renditions' tables are there too."""
    page = ledger_page()
    for table in metadata.tables.values():
        assert f"\n## {table.name}\n" in page
        for column in table.columns:
            assert f"| `{column.name}` |" in page


def test_the_resources_page_has_every_resource_and_field() -> None:
    """Each by the name that assets ask for."""
    page = resources_page()
    for name in default_resources():
        assert f"\n## {name}\n" in page
    assert "| `sandbox_idle_seconds` | `300` |" in page


def test_the_api_has_a_page_for_every_room() -> None:
    """A new room gets a page, or is named here as one that is not imported from outside."""
    inside = {"cli", "sandbox", "foreign", "resources"}
    package = ROOT / "asset_pipeline"
    rooms = {path.name for path in package.iterdir() if (path / "__init__.py").is_file()}
    assert set(ROOMS) <= rooms
    assert inside.isdisjoint(ROOMS)
    assert "asset_pipeline.ledger.budgets" in list(modules_of("ledger"))


@pytest.mark.parametrize("path", TAUGHT, ids=_name)
def test_the_commands_that_are_taught_exist(path: Path) -> None:
    """Each is known, with each of its options."""
    lines = [line.strip() for block in _blocks(path, "sh") for line in block.splitlines()]
    for line in lines:
        if line.startswith("asset-pipeline "):
            words = shlex.split(line, comments=True)[1:]
            result = CliRunner().invoke(app, [*words, "--help"])
            assert result.exit_code == 0, f"{line}: {result.output}"


def test_the_targets_that_are_taught_exist() -> None:
    """`make TARGET` in a page is a target of the Makefile."""
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for path in WRITTEN:
        for block in _blocks(path, "sh"):
            taught = set(re.findall(r"^make ([a-z-]+)", block, re.MULTILINE))
            assert taught <= targets, path


def test_the_collection_and_the_model_that_are_taught_load(tmp_path: Path) -> None:
    """The tutorial's collection has three clips; the how-to's model is priced."""
    (tmp_path / "images").mkdir()
    (collection, _) = _blocks(DOCS / "tutorial.md", "yaml")
    (tmp_path / "images" / "tutorial.yaml").write_text(collection)
    library = load_library(tmp_path, load_catalog(None))
    assert library.problems == ()
    assert sum(prompt.variants for prompt in library.prompts.values()) == 3
    (models,) = _blocks(DOCS / "how-to" / "add-a-model.md", "yaml")
    write_settled(tmp_path / "models.yaml", models)
    (name,) = yaml.safe_load(models)["models"]
    assert load_catalog(tmp_path).get(name).prices


def test_the_queries_that_are_taught_run(
    clean_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each works on tables that were just published, even empty ones."""
    monkeypatch.setenv("DAGSTER_HOME", str(clean_environment / "dagster"))
    (clean_environment / "prompts").mkdir(exist_ok=True)
    assert CliRunner().invoke(app, ["costs"]).exit_code == 0
    queries = list(_blocks(DOCS / "how-to" / "read-the-cost-tables.md", "sql"))
    assert len(queries) >= 5
    for query in queries:
        result = CliRunner().invoke(app, ["sql", query])
        assert result.exit_code == 0, result.output


def test_the_glossary_points_at_what_exists() -> None:
    """Each word's place is a file or a folder of the package; words are in order."""
    page = (DOCS / "glossary.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| ([^|]+) \| [^|]+ \| `([^`]+)` \|$", page, re.MULTILINE)
    assert len(rows) >= 40
    assert [place for _, place in rows if not (ROOT / place).exists()] == []
    words = [word.lower() for word, _ in rows]
    assert words == sorted(words)


def test_decisions_are_numbered_and_short() -> None:
    """Numbers have no gap, each record has its three parts, none is longer than a screen."""
    records = sorted((DOCS / "decisions").glob("[0-9]*.md"))
    assert [int(path.name[:4]) for path in records] == list(range(1, len(records) + 1))
    index = (DOCS / "decisions" / "index.md").read_text(encoding="utf-8")
    for path in records:
        text = path.read_text(encoding="utf-8")
        assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == [
            "Context",
            "Decision",
            "Consequences",
        ]
        assert len(text.splitlines()) < 40
        assert f"]({path.name})" in index


def test_modules_that_pages_name_exist() -> None:
    """A page that names a file of the package names one that is there."""
    package = ROOT / "asset_pipeline"
    for path in [DOCS / "architecture.md", *sorted((DOCS / "decisions").glob("*.md"))]:
        for named in re.findall(r"`([a-z_/]+/[a-z_0-9]+\.py)`", path.read_text(encoding="utf-8")):
            assert (package / named).is_file(), f"{path.name}: {named}"


def test_the_site_builds_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    """A broken link, anchor or navigation fails the build; no built page names another server.

    Without the pages of the Python API, which take most of a minute: `make docs` builds them too.
    """
    config = load_config(
        str(ROOT / "mkdocs.yml"), strict=True, plugins=["search"], site_dir=str(tmp_path)
    )
    build(config)
    loaded = re.compile(r"<(?:link|script|img|iframe)\b[^>]*(?:src|href)=\"(?:https?:)?//[^>]*>")
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > len(WRITTEN)
    for page in pages:
        assert loaded.findall(page.read_text(encoding="utf-8")) == [], page
    assert "ledger backup" in (tmp_path / "reference" / "commands.html").read_text("utf-8")
