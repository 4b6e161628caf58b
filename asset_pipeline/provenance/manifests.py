"""The one place that knows the C2PA library: manifests signed into files, and read from them.

Nothing is fetched: no manifest from elsewhere, no revocation list, no time stamp.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from pydantic import JsonValue

from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.provenance.keys import EXTRA_HINT, ExtraMissingError, SigningKey
from asset_pipeline.provenance.statement import ASSERTION, GENERATOR
from asset_pipeline.provenance.xmp import TRAINED

if TYPE_CHECKING:
    import c2pa

_NO_MANIFEST = "ManifestNotFound"
_UNTRUSTED = "signingCredential.untrusted"
_PARENT = "original"


class SigningError(AssetPipelineError):
    """A file could not be signed."""


class TamperedParentError(SigningError):
    """What a file is made from was changed after somebody signed it."""


class SignatureState(StrEnum):
    """What a reader makes of a file's manifest."""

    TRUSTED = "trusted"  # whole, by a certificate of an authority that is trusted
    VALID = "valid"  # whole, by somebody whom nobody here vouches for
    INVALID = "invalid"  # the file or the manifest was changed since
    NONE = "none"  # there is no manifest
    UNCHECKED = "unchecked"  # there is one, and nothing here that could check it


@dataclass(frozen=True, slots=True)
class Ingredient:
    """What a signed file was made from, as its manifest says."""

    title: str
    relationship: str
    mime: str
    is_signed: bool
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Signature:
    """What a manifest says, and what is to be thought of it.

    Attributes:
        generator: The program that made the claim.
        problems: C2PA's codes of what is wrong, such as ``assertion.dataHash.mismatch``.
        digital_source_type: Of its actions; empty where none names one.
        said: This project's own assertion; empty in manifests of others.
        note: Why nothing was checked.
    """

    state: SignatureState
    signer: str = ""
    issuer: str = ""
    serial: str = ""
    generator: str = ""
    signed_at: str = ""
    problems: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    digital_source_type: str = ""
    ingredients: tuple[Ingredient, ...] = ()
    said: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    note: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether the file is as it was signed, whoever did it."""
        return self.state in {SignatureState.TRUSTED, SignatureState.VALID}


_STATES = {"Trusted": SignatureState.TRUSTED, "Valid": SignatureState.VALID}

UNSIGNED = Signature(SignatureState.NONE)


@dataclass(frozen=True, slots=True)
class Parent:
    """The original that a file was made from.

    Attributes:
        path: Its file.
        mime: Its type.
        title: Its name in the manifest.
    """

    path: Path
    mime: str
    title: str


class ManifestReader:
    """Reads manifests, and checks them against the authorities that are trusted.

    Threads may share one.

    Args:
        anchors: PEM of the authorities; empty for none.
    """

    def __init__(self, anchors: str = "") -> None:
        self._anchors = anchors

    def read(self, path: Path, mime: str, sidecar: bytes | None = None) -> Signature:
        """Return what a file's manifest says.

        Args:
            path: The file.
            mime: Its type.
            sidecar: The manifest, where it lies beside the file.

        Raises:
            ExtraMissingError: There is nothing to read it with.
        """
        library = _library()
        try:
            with path.open("rb") as file:
                reader = library.Reader(mime, file, sidecar, self._context)
                with reader:
                    return _signature(json.loads(reader.json()))
        except library.C2paError as error:
            if _NO_MANIFEST in type(error).__name__ or _NO_MANIFEST in str(error):
                return UNSIGNED
            return Signature(SignatureState.INVALID, problems=(_sentence(error),))

    @cached_property
    def _context(self) -> c2pa.Context:
        settings: dict[str, Any] = {
            "verify": {"verify_trust": True, "remote_manifest_fetch": False, "ocsp_fetch": False}
        }
        if self._anchors:
            settings["trust"] = {"trust_anchors": self._anchors}
        return _context(settings)


class ManifestSigner:
    """Signs files with one key. Threads may share one.

    Args:
        key: A checked key and its certificates.
        reader: Checks what others signed before it becomes an ingredient.
    """

    def __init__(self, key: SigningKey, reader: ManifestReader) -> None:
        self.key = key
        self._reader = reader

    def sign(
        self,
        path: Path,
        target: Path,
        mime: str,
        *,
        said: Mapping[str, JsonValue],
        actions: Sequence[str],
        parent: Parent | None,
    ) -> None:
        """Write a file with a manifest in it.

        Args:
            path: The file, with all of its marks: one that is added afterwards breaks it.
            target: Where the signed one goes; another file.
            mime: Its type.
            said: This project's assertion.
            actions: What was done to the parent, in C2PA's words; ``c2pa.opened`` is added.
            parent: What it was made from.

        Raises:
            TamperedParentError: The parent was changed after it was signed.
            SigningError: The library refuses the file or the key.
        """
        library = _library()
        try:
            with (
                path.open("rb") as source,
                target.open("w+b") as signed,
                self._builder(said, actions, parent) as builder,
            ):
                builder.sign(self._signer, mime, source, signed)
        except library.C2paError as error:
            raise SigningError(f"It could not be signed: {_sentence(error)}.") from None

    def sidecar(
        self, path: Path, mime: str, *, said: Mapping[str, JsonValue], parent: Parent | None
    ) -> bytes:
        """Return a manifest of a file that lies beside it; the file is left as it is.

        Raises:
            TamperedParentError: The file was changed after somebody signed it.
            SigningError: The library refuses the file or the key.
        """
        library = _library()
        try:
            with path.open("rb") as source, self._builder(said, (), parent) as builder:
                builder.set_no_embed()
                return builder.sign(self._signer, mime, source, io.BytesIO())
        except library.C2paError as error:
            raise SigningError(f"It could not be signed: {_sentence(error)}.") from None

    def refuse_tampered(self, parent: Parent) -> Signature:
        """Return what somebody else's manifest in a parent says; refuse one that is broken.

        A file made from a tampered one verifies as trusted at its top: nothing would show it.

        Raises:
            TamperedParentError: It was changed after it was signed.
        """
        found = self._reader.read(parent.path, parent.mime)
        if found.state is SignatureState.INVALID:
            raise TamperedParentError(
                f"{parent.title} was changed after {found.signer or 'somebody'} signed it "
                f"({', '.join(found.problems) or 'its manifest is broken'}); nothing made from it "
                "is signed.",
                hint="Generate the clip again, or let the collection's `provenance` say sign: "
                "false.",
            )
        return found

    def _builder(
        self, said: Mapping[str, JsonValue], actions: Sequence[str], parent: Parent | None
    ) -> c2pa.Builder:
        library = _library()
        first: dict[str, Any]
        if parent is None:
            first = {"action": "c2pa.created", "digitalSourceType": TRAINED}
        else:
            first = {
                "action": "c2pa.opened",
                "digitalSourceType": TRAINED,
                "parameters": {"ingredientIds": [_PARENT]},
            }
        definition = {
            "claim_generator_info": [{"name": GENERATOR}],
            "assertions": [
                {
                    "label": "c2pa.actions.v2",
                    "data": {"actions": [first, *({"action": each} for each in actions)]},
                },
                {"label": ASSERTION, "data": dict(said)},
            ],
        }
        builder = library.Builder.from_json(json.dumps(definition), _signing_context())
        if parent is not None:
            described = {"title": parent.title, "relationship": "parentOf", "label": _PARENT}
            with parent.path.open("rb") as file:
                builder.add_ingredient(json.dumps(described), parent.mime, file)
        return builder

    @cached_property
    def _signer(self) -> c2pa.Signer:
        library = _library()
        info = library.C2paSignerInfo(
            # Another constructor reserves 11 kB for the signature; this one 2.
            alg=self.key.algorithm.encode(),
            sign_cert=self.key.chain,
            private_key=self.key.private_key,
            ta_url=cast("Any", None),
        )
        return library.Signer.from_info(info)


def is_installed() -> bool:
    """Tell whether manifests can be signed and read here."""
    try:
        _library()
    except ExtraMissingError:
        return False
    return True


def _library() -> Any:  # noqa: ANN401 -- a module whose names its own stubs leave untyped
    try:
        import c2pa  # noqa: PLC0415 -- 40 MB of the extra, for those who sign and verify
    except (ImportError, OSError):
        raise ExtraMissingError(
            "Signatures need the package c2pa-python, which is not installed.", hint=EXTRA_HINT
        ) from None
    return c2pa


def _context(settings: Mapping[str, Any]) -> c2pa.Context:
    library = _library()
    return library.Context(library.Settings.from_dict(dict(settings)))


@cache
def _signing_context() -> c2pa.Context:
    # A thumbnail takes up to 300 kB and 170 ms a file; what was just signed needs no second look.
    return _context(
        {"builder": {"thumbnail": {"enabled": False}}, "verify": {"verify_after_sign": False}}
    )


def _signature(document: Mapping[str, Any]) -> Signature:
    """Return what a reader's report comes to."""
    active = _mapping(_mapping(document.get("manifests")).get(document.get("active_manifest", "")))
    info = _mapping(active.get("signature_info"))
    state = _STATES.get(document.get("validation_state", ""), SignatureState.INVALID)
    actions: list[Mapping[str, Any]] = []
    said: Mapping[str, JsonValue] = {}
    for assertion in _mappings(active.get("assertions")):
        label, data = str(assertion.get("label", "")), _mapping(assertion.get("data"))
        if label.startswith("c2pa.actions"):
            actions.extend(_mappings(data.get("actions")))
        elif label == ASSERTION:
            said = data
    generators = _mappings(active.get("claim_generator_info"))
    types = (_text(each, "digitalSourceType") for each in actions)
    return Signature(
        state=state,
        signer=_text(info, "common_name"),
        issuer=_text(info, "issuer"),
        serial=_text(info, "cert_serial_number"),
        generator=_text(generators[0], "name") if generators else _text(active, "claim_generator"),
        signed_at=_text(info, "time"),
        problems=_problems(document, state),
        actions=tuple(_text(each, "action") for each in actions),
        digital_source_type=next(filter(None, types), ""),
        ingredients=tuple(_ingredient(each) for each in _mappings(active.get("ingredients"))),
        said=said,
    )


def _problems(document: Mapping[str, Any], state: SignatureState) -> tuple[str, ...]:
    codes = _failures(document)
    if state is SignatureState.INVALID:
        # Who signed is of no interest once it is not what was signed.
        return tuple(code for code in codes if code != _UNTRUSTED) or codes
    return codes


def _failures(of: Mapping[str, Any]) -> tuple[str, ...]:
    results = _mapping(_mapping(of.get("validation_results")).get("activeManifest"))
    return tuple(dict.fromkeys(_text(each, "code") for each in _mappings(results.get("failure"))))


def _ingredient(said: Mapping[str, Any]) -> Ingredient:
    return Ingredient(
        title=_text(said, "title"),
        relationship=_text(said, "relationship"),
        mime=_text(said, "format"),
        is_signed=bool(said.get("active_manifest")),
        problems=_failures(said),
    )


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _mappings(value: object) -> list[Mapping[str, Any]]:
    if not isinstance(value, list):
        return []
    return [_mapping(each) for each in cast("list[object]", value)]


def _text(said: Mapping[str, Any], name: str) -> str:
    return str(said.get(name) or "")


def _sentence(error: Exception) -> str:
    return str(error).strip().rstrip(".") or type(error).__name__
