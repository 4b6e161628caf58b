"""Which column of a table is which field of a prompt: by the names that people give them.

Names are compared without case, punctuation and spaces. What is not recognized becomes one of the
prompt's ``fields``.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from asset_pipeline.catalog.spec import Model
from asset_pipeline.config.suggestions import did_you_mean
from asset_pipeline.errors import AssetPipelineError

FIELDS = ("id", "text", "model", "variants", "tags", "style", "seed", "voice", "reference")
"""What a column can be beside ``inputs.NAME`` and ``fields.NAME``."""

_ALIASES: dict[str, tuple[str, ...]] = {
    "text": (
        "text", "prompt", "prompts", "prompt text", "full prompt", "image prompt", "audio prompt",
        "positive prompt", "main prompt", "script", "narration", "transcript", "transcription",
        "line", "sentence", "caption", "description", "text to speak", "spoken text",
    ),
    "id": (
        "id", "prompt id", "key", "slug", "uid", "sku", "asset id", "image id", "clip id",
        "item id", "scene id", "shot id", "line id", "audio id", "file id", "utterance id",
    ),
    "model": ("model", "model name", "ai model"),
    "variants": (
        "variants", "variant count", "variations", "copies", "num images", "number of images",
        "num outputs", "number of variants", "qty", "quantity", "how many", "of images",
        "no of images", "number of clips", "of clips",
    ),
    "tags": ("tags", "tag", "labels", "label", "keywords"),
    "style": ("style", "style prompt", "art style", "look"),
    "seed": ("seed",),
    "voice": ("voice", "voice id", "speaker", "narrator", "voice name"),
    "reference": (
        "reference", "reference image", "reference file", "ref image", "init image",
        "start image",
    ),
}  # fmt: skip
_INPUT_ALIASES = {
    "negative": "negative_prompt",
    "negative prompt": "negative_prompt",
    "neg prompt": "negative_prompt",
    "ar": "aspect_ratio",
    "aspect": "aspect_ratio",
    "aspect ratio": "aspect_ratio",
    "ratio": "aspect_ratio",
    "steps": "num_inference_steps",
    "cfg": "guidance_scale",
    "cfg scale": "guidance_scale",
    "guidance": "guidance",
    "guidance scale": "guidance_scale",
    "format": "output_format",
    "file format": "output_format",
    "quality": "output_quality",
}
_BY_NAME = {alias: field for field, aliases in _ALIASES.items() for alias in aliases}
_NESTED = re.compile(r"\w+\.(\w+)")
_POSITION = re.compile(r"#?[1-9][0-9]{0,3}")


@dataclass(frozen=True, slots=True)
class ColumnMap:
    """What each column of a table becomes.

    Attributes:
        columns: Field by column name, in the table's order.
        explicit: The columns that the caller mapped: what a model would refuse there is refused.
    """

    columns: Mapping[str, str]
    explicit: frozenset[str] = frozenset()

    def column_of(self, field: str) -> str | None:
        """Return the column that becomes a field, or None."""
        return next((name for name, it in self.columns.items() if it == field), None)


def normalized(name: str) -> str:
    """Return a column's name as it is compared: small letters and digits, single spaces."""
    folded = unicodedata.normalize("NFKC", name).casefold()
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", unicodedata.normalize("NFKC", name)).casefold()
    folded = spaced if spaced.replace(" ", "") == folded.replace(" ", "") else folded
    return re.sub(r"[\W_]+", " ", folded).strip()


def recognized(name: str, models: Iterable[Model] = ()) -> str | None:
    """Return the field that a column's name means, or None."""
    plain = normalized(name)
    prefix, dot, rest = name.strip().partition(".")
    if dot and rest and prefix.casefold() in {"inputs", "fields"}:
        return f"{prefix.casefold()}.{rest}"
    if plain == "inputs" or plain in _BY_NAME:
        return _BY_NAME.get(plain, "inputs")
    if plain in _INPUT_ALIASES:
        return f"inputs.{_INPUT_ALIASES[plain]}"
    snake = plain.replace(" ", "_")
    if any(snake in model.inputs and snake != model.prompt_input for model in models):
        return f"inputs.{snake}"
    nested = _NESTED.fullmatch(name.strip())
    return "text" if nested and _BY_NAME.get(normalized(nested[1])) == "text" else None


def is_header(record: Sequence[str], wanted: Iterable[str] = ()) -> bool:
    """Tell whether a record names columns: one of them is where a text would be."""
    asked = {name.casefold() for name in wanted}
    return any(
        recognized(cell) == "text" or (bool(cell.strip()) and cell.strip().casefold() in asked)
        for cell in record
    )


