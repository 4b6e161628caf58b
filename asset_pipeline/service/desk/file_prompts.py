"""A prompt of a file as it would be after an edit, by the rules that files are read by."""

from __future__ import annotations

import tempfile
from pathlib import Path

from asset_pipeline.prompts.collection import read_collection
from asset_pipeline.prompts.resolver import Resolver
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.service.context import ServiceContext
from asset_pipeline.service.problems import Finding, ProblemError


def resolved_after(context: ServiceContext, prompt: Prompt, text: str) -> Prompt:
    """Return a prompt as its file's new text makes it.

    Raises:
        ProblemError: Something is wrong with it then; it names all of it.
    """
    folder = context.settings.prompts_dir
    resolver = Resolver(folder, context.catalog(), on=context.clock.now().date())
    with tempfile.TemporaryDirectory(prefix="edit-") as place:
        # Read from elsewhere under its own name: references stay relative to the prompts folder.
        target = Path(place) / prompt.path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text, encoding="utf-8")
        contents = read_collection(
            Path(place), prompt.kind, name=prompt.path, label=prompt.path, resolver=resolver
        )
    for found in contents.prompts.values():
        if found.prompt_id == prompt.prompt_id:
            return found
    wrong = [
        Finding(
            pointer=f"/{each.field or ''}".replace(".", "/"), detail=each.message, hint=each.hint
        )
        for each in contents.problems
        if each.prompt_id in {None, prompt.prompt_id}
    ]
    raise ProblemError(422, "invalid_prompt", "It can't be made so.", errors=wrong[:100])
