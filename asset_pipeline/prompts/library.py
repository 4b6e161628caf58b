"""The prompts folder to a :class:`Library`: every good prompt, and every problem with its place."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.foreign.files import files_below
from asset_pipeline.prompts.collection import (
    CollectionRules,
    Contents,
    prompt_lines,
    read_collection,
)
from asset_pipeline.prompts.file_cache import KeptFiles
from asset_pipeline.prompts.resolver import Resolver
from asset_pipeline.prompts.spec import MOST_PROBLEMS, Problem, Prompt, problems_left_out

FOLDERS = {Kind.IMAGE: "images", Kind.AUDIO: "audio"}
"""Which folder of the prompts folder holds the collections of a kind."""

BRIEFS_FOLDER = "briefs"
"""The folder of the prompts folder that holds what prompts are drafted from, and no prompt."""

_SUFFIXES = {".yaml", ".yml"}


@dataclass(frozen=True)
class Library:
    """All prompts of a folder.

    Attributes:
        prompts: The good ones, files in the order of their paths, prompts in that of their file.
        problems: What is wrong with the bad ones; only those are left out.
        rules: What each collection file says of its prompts, by its name as in
            :attr:`Prompt.path`; a file that can't be read has none.
    """

    prompts: Mapping[tuple[Kind, str], Prompt]
    problems: tuple[Problem, ...]
    rules: Mapping[str, CollectionRules] = field(default_factory=dict[str, CollectionRules])

    def is_auto(self, prompt: Prompt) -> bool:
        """Tell whether a prompt is generated without anybody's asking."""
        rules = self.rules.get(prompt.path)
        return rules is not None and rules.auto

    def needing_approval(self, kind: Kind) -> frozenset[str]:
        """Return the ids of a kind's prompts whose clips are published only when approved."""
        return frozenset(
            prompt_id
            for (other, prompt_id), prompt in self.prompts.items()
            if other is kind
            and (rules := self.rules.get(prompt.path)) is not None
            and rules.require_approval
        )

    def of_kind(self, kind: Kind) -> dict[str, Prompt]:
        """Return the prompts of one kind by their ids, in order."""
        return {
            prompt_id: prompt
            for (other, prompt_id), prompt in self.prompts.items()
            if other is kind
        }


def load_library(
    prompts_dir: Path, catalog: Catalog, *, on: date | None = None, kept: KeptFiles | None = None
) -> Library:
    """Read ``images/**/*.yaml`` and ``audio/**/*.yaml`` below ``prompts_dir``.

    Args:
        prompts_dir: The prompts folder.
        catalog: What models and inputs there are.
        on: The day whose prices must be known; today (UTC) if not given.
        kept: What earlier calls read, for a process that reads the same folder again and again.

    Raises:
        AssetPipelineError: The folder is missing or cannot be read. A bad file, folder below it or
            prompt raises nothing: it becomes a problem of the library.
    """
    day = on or datetime.now(UTC).date()
    resolver = Resolver(prompts_dir, catalog, on=day)
    files = (kept or KeptFiles()).of(prompts_dir, catalog, day)
    merging = _Merging(prompts_dir)
    names = _yaml_files(prompts_dir, merging)
    for kind, folder in FOLDERS.items():
        for name in names.pop(folder, ()):
            contents = files.get(name)
            if contents is None:
                stamp = files.stamp(name)
                contents = read_collection(
                    prompts_dir,
                    kind,
                    name=name,
                    label=merging.label(name),
                    resolver=resolver,
                )
                files.keep(name, stamp, contents)
            merging.add(name, kind, contents)
    names.pop(BRIEFS_FOLDER, None)
    for misplaced in names.values():
        merging.add_misplaced(misplaced)
    return merging.library()


