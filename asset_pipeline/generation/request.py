"""Generation requests: a prompt's resolved inputs for a model, and their hash."""

from __future__ import annotations

import base64
import hashlib
import json
import mimetypes
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from pydantic import JsonValue

from asset_pipeline.catalog.pricing import UnpricedModelError, price_on, worst_case
from asset_pipeline.catalog.reader import Catalog
from asset_pipeline.catalog.seeds import counts_in_hash, given_seed, with_variants_seed
from asset_pipeline.catalog.spec import Model, OutputShape, PriceUnit
from asset_pipeline.catalog.terms import Terms, terms_of
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.foreign.files import ForeignFileError, read_file
from asset_pipeline.generation.retry.rules import Strategy
from asset_pipeline.ledger.records import AttemptInputs, Intent, NewIntent, Parent
from asset_pipeline.money import to_decimal
from asset_pipeline.prompts.resolver import MAX_REFERENCE_BYTES
from asset_pipeline.prompts.spec import MAX_VARIANTS, Prompt

_SEED_BITS = 31

_OTHER_TEXTS = frozenset(
    {Strategy.SIMPLIFIED_PROMPT, Strategy.REWRITTEN_PROMPT, Strategy.GENERIC_FALLBACK}
)

# Of intents that kept no terms and whose model has left the catalog.
_DEADLINE_SECONDS = 3600


class BadReferenceError(AssetPipelineError):
    """A reference file can't be sent."""


@dataclass(frozen=True, slots=True)
class StandIn:
    """A request's substitution: the text or the model differs from what was wanted.

    Attributes:
        wanted_hash: The generation that was wanted.
        strategies: How this one came to stand in, in order.
        model: The model that was wanted, where it is known.
        call: The call to a language model that wrote its text; empty where none did.
    """

    wanted_hash: str
    strategies: tuple[Strategy, ...]
    model: Model | None
    call: str = ""

    @property
    def has_other_text(self) -> bool:
        """Whether it is not the prompt's own text that is sent."""
        return bool(_OTHER_TEXTS & {*self.strategies})


@dataclass(frozen=True, slots=True)
class GenerationRequest:
    """One clip wanted: a model, its resolved inputs and the number of the variant.

    Attributes:
        prompt: Its text, model and inputs are what is sent; the rest says whose clip it is.
        inputs: Everything but the derived seed. A reference file stands as ``sha256:<hex>``.
        reference: The reference file itself, whose content replaces that mark when it is sent.
        prompt_hash: The prompt's data version; None when the prompt that paid has left the files.
        generation_hash: SHA-256 over model, inputs and, where each variant gets a seed of its own,
            the variant; and over nothing else: renaming or moving a prompt costs nothing.
        stands_in: For what it stands in; None when it is what was wanted itself.
    """

    prompt: Prompt
    model: Model
    variant: int
    inputs: Mapping[str, JsonValue]
    reference: Path | None
    generation_hash: str
    prompt_hash: str | None
    stands_in: StandIn | None = None

    @property
    def wanted_hash(self) -> str:
        """The generation that was wanted: its own, unless it stands in for another."""
        return self.generation_hash if self.stands_in is None else self.stands_in.wanted_hash

    @property
    def strategy(self) -> str | None:
        """How it came to stand in, as the ledger writes it."""
        return None if self.stands_in is None else "+".join(self.stands_in.strategies)

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
            wanted_hash=None if self.stands_in is None else self.stands_in.wanted_hash,
            strategy=self.strategy,
            terms=terms_of(self.model, self.inputs, on=day),
            variants=self.prompt.variants,
        )

    def parents(self) -> list[Parent]:
        """Return what the clip is made from, for its lineage.

        Of a stand-in, ``text`` and ``generated_by`` are what really made it; what was ``wanted``
        stands beside them.
        """
        prompt, instead = self.prompt, self.stands_in
        wanted = f"{prompt.kind}/{prompt.prompt_id}"
        parents = [Parent("model", self.model.name, self.model.version, "generated_by")]
        if instead is not None and instead.has_other_text:
            digest = hashlib.sha256(prompt.full_text.encode()).hexdigest()
            parents.append(Parent("text", prompt.full_text, digest, "text"))
            parents.append(Parent("prompt", wanted, self.prompt_hash, "wanted"))
            if instead.call:
                parents.append(Parent("draft", instead.call, None, Strategy.REWRITTEN_PROMPT.value))
        else:
            parents.append(Parent("prompt", wanted, self.prompt_hash, "text"))
        other = None if instead is None else instead.model
        if other is not None and other.name != self.model.name:
            parents.append(Parent("model", other.name, other.version, "wanted"))
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
        given = given_seed(self.model, self.inputs)
        if given is not None:
            return AttemptInputs(given, self.inputs)
        seed = derived_seed(self.generation_hash, attempt)
        return AttemptInputs(seed, {**self.inputs, name: seed})


