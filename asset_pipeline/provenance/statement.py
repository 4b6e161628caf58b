"""What is said of a generated file, as far as its collection lets it be said."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from pydantic import JsonValue

from asset_pipeline.ledger.provenance import Payment
from asset_pipeline.ledger.records import Clip
from asset_pipeline.prompts.provenance import ProvenancePolicy
from asset_pipeline.provenance.containers.metadata import NewMetadata
from asset_pipeline.provenance.xmp import TRAINED, Properties, added_to

GENERATOR = "asset_pipeline"

ASSERTION = "org.asset-pipeline.generation"
"""The name of this project's own assertion in a manifest."""

# As generators of pictures name what they were given, and what other tools look for.
_PARAMETERS = {
    "num_inference_steps": "Steps",
    "scheduler": "Sampler",
    "guidance_scale": "CFG scale",
    "guidance": "CFG scale",
}
_LONGEST_PROMPT = 8_000


@dataclass(frozen=True, slots=True)
class Statement:
    """What a file says of itself.

    Attributes:
        clip: The clip that it is, or was made from.
        payment: How that was made.
        policy: What of this may be told.
    """

    clip: Clip
    payment: Payment
    policy: ProvenancePolicy

    @property
    def identifier(self) -> str:
        """Return what names the original: it is the same in all copies, signed or not."""
        return f"urn:sha256:{self.clip.sha256}"

    def properties(self) -> Properties:
        """Return it in words of XMP and IPTC."""
        model = self.clip.model
        said = self._prompt if self.policy.shows("prompt") else ""
        return Properties(
            digital_source_type=TRAINED,
            credit=f"Made with AI ({model})",
            description=said,
            system=model,
            identifier=self.identifier,
        )

    def parameters(self) -> str:
        """Return how it was made in the form that A1111 began and many tools read."""
        inputs = self.payment.inputs
        facts = {
            name: inputs[key]
            for key, name in _PARAMETERS.items()
            if isinstance(inputs.get(key), int | float | str)
        }
        if self.payment.seed is not None:
            facts["Seed"] = self.payment.seed
        if self.clip.width and self.clip.height:
            facts["Size"] = f"{self.clip.width}x{self.clip.height}"
        facts |= {"Model": self.clip.model, "Version": GENERATOR}
        lines: list[str] = []
        if self.policy.shows("prompt"):
            lines.append(self._prompt)
            negative = inputs.get("negative_prompt")
            if isinstance(negative, str) and negative:
                lines.append(f"Negative prompt: {negative}")
        lines.append(", ".join(f"{name}: {value}" for name, value in facts.items()))
        return "\n".join(lines)

    def metadata(self, xmp_there: str) -> NewMetadata:
        """Return it as a file carries it.

        Args:
            xmp_there: The file's own packet, which is kept and added to.
        """
        said = self.properties()
        fields = {
            "digitalsourcetype": said.digital_source_type,
            "comment": said.credit + (f": {said.description}" if said.description else ""),
            "software": GENERATOR,
            "identifier": said.identifier,
        }
        return NewMetadata(added_to(xmp_there, said), self.parameters(), fields)

    def assertion(self) -> dict[str, JsonValue]:
        """Return it as this project's assertion in a manifest; redacted facts are left out."""
        text = self.payment.prompt_text
        said: dict[str, JsonValue] = {
            "model": self.clip.model,
            "provider": self.clip.provider or "unknown",
            "clip_sha256": self.clip.sha256,
            "prompt_sha256": hashlib.sha256(text.encode("utf-8", "replace")).hexdigest(),
        }
        if self.policy.shows("prompt"):
            said["prompt"] = self._prompt
        if self.policy.shows("ids"):
            said["prediction_id"] = self.clip.prediction_id
            said["intent_id"] = self.clip.intent_id
            said["clip_id"] = self.clip.clip_id
        if self.policy.shows("cost"):
            said["cost_microusd"] = int(self.payment.charged)
        return said

    @property
    def _prompt(self) -> str:
        return self.payment.prompt_text[:_LONGEST_PROMPT].encode("utf-8", "replace").decode()
