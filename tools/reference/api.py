"""The pages of the Python API: one a room of the package, filled by mkdocstrings."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "asset_pipeline"

ROOMS: Mapping[str, str] = {
    "project": "A project from a notebook or a program: data frames, clips, plan and generate.",
    "prompts": "Prompt files to prompts: what is to be made.",
    "catalog": "Models: their inputs, outputs and prices.",
    "providers": "Who makes clips: the protocol, and Replicate.",
    "drafting": "From briefs to prompts, by language models paid from the same ledger.",
    "generation": "The paid call, retries, reconciliation and planning.",
    "ledger": "Intents, budgets, clips: the truth about money.",
    "stores": "Where clips are kept.",
    "media": "Decoding, verifying and converting files.",
    "renditions": "Files derived from clips.",
    "custody": "What becomes of stored clips: checks, retention, exports.",
    "warehouse": "The published tables and the gallery.",
    "defs": "Everything that Dagster sees.",
    "monitoring": "Metrics, and checks of each part of an installation.",
    "tracing": "Traces, where an endpoint is set.",
    "config": "YAML files with line numbers.",
    "disclosure": "Secrets masked, addresses shortened.",
    "logs": "Structured logs.",
}
"""The rooms with a page. The command line and the sandbox are used from outside, not imported."""


def api_pages() -> dict[str, str]:
    """Return the pages by file name: an index, the modules at the top, and one of each room."""
    listed = [f"- [{room}]({room}.md): {about}" for room, about in ROOMS.items()]
    index = "\n".join(
        [
            "# Python API",
            "",
            "What the modules promise, from their docstrings. Arrows point one way: see",
            "[the architecture](../../architecture.md).",
            "",
            "- [asset_pipeline](asset_pipeline.md): settings, errors, money, time and files.",
            *listed,
        ]
    )
    pages = {"index.md": f"{index}\n", "asset_pipeline.md": _page("asset_pipeline", _top())}
    for room in ROOMS:
        pages[f"{room}.md"] = _page(room, modules_of(room))
    return pages


def modules_of(room: str) -> Iterator[str]:
    """Yield the dotted names of a room's modules with something public, in order."""
    for path in sorted((PACKAGE / room).rglob("*.py")):
        if "migrations" not in path.parts and _is_public(path):
            yield _dotted(path)


def _top() -> Iterator[str]:
    for path in sorted(PACKAGE.glob("*.py")):
        if _is_public(path):
            yield _dotted(path)


def _is_public(path: Path) -> bool:
    """Tell whether a module has something to show: packages without code have not."""
    if path.stem.startswith("_") and path.stem != "__init__":
        return False
    shown = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return any(isinstance(node, (*shown, ast.ImportFrom)) for node in tree.body)


def _dotted(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _page(title: str, modules: Iterator[str]) -> str:
    return "\n\n".join([f"# {title}", *(f"::: {module}" for module in modules)]) + "\n"
