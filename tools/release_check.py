"""Whether this checkout can be released: versions, migrations and documentation agree.

`make release-check` runs it before a tag. What tests and `make check` find is not looked at again.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from asset_pipeline.ledger.engine import HEAD_REVISION

_ROOT: Final = Path(__file__).resolve().parents[1]
_SEMANTIC: Final = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-[0-9A-Za-z.-]+)?")
_HEADING: Final = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<day>\d{4}-\d{2}-\d{2}))?$")
_IMAGES: Final = (Path("deploy/helm/values.yaml"), Path("deploy/helm/service.yaml"))


def main(root: Path = _ROOT) -> int:
    """Print each thing that keeps this from being released, and return how it ended."""
    found = list(problems(root))
    for problem in found:
        print(problem, file=sys.stderr)  # noqa: T201 -- a command's own output
    if not found:
        print(f"{_version(root)} can be released.")  # noqa: T201 -- as above
    return 1 if found else 0


def problems(root: Path) -> Iterator[str]:
    """Yield each thing that does not agree, with what to do."""
    yield from _version_problems(root)
    yield from _migration_problems(root / "asset_pipeline" / "ledger" / "migrations" / "versions")
    yield from _page_problems(root)


def _version(root: Path) -> str:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    return str(project["project"]["version"])


def _version_problems(root: Path) -> Iterator[str]:
    version = _version(root)
    if not _SEMANTIC.fullmatch(version):
        yield f"pyproject.toml: {version!r} is no semantic version (1.2.3)."
    lines = (root / "CHANGELOG.md").read_text(encoding="utf-8").splitlines()
    headings = [(at, found) for at, line in enumerate(lines) if (found := _HEADING.match(line))]
    unreleased = [at for at, found in headings if found["version"] == "Unreleased"]
    for at in unreleased:
        end = next((other for other, _ in headings if other > at), len(lines))
        if any(line.startswith("- ") for line in lines[at + 1 : end]):
            yield f"CHANGELOG.md:{at + 1}: entries stand under Unreleased: move them to {version}."
    released = [found for _, found in headings if found["version"] != "Unreleased"]
    if not released or released[0]["version"] != version:
        newest = released[0]["version"] if released else "nothing"
        yield f"CHANGELOG.md: its newest release is {newest}, pyproject.toml says {version}."
    elif not released[0]["day"]:
        yield f"CHANGELOG.md: release {version} has no day (## [{version}] - 2026-01-31)."
    for path in _IMAGES:
        tags = re.findall(r"asset-pipeline(?::|, tag: \")(\d[^\s\",]*)", (root / path).read_text())
        if set(tags) != {version}:
            yield f"{path}: the image's tag is {', '.join(tags) or 'missing'}, not {version}."


def _migration_problems(folder: Path) -> Iterator[str]:
    """Yield what is wrong with the chain: one beginning, one end, and the end is the head."""
    before: dict[str, str | None] = {}
    for path in sorted(folder.glob("[0-9]*.py")):
        said = _assigned(path)
        revision = said.get("revision")
        if revision is None or not path.name.startswith(f"{revision}_"):
            yield f"{path.name}: its revision is {revision}; the file is named otherwise."
        elif revision in before:
            yield f"{path.name}: revision {revision} is there twice."
        before[str(revision)] = said.get("down_revision")
    followed = [down for down in before.values() if down is not None]
    ends = sorted(set(before).difference(followed))
    if ends != [HEAD_REVISION]:
        yield f"migrations end at {', '.join(ends)}; HEAD_REVISION is {HEAD_REVISION}."
    if len(followed) != len(set(followed)) or list(before.values()).count(None) != 1:
        yield "migrations are no chain: two follow the same one, or two begin."
    for down in sorted(set(followed).difference(before)):
        yield f"migrations: {down} is followed and is not there."


def _assigned(path: Path) -> dict[str, str | None]:
    """Return what a module assigns to names as plain text or None, without running it."""
    found: dict[str, str | None] = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
            value = node.value.value
            for target in node.targets:
                if isinstance(target, ast.Name) and (value is None or isinstance(value, str)):
                    found[target.id] = value
    return found


def _page_problems(root: Path) -> Iterator[str]:
    """Yield pages that no reader finds, as `mkdocs.yml` does not name them."""
    named = (root / "mkdocs.yml").read_text(encoding="utf-8")
    for page in sorted((root / "docs").rglob("*.md")):
        name = page.relative_to(root / "docs").as_posix()
        if name not in named:
            yield f"docs/{name}: mkdocs.yml does not name it."


if __name__ == "__main__":
    raise SystemExit(main())
