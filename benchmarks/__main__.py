"""``python -m benchmarks NAME...`` runs benchmarks by name; without a name it lists them.

A benchmark is a module of this package with a ``main(arguments)`` that returns an exit code; words
that follow a name and start with ``--`` are its arguments.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path


def names() -> list[str]:
    """Return the benchmarks there are."""
    found = pkgutil.iter_modules([str(Path(__file__).parent)])
    return sorted(module.name for module in found if not module.name.startswith("_"))


def summary(name: str) -> str:
    """Return the first line of a benchmark's docstring."""
    return (importlib.import_module(f"benchmarks.{name}").__doc__ or "").partition("\n")[0]


def main(arguments: Sequence[str]) -> int:
    """Run what is named and return the worst exit code."""
    if not arguments:
        for name in names():
            print(f"{name:16} {summary(name)}")
        return 0
    asked: list[tuple[str, list[str]]] = []
    for word in arguments:
        if word.startswith("--") and asked:
            asked[-1][1].append(word)
        elif word in names():
            asked.append((word, []))
        else:
            print(f"There is no benchmark {word!r}. Known: {', '.join(names())}.", file=sys.stderr)
            return 2
    codes = [importlib.import_module(f"benchmarks.{name}").main(rest) for name, rest in asked]
    return max(codes)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
