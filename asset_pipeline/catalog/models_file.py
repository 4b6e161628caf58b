"""Adding a model to the user's ``models.yaml``: what stands there stays as it is, to the byte."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from pydantic import JsonValue

from asset_pipeline.catalog.reader import FILE_NAME, load_catalog
from asset_pipeline.config.yaml_source import plain_value, read_configuration
from asset_pipeline.errors import ConfigurationError
from asset_pipeline.files import atomic_path

_HEAD = "# Models of this project, over those that come with it; each field here replaces theirs.\n"
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
# Other readers of YAML take these for true and false.
_OLD_WORDS = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}
_BLOCK = ("inputs", "prices")


def add_model(config_dir: Path, name: str, entry: Mapping[str, JsonValue]) -> Path:
    """Write a model's entry at the end of ``models.yaml`` in the config folder.

    Args:
        config_dir: The folder; it is made if there is none.
        name: ``owner/name``.
        entry: The fields of the entry.

    Returns:
        The file.

    Raises:
        ConfigurationError: The file can't be read, has such an entry already, or would hold a
            catalog that does not fit together; it is as it was then.
    """
    path = config_dir / FILE_NAME
    before = path.read_text(encoding="utf-8") if path.exists() else ""
    indent = _indent(before)
    if name in _names(path):
        raise ConfigurationError(
            f"{path}: {name} is in it already.",
            hint="Edit its entry there, or delete it and add the model again.",
        )
    after = (before or f"{_HEAD}models:\n").rstrip("\n") + "\n"
    after += "".join(f"{indent}{line}\n" for line in _lines(name, entry))
    with TemporaryDirectory() as folder:
        trial = Path(folder) / FILE_NAME
        trial.write_text(after, encoding="utf-8")
        try:
            load_catalog(Path(folder))
            fits = _names(trial) == {*_names(path), name}
        except ConfigurationError as error:
            told = error.message.replace(str(trial), str(path))
            raise ConfigurationError(told, hint=error.hint) from None
    if not fits:
        raise ConfigurationError(
            f"{path}: the entry can't be put at its end.",
            hint="Write the models in block style, one below the other, and try again.",
        )
    config_dir.mkdir(parents=True, exist_ok=True)
    with atomic_path(path) as temporary:
        temporary.write_text(after, encoding="utf-8")
    return path


def _names(path: Path) -> set[str]:
    if not path.exists():
        return set()
    value = read_configuration(path, label=str(path))
    models = value.get("models") if isinstance(value, dict) else None
    return set(models) if isinstance(models, dict) else set()


def _indent(text: str) -> str:
    """Return how far the names of a file's models are indented."""
    found = re.search(r"^models:[^\n]*\n(?:[ ]*(?:#[^\n]*)?\n)*([ ]+)[^ #\n]", text, re.MULTILINE)
    return found[1] if found else "  "


def _lines(name: str, entry: Mapping[str, JsonValue]) -> Iterator[str]:
    yield f"{name}:"
    for field, value in entry.items():
        if field in _BLOCK and isinstance(value, dict):
            yield f"  {field}:"
            yield from (f"    {_flow(key)}: {_flow(item)}" for key, item in value.items())
        elif field in _BLOCK and isinstance(value, list):
            yield f"  {field}:"
            yield from (f"    - {_flow(item)}" for item in value)
        else:
            yield f"  {field}: {_flow(value)}"


def _flow(value: JsonValue) -> str:
    """Return a value on one line."""
    match value:
        case str():
            is_plain = (
                _PLAIN.fullmatch(value) is not None
                and plain_value(value) == value
                and value.lower() not in _OLD_WORDS
            )
            return value if is_plain else json.dumps(value, ensure_ascii=False)
        case list():
            return f"[{', '.join(map(_flow, value))}]"
        case dict():
            return f"{{{', '.join(f'{_flow(key)}: {_flow(item)}' for key, item in value.items())}}}"
        case _:
            return json.dumps(value)
