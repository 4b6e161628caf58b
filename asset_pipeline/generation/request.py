"""From a prompt to what is asked of a model, and the hash that stands for it."""

from __future__ import annotations

import base64
import hashlib
import json
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from pydantic import JsonValue

from asset_pipeline.catalog.pricing import price_on, worst_case
from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.catalog.spec import Model
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.records import AttemptInputs, NewIntent, Parent
from asset_pipeline.prompts.spec import Prompt

_SEED_BITS = 31


class BadReferenceError(AssetPipelineError):
    """A reference file can't be sent."""


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One clip wanted: a model, its resolved inputs and the number of the variant.

    Attributes:
        inputs: Everything but the derived seed. A reference file stands as ``sha256:<hex>``.
        reference: The reference file itself, whose content replaces that mark when it is sent.
        prompt_hash: The prompt's data version; None when the prompt that paid has left the files.
        generation_hash: SHA-256 over model, inputs and variant, and nothing else: renaming or
            moving a prompt costs nothing.
    """

    prompt: Prompt
    model: Model
    variant: int
    inputs: Mapping[str, JsonValue]
    reference: Path | None
    generation_hash: str
    prompt_hash: str | None

    def new_intent(self, day: date) -> NewIntent:
        """Return the payment to reserve, at the price of ``day``.

        Raises:
            UnpricedModelError: The model has no price on that day.
        """
        rule = price_on(self.model, day)
        return NewIntent(
            generation_hash=self.generation_hash,
            kind=self.prompt.kind,
            prompt_id=self.prompt.prompt_id,
            collection=self.prompt.collection,
            variant=self.variant,
            model=self.model.name,
            version=self.model.version,
            prompt_text=self.prompt.full_text,
            worst_case=worst_case(self.model, self.inputs, on=day),
            price_source=f"${rule.usd}/{rule.unit.value}: {rule.source}",
            inputs_for_attempt=self._inputs_for_attempt,
        )

    def parents(self) -> list[Parent]:
        """Return what the clip is made from, for its lineage."""
        prompt = self.prompt
        parents = [
            Parent("prompt", f"{prompt.kind}/{prompt.prompt_id}", self.prompt_hash, "text"),
            Parent("model", self.model.name, self.model.version, "generated_by"),
        ]
        if prompt.reference is not None:
            parents.append(
                Parent("reference", prompt.reference, prompt.reference_sha256, "reference")
            )
        return parents

    def sent_inputs(self, recorded: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """Return an intent's recorded inputs as they go over the wire.

        Raises:
            BadReferenceError: The reference file is gone, or is not the one that was planned with.
        """
        sent = dict(recorded)
        if self.reference is not None and self.model.reference_input is not None:
            expected = self.prompt.reference_sha256
            sent[self.model.reference_input] = _data_uri(self.reference, expected)
        return sent

    def _inputs_for_attempt(self, attempt: int) -> AttemptInputs:
        name = self.model.seed_input
        if name is None:
            return AttemptInputs(None, self.inputs)
        given = self.inputs.get(name)
        if isinstance(given, int):
            return AttemptInputs(given, self.inputs)
        seed = derived_seed(self.generation_hash, attempt)
        return AttemptInputs(seed, {**self.inputs, name: seed})


def resolve(prompt: Prompt, variant: int, catalog: Catalog, prompts_dir: Path) -> GenerationRequest:
    """Return the generation request of one variant of a prompt.

    Raises:
        UnknownModelError: The catalog has no such model.
    """
    model = catalog.get(prompt.model)
    inputs = model.request_inputs(prompt.full_text, prompt.inputs)
    reference = None
    if prompt.reference is not None and model.reference_input is not None:
        reference = prompts_dir / prompt.reference
        inputs[model.reference_input] = f"sha256:{prompt.reference_sha256}"
    return GenerationRequest(
        prompt=prompt,
        model=model,
        variant=variant,
        inputs=inputs,
        reference=reference,
        generation_hash=generation_hash(model.name, inputs, variant),
        prompt_hash=prompt.prompt_hash,
    )


def generation_hash(model: str, inputs: Mapping[str, JsonValue], variant: int) -> str:
    """Return the SHA-256 of the canonical JSON of what makes a clip."""
    document = {"inputs": inputs, "model": model, "variant": variant}
    canonical = json.dumps(
        document, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False
    )
    return hashlib.sha256(canonical.encode()).hexdigest()


def derived_seed(generation_hash: str, attempt: int) -> int:
    """Return the 31-bit seed that makes an attempt's input its own.

    Reconciliation recognises a prediction by it, so it must differ from attempt to attempt.
    """
    digest = hashlib.sha256(f"{generation_hash}:{attempt}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> (32 - _SEED_BITS)


def _data_uri(path: Path, expected_sha256: str | None) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadReferenceError(
            f"The reference file {path} can't be read: {error.strerror}.",
            hint="Put it back, or correct the prompt.",
        ) from None
    if hashlib.sha256(content).hexdigest() != expected_sha256:
        # The hash that the clip would be filed under stands for the old content.
        raise BadReferenceError(
            f"The reference file {path} has changed since the prompts were read.",
            hint="Run it again: the prompts are then read anew.",
        )
    mime = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"
