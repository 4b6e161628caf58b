"""Which prompts a command is about: the selection flags, and the states that Dagster shows."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.prompts.states import PromptState, PromptStates

if TYPE_CHECKING:
    from asset_pipeline.prompts.library import Library
    from asset_pipeline.prompts.spec import Prompt


@dataclass(frozen=True, slots=True)
class PromptSelection:
    """The selection flags of one command.

    Kind, collection, prompt and tag narrow each other; missing, failed and stale add up.
    """

    kinds: Sequence[Kind] | None = None
    collections: Sequence[str] | None = None
    prompt_ids: Sequence[str] | None = None
    tags: Sequence[str] | None = None
    missing: bool = False
    failed: bool = False
    stale: bool = False
    everything: bool = False
    limit: int | None = None

    @property
    def by_state(self) -> bool:
        """Whether states matter: unless told otherwise, what is missing is taken.

        Who names a prompt means it, whatever its state.
        """
        return not self.everything and (self._any_state or not self.prompt_ids)

    def take(self, library: Library, states: Callable[[], PromptStates]) -> list[Prompt]:
        """Return the chosen prompts in the library's order.

        Args:
            library: All prompts.
            states: Asked only when states matter, because asking Dagster takes a moment.

        Raises:
            AssetPipelineError: A name is not in the library.
        """
        chosen = self._named(library)
        if self.by_state:
            found = states()
            chosen = [prompt for prompt in chosen if self._wants(prompt, found)]
        return chosen[: self.limit]

    def left_out(self, library: Library, states: PromptStates) -> list[Prompt]:
        """Return those of the named prompts that are not taken because they failed earlier."""
        if not self.by_state or self.failed or (self.stale and not self.missing):
            return []
        return [
            prompt
            for prompt in self._named(library)
            if states.of(prompt) is PromptState.FAILED and not self._wants(prompt, states)
        ]

    def take_up(self) -> str:
        """Return the command that takes up what failed earlier among the named prompts."""
        return " ".join(("asset-pipeline generate --failed", *self._names()))

    def go_on(self) -> str:
        """Return the command that makes what is left of what was chosen."""
        states = {"--missing": self.missing, "--failed": self.failed, "--stale": self.stale}
        limit = () if self.limit is None else (f"--limit {self.limit}",)
        chosen = (*self._names(), *(flag for flag, on in states.items() if on), *limit)
        return " ".join(("asset-pipeline generate", *chosen))

    def _names(self) -> list[str]:
        flags = {
            "--kind": self.kinds,
            "--collection": self.collections,
            "--prompt": self.prompt_ids,
            "--tag": self.tags,
        }
        return [
            f"{flag} {shlex.quote(value)}"
            for flag, values in flags.items()
            for value in values or ()
        ]

    def _named(self, library: Library) -> list[Prompt]:
        # The flags are declared with this class, and `--help` needs no prompts.
        from asset_pipeline.prompts.selection import Selection, select  # noqa: PLC0415

        return select(
            library,
            Selection(
                kinds=frozenset(self.kinds or ()),
                collections=frozenset(self.collections or ()),
                prompt_ids=frozenset(self.prompt_ids or ()),
                tags=frozenset(self.tags or ()),
            ),
        )

    def describe(self) -> str:
        """Return in words which states are taken."""
        if not self.by_state:
            return "all"
        flags = {"missing": self.missing, "failed": self.failed, "stale": self.stale}
        return " or ".join(name for name, on in flags.items() if on) or "missing"

    @property
    def _any_state(self) -> bool:
        return self.missing or self.failed or self.stale

    def _wants(self, prompt: Prompt, states: PromptStates) -> bool:
        takes_missing = self.missing or not self._any_state
        return (
            (takes_missing and states.is_missing(prompt))
            or (self.failed and states.of(prompt) is PromptState.FAILED)
            or (self.stale and states.is_stale(prompt))
        )
