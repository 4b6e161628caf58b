"""``schedules.yaml`` in the config folder: the times of the schedules, on or off."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, field_validator

from asset_pipeline.config.yaml_source import read_configuration
from asset_pipeline.defs._dagster_private import is_valid_cron_schedule
from asset_pipeline.errors import ConfigurationError

FILE_NAME = "schedules.yaml"


class ScheduleEntry(BaseModel):
    """When one schedule runs; it can be turned on and off in the Dagster UI as well."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, populate_by_name=True)

    cron: str
    is_on: bool = Field(alias="on")

    @field_validator("cron")
    @classmethod
    def _is_cron(cls, value: str) -> str:
        if not is_valid_cron_schedule(value):
            raise ValueError(f"{value!r} is no cron schedule")
        return value


def _at(cron: str, *, on: bool) -> ScheduleEntry:
    return ScheduleEntry.model_validate({"cron": cron, "on": on})


class Schedules(BaseModel):
    """All schedules, and the zone that their times are in.

    On by themselves are those that neither pay nor delete, and read no more than they have to. The
    audit is among them: what was paid twice or by nobody would otherwise be seen by nobody.
    Minutes are odd ones: at the full hour everybody else's jobs begin.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    # Servers move between zones and summer time skips an hour; budgets are in UTC as well.
    timezone: str = "UTC"
    reconcile: ScheduleEntry = _at("7 * * * *", on=True)
    audit: ScheduleEntry = _at("17 * * * *", on=True)
    retry_failed: ScheduleEntry = _at("23 2 * * *", on=False)
    cost_report: ScheduleEntry = _at("11 6 * * *", on=True)
    retention: ScheduleEntry = _at("31 3 * * 0", on=False)
    fsck: ScheduleEntry = _at("47 4 * * 0", on=False)

    @field_validator("timezone")
    @classmethod
    def _is_zone(cls, value: str) -> str:
        if value not in available_timezones():
            raise ValueError(f"{value!r} is no time zone such as Europe/Berlin or UTC")
        return value


def read_schedules(config_dir: Path) -> Schedules:
    """Read the file; what it does not say, and all without a file, is as above.

    Raises:
        ConfigurationError: It is wrong. Nothing would run at the times that somebody wrote down.
    """
    path = config_dir / FILE_NAME
    if not path.exists():
        return Schedules()
    written = read_configuration(path)
    content = {} if written is None else written
    if not isinstance(content, dict):
        raise ConfigurationError(
            f"{path}: it is not a mapping.",
            hint="Write it as 'retry_failed: {cron: \"23 2 * * *\", on: true}'.",
        )
    try:
        return Schedules.model_validate(_over_defaults(content))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ConfigurationError(
            f"{path}: {field}: {first['msg']}.",
            hint=f"Known: {', '.join(Schedules.model_fields)}; each has cron and on.",
        ) from None


def _over_defaults(content: Mapping[str, JsonValue]) -> dict[str, Any]:
    """Lay what is written over the defaults, so that `on` or `cron` may stand alone."""
    defaults = Schedules().model_dump(by_alias=True)
    return {
        name: {**defaults[name], **value}
        if isinstance(value, dict) and isinstance(defaults.get(name), dict)
        else value
        for name, value in content.items()
    }