def resolve(prompt: Prompt, variant: int, catalog: Catalog, prompts_dir: Path) -> GenerationRequest:
    """Return the generation request of one variant of a prompt.

    Raises:
        UnknownModelError: The catalog has no such model.
    """
    model = catalog.get(prompt.model)
    sent = model.request_inputs(prompt.full_text, prompt.inputs)
    take = prompt.takes.get(variant, 0)
    # A given seed moves on with each take, past those of all variants.
    inputs = with_variants_seed(model, sent, variant + take * MAX_VARIANTS)
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
        generation_hash=generation_hash(
            model.name, inputs, variant if counts_in_hash(model, inputs) else 1, take
        ),
        prompt_hash=prompt.prompt_hash,
    )


def from_ledger(
    intent: Intent, catalog: Catalog, wanted: GenerationRequest | None
) -> GenerationRequest:
    """Return the request that an intent was made for, built from what the ledger holds of it.

    Args:
        intent: The intent.
        catalog: For its model; one that has left the catalog is what the intent remembers of it.
        wanted: The clip that it is for, where the prompts still ask for it: whose inputs the
            reference file and the prompt's hash are then known.
    """
    model = catalog.models.get(intent.model) or _remembered(intent)
    own = Prompt(
        kind=intent.kind,
        prompt_id=intent.prompt_id,
        collection=intent.collection,
        text=intent.prompt_text,
        style="",
        model=intent.model,
        variants=1,
        inputs={},
        tags=(),
        reference=None,
        reference_sha256=None,
        path="",
    )
    if wanted is not None:
        sent = {"text": intent.prompt_text, "style": "", "model": intent.model}
        own = replace(wanted.prompt, **sent)
    inputs = intent.inputs
    seed = model.seed_input
    if seed is not None and intent.seed == derived_seed(intent.generation_hash, intent.attempt):
        inputs.pop(seed, None)  # the next attempt has a seed of its own
    stands_in = None
    if intent.wanted_hash is not None:
        strategies = tuple(map(Strategy, (intent.strategy or "").split("+")))
        stands_in = StandIn(intent.wanted_hash, strategies, wanted.model if wanted else None)
    return GenerationRequest(
        prompt=own,
        model=model,
        variant=intent.variant,
        inputs=inputs,
        reference=wanted.reference if wanted and model.reference_input in inputs else None,
        generation_hash=intent.generation_hash,
        prompt_hash=wanted.prompt_hash if wanted else None,
        stands_in=stands_in,
    )


def _remembered(intent: Intent) -> Model:
    """Return a model that has left the catalog, as far as finishing a payment needs it."""
    terms = terms_of_intent(intent)
    roles = (terms.prompt_input, terms.seed_input, terms.reference_input)
    names = {*intent.inputs, *(name for name in roles if name is not None)}
    return Model.model_validate(
        {
            "name": intent.model,
            "kind": intent.kind,
            "version": intent.version,
            "prompt_input": terms.prompt_input,
            "seed_input": terms.seed_input,
            "reference_input": terms.reference_input,
            "inputs": {name: {"type": "string"} for name in names},
            "output": terms.output,
            "output_key": terms.output_key,
            "max_predict_seconds": terms.max_predict_seconds,
        }
    )


def terms_of_intent(intent: Intent, model: Model | None = None) -> Terms:
    """Return what an intent was begun on.

    Args:
        intent: The intent.
        model: Its model as the catalog has it; used where the intent kept no terms.
    """
    kept = intent.terms
    if kept is not None:
        return kept
    if model is not None:
        try:
            return terms_of(model, intent.inputs, on=intent.created_at.date())
        except (UnpricedModelError, KeyError):
            pass
    return _from_what_was_sent(intent)


def _from_what_was_sent(intent: Intent) -> Terms:
    """Read the names off the inputs; the price is what was set aside."""
    names = {str(value): name for name, value in intent.inputs.items()}
    return Terms(
        unit=PriceUnit.RUN,
        usd=to_decimal(intent.reserved_microusd),
        most_units=1,
        prompt_input=names.get(intent.prompt_text, "prompt"),
        seed_input=None if intent.seed is None else names.get(str(intent.seed), "seed"),
        reference_input=None,
        output=OutputShape.ONE,
        output_key=None,
        max_predict_seconds=_DEADLINE_SECONDS,
    )


def generation_hash(
    model: str, inputs: Mapping[str, JsonValue], variant: int, take: int = 0
) -> str:
    """Return the SHA-256 of the canonical JSON of what makes a clip; a later take is another."""
    document: dict[str, object] = {"inputs": inputs, "model": model, "variant": variant}
    if take:
        document["take"] = take
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
        content = read_file(path, inside=None, most=MAX_REFERENCE_BYTES)
    except OSError as error:
        raise BadReferenceError(
            f"The reference file {path} can't be read: {error.strerror}.",
            hint="Put it back, or correct the prompt.",
        ) from None
    except ForeignFileError as error:
        message = f"The reference file {path} can't be read: {error.message}"
        raise BadReferenceError(message, hint="Put it back, or correct the prompt.") from None
    if hashlib.sha256(content).hexdigest() != expected_sha256:
        # The hash that the clip would be filed under stands for the old content.
        raise BadReferenceError(
            f"The reference file {path} has changed since the prompts were read.",
            hint="Run it again: the prompts are then read anew.",
        )
    mime = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return f"data:{mime};base64,{base64.b64encode(content).decode()}"