def map_columns(
    names: Sequence[str],
    asked: Mapping[str, str],
    models: Iterable[Model],
    samples: Mapping[str, Sequence[str]] | None,
) -> ColumnMap:
    """Return what each column becomes.

    Args:
        names: The table's columns.
        asked: Field by column, as the caller wants it; a column is named or given by position.
        models: The models in use, for the inputs they have.
        samples: Some cells by column for a table without a header, None for one with names.

    Raises:
        AssetPipelineError: A column or field that was asked for is none, or no column is the text.
    """
    known = list(models)
    explicit = {_column(column, names): _field(field) for column, field in asked.items()}
    taken = {field for field in explicit.values() if not field.startswith("fields.")}
    if len(set(explicit.values())) < len(explicit):
        raise AssetPipelineError("Two columns are mapped to one field.", hint="Map each once.")
    found: dict[str, str] = {}
    guesses = (
        {name: recognized(name, known) for name in names}
        if samples is None
        else _by_content(samples, taken)
    )
    for field in (*FIELDS, "inputs"):
        if field in taken:
            continue
        candidates = [it for it in names if guesses.get(it) == field and it not in explicit]
        ranks = _ALIASES.get(field, ())
        best = min(
            candidates,
            key=lambda it: ranks.index(normalized(it)) if normalized(it) in ranks else 0,
            default=None,
        )
        if best is not None:
            found[best] = field
    for name in names:
        guess = guesses.get(name) or ""
        if name in explicit or name in found or guess in taken or not guess.partition(".")[2]:
            continue
        taken.add(guess)
        found[name] = guess
    columns = {name: explicit.get(name) or found.get(name) or f"fields.{name}" for name in names}
    if "text" not in columns.values():
        raise _no_text(names)
    return ColumnMap(columns, frozenset(explicit))


def _no_text(names: Sequence[str]) -> AssetPipelineError:
    near = did_you_mean("prompt", names)
    listed = ", ".join(repr(name) for name in names[:20])
    return AssetPipelineError(
        f"No column is known as the text of the prompts; there are {listed}.",
        hint=f"Say which it is, such as --map {_quoted(names[0] if names else '1')}=text; "
        f"or --no-header if the first line is a prompt. {near}".rstrip(),
    )


def _quoted(name: str) -> str:
    return f"'{name}'" if re.search(r"[^\w.-]", name) else name


def _column(written: str, names: Sequence[str]) -> str:
    folded = written.strip().casefold()
    exact = [name for name in names if name == written.strip()]
    alike = exact or [name for name in names if name.casefold() == folded]
    if len(alike) == 1:
        return alike[0]
    plain = normalized(written)
    alike = alike or [name for name in names if plain and normalized(name) == plain]
    if len(alike) == 1:
        return alike[0]
    if not alike and _POSITION.fullmatch(folded) and int(folded.lstrip("#")) <= len(names):
        return names[int(folded.lstrip("#")) - 1]
    times = "more than one" if alike else "no"
    raise AssetPipelineError(
        f"There is {times} column {written!r}.",
        hint=f"{did_you_mean(written, names)} A column can be given by its number too.".strip(),
    )


def _field(written: str) -> str:
    plain = written.strip()
    if plain.casefold() in FIELDS:
        return plain.casefold()
    prefix, _, rest = plain.partition(".")
    if prefix.casefold() in {"inputs", "fields"} and rest:
        return f"{prefix.casefold()}.{rest}"
    raise AssetPipelineError(
        f"{written!r} is no field of a prompt.",
        hint=f"Fields: {', '.join(FIELDS)}, inputs.NAME, fields.NAME.",
    )


def _by_content(samples: Mapping[str, Sequence[str]], taken: set[str]) -> dict[str, str | None]:
    """Guess id and text of a table without a header: ids are short, whole and all different."""
    words = {
        name: sum(len(cell.split()) for cell in cells) / max(1, len(cells))
        for name, cells in samples.items()
    }
    most = max(words.values(), default=0)
    found: dict[str, str | None] = dict.fromkeys(samples)
    # The first of several alike: corpora keep the text as it is printed before the spoken form.
    text = next((name for name in samples if words[name] >= most * 0.6), None)
    if text is not None and "text" not in taken:
        found[text] = "text"
    for name, cells in samples.items():
        short = all(cell.strip() and " " not in cell.strip() for cell in cells)
        if name != text and short and len(set(cells)) == len(cells) and "id" not in taken:
            found[name] = "id"
            break
    return found