def _yaml_files(prompts_dir: Path, merging: _Merging) -> dict[str, list[str]]:
    """Return all collection files by the top folder they are in, sorted; hidden ones are not.

    They are named relative to the prompts folder; those at its very top are under ``.``.

    Raises:
        AssetPipelineError: The prompts folder itself cannot be read.
    """
    found: defaultdict[str, list[str]] = defaultdict(list)
    failed: list[OSError] = []
    for name in files_below(prompts_dir, failed):
        if Path(name).suffix.lower() in _SUFFIXES:
            top, slash, _ = name.partition("/")
            found[top if slash else "."].append(name)
    for error in failed:
        below = os.path.relpath(error.filename, prompts_dir)
        if below == ".":
            raise AssetPipelineError(
                f"The prompts folder {error.filename} cannot be read: {error.strerror}.",
                hint="Check ASSET_PIPELINE_PROMPTS_DIR, and that you may read the folder.",
            ) from error
        merging.add_unread(below, error.strerror or str(error))
    return {top: sorted(names) for top, names in found.items()}


class _Merging:
    """Puts files together and notices the ids that more than one prompt claims."""

    def __init__(self, prompts_dir: Path) -> None:
        self._prompts_dir = prompts_dir
        self._prompts: dict[tuple[Kind, str], Prompt] = {}
        self._problems: list[Problem] = []
        self._rules: dict[str, CollectionRules] = {}
        self._places: dict[tuple[Kind, str], _Place] = {}
        self._duplicates: list[tuple[str, _Place, _Place]] = []
        self._count: Counter[str] = Counter()  # of duplicates, by file

    def label(self, name: str) -> str:
        """Return a file's name for people, who know the prompts folder by its name."""
        label = f"{self._prompts_dir.absolute().name}/{name}"
        # A file name may hold any byte, and a database none but text.
        return label.encode(errors="backslashreplace").decode()

    def add(self, name: str, kind: Kind, contents: Contents) -> None:
        self._problems.extend(contents.problems)
        if contents.rules is not None:
            self._rules[name] = contents.rules
        for index, prompt_id in contents.ids.items():
            place = _Place(name, index)
            first = self._places.setdefault((kind, prompt_id), place)
            if first is not place:
                self._count[name] += 1
                if self._count[name] <= MOST_PROBLEMS:
                    self._duplicates.append((prompt_id, first, place))
            elif index in contents.prompts:
                self._prompts[kind, prompt_id] = contents.prompts[index]

    def add_misplaced(self, names: list[str]) -> None:
        """Report files that would be ignored silently, such as those in ``image/``."""
        hint = f"Move it into {' or '.join(f'{folder}/' for folder in FOLDERS.values())}."
        for name in names:
            message = "The file is in no folder of a kind, so it is not read."
            self._problems.append(Problem(self.label(name), None, None, None, message, hint))

    def add_unread(self, folder: str, reason: str) -> None:
        """Report a folder whose files nobody can see."""
        message = f"The folder cannot be read: {reason}."
        hint = "Check that you may read it, or put its files higher up."
        self._problems.append(Problem(self.label(folder), None, None, None, message, hint))

    def library(self) -> Library:
        lines = self._lines_of_duplicates()
        self._problems.extend(
            problems_left_out(self.label(name), count - MOST_PROBLEMS)
            for name, count in self._count.items()
            if count > MOST_PROBLEMS
        )
        for prompt_id, first, second in self._duplicates:
            self._problems.append(
                Problem(
                    path=self.label(second.name),
                    line=lines[second],
                    field="id",
                    prompt_id=prompt_id,
                    message=f"the id is taken by {self.label(first.name)}:{lines[first] or '?'}.",
                    hint="Ids are unique within a kind; rename one of the two.",
                )
            )
        problems = sorted(self._problems, key=lambda problem: (problem.path, problem.line or 0))
        return Library(self._prompts, tuple(problems), self._rules)

    def _lines_of_duplicates(self) -> dict[_Place, int | None]:
        by_file: defaultdict[str, list[_Place]] = defaultdict(list)
        for _, *places in self._duplicates:
            for place in places:
                by_file[place.name].append(place)
        return {
            place: line
            for name, places in by_file.items()
            for place, line in zip(
                places,
                prompt_lines(self._prompts_dir, name, [place.index for place in places]),
                strict=True,
            )
        }


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a prompt stands: a file, relative to the prompts folder, and an index in it."""

    name: str
    index: int
