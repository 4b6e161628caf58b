"""``retention.yaml``: what may be deleted. Without the file nothing ever is."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.config.error_messages import first_issues
from asset_pipeline.config.guarded_file import wait_until_still
from asset_pipeline.config.yaml_source import read_configuration
from asset_pipeline.errors import ConfigurationError

RETENTION_FILE = "retention.yaml"

GB = 1_000_000_000

_FORM = "docs/keeping-clips.md shows the form."


class _Written(BaseModel):
    # Unknown fields are refused: a misspelt `older_than_days` would otherwise bound nothing.
    model_config = ConfigDict(frozen=True, extra="forbid")


class RetentionRule(_Written):
    """Clips that may be deleted: those that meet all that the rule says.

    Whatever it says, the current clip of a live prompt and what is approved are kept.
    """

    name: Annotated[str, Field(min_length=1, max_length=100)]
    kinds: frozenset[Kind] | None = Field(None, description="Only these kinds; all if not given.")
    collections: frozenset[str] | None = Field(None, description="Only these; all if not given.")
    older_than_days: int | None = Field(None, ge=0, description="Days since the clip landed.")
    superseded_beyond: int | None = Field(
        None,
        ge=0,
        description="Superseded clips, but for so many of the newest of each prompt's variant.",
    )

    @model_validator(mode="after")
    def _say_when(self) -> RetentionRule:
        if self.older_than_days is None and self.superseded_beyond is None:
            raise ValueError("give older_than_days, superseded_beyond or both")
        return self


class RetentionRules(_Written):
    """All that may be deleted, and how large the store may be."""

    rules: tuple[RetentionRule, ...] = ()
    max_total_gb: Decimal | None = Field(
        None,
        ge=0,
        description="Beyond so many GB (10^9 bytes), the least recently used are deleted.",
    )

    @model_validator(mode="after")
    def _name_once(self) -> RetentionRules:
        names = [rule.name for rule in self.rules]
        if len(names) != len(set(names)):
            raise ValueError("two rules have the same name")
        return self

    @property
    def max_bytes(self) -> int | None:
        """How large the stored clips may be in all; None without a bound."""
        return None if self.max_total_gb is None else int(self.max_total_gb * GB)


def load_rules(config_dir: Path) -> RetentionRules:
    """Read the rules; none where there is no file.

    Raises:
        ConfigurationError: The file is wrong; the error names the field.
    """
    path = config_dir / RETENTION_FILE
    if not path.exists():
        return RetentionRules.model_validate({})
    # A rule whose second half is not written yet deletes more than it says.
    wait_until_still(path)
    document = read_configuration(path)
    try:
        return RetentionRules.model_validate({} if document is None else document)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in issue['loc']) or 'the file'}: {issue['msg']}"
            for issue in first_issues(error)
        )
        raise ConfigurationError(f"{path}: {problems}.", hint=_FORM) from None
