"""The run config of `image` and `audio`, and its validation."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

import dagster as dg
from dagster import MetadataValue
from pydantic import Field

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.clock import SystemClock
from asset_pipeline.defs.markdown import bullets
from asset_pipeline.defs.resources.prompt_library import Prompts
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.money import MicroUsd, micro_usd
from asset_pipeline.prompts.overrides import Override, override_for
from asset_pipeline.prompts.spec import MAX_VARIANTS

_MOST_IN_FLIGHT = 1000


class ClipsConfig(dg.Config):
    """The config of one run; an ordinary run needs none of it.

    Bounds are not declared here: Dagster's own message about them is a traceback, and its retry
    policy would try a wrong number again.
    """

    prompt_ids: list[str] = Field(
        default_factory=list,
        description="Exactly these prompts, wherever they stand, instead of the run's partition: "
        "a selection with gaps in one run. Choose the first of them as the partition.",
    )
    force: bool = Field(
        default=False,
        description="PAYS AGAIN for clips that are stored already. Without it nothing is ever paid "
        "for twice. The old clips are kept as superseded; budgets hold as always.",
    )
    max_usd: str | None = Field(
        default=None,
        description="A cap in US dollars for this run and its re-executions together, as text: "
        "'2.50'. A clip whose worst case does not fit is not begun. All other budgets still hold.",
    )
    max_in_flight: int | None = Field(
        default=None,
        description=f"Clips at a time, 1 to {_MOST_IN_FLIGHT}; ASSET_PIPELINE_MAX_IN_FLIGHT if not "
        "given.",
    )
    model: str | None = Field(
        default=None,
        description="Make this run's clips with another model of the catalog, such as "
        "'black-forest-labs/flux-dev', instead of the prompts' own; inputs that it does not have "
        "are left out. The clips become the prompts' current ones, paid for and kept under the "
        "request that made them. Since they are not what the prompt files ask for, their "
        "partitions show as STALE: write the model into the files and they turn fresh without a "
        "payment, or materialize again without it and the earlier clips come back for nothing.",
    )
    variants: int | None = Field(
        default=None,
        description=f"Make so many clips of each prompt in this run, 1 to {MAX_VARIANTS}, instead "
        "of the number in its file. Variants that are stored already cost nothing, those beyond "
        "the number are kept. As with `model`, the partitions show as STALE until the files say "
        "the same.",
    )


@dataclass(frozen=True, slots=True)
class RunOptions:
    """A run's config, checked.

    Attributes:
        prompt_ids: Instead of the run's partitions; empty for those.
        run_cap: This run's own cap.
        max_in_flight: Clips at a time; None for the setting's.
        force: Pay again for what is stored.
        override: Another model or number of variants.
    """

    prompt_ids: tuple[str, ...]
    run_cap: MicroUsd | None
    max_in_flight: int | None
    force: bool
    override: Override


def check_config(config: ClipsConfig, kind: Kind, prompts: Prompts) -> RunOptions:
    """Return a run's checked config.

    Raises:
        Failure: Something is wrong; it names all of it, and is not tried again.
    """
    wrong = list(_objections(config))
    override = Override()
    try:
        override = override_for(
            kind,
            prompts.catalog,
            prompts.folder,
            model=config.model,
            variants=config.variants,
            on=SystemClock().now().date(),
        )
    except AssetPipelineError as error:
        wrong.append(f"model: {error.message} {error.hint}".rstrip())
    if wrong:
        raise dg.Failure(
            f"This run's config can't be used, and nothing was paid. {' '.join(wrong)}",
            metadata={"config": MetadataValue.md(bullets(wrong))},
            allow_retries=False,
        )
    return RunOptions(
        prompt_ids=tuple(dict.fromkeys(config.prompt_ids)),
        run_cap=None if config.max_usd is None else micro_usd(config.max_usd),
        max_in_flight=config.max_in_flight,
        force=config.force,
        override=override,
    )


def _objections(config: ClipsConfig) -> Iterator[str]:
    if config.max_usd is not None and not _is_amount(config.max_usd):
        yield f"max_usd: {config.max_usd!r} is no amount in US dollars; write it like '2.50'."
    in_flight, variants = config.max_in_flight, config.variants
    if in_flight is not None and not 1 <= in_flight <= _MOST_IN_FLIGHT:
        yield f"max_in_flight: {in_flight} is not between 1 and {_MOST_IN_FLIGHT}."
    if variants is not None and not 1 <= variants <= MAX_VARIANTS:
        yield f"variants: {variants} is not between 1 and {MAX_VARIANTS}."


def _is_amount(text: str) -> bool:
    try:
        amount = Decimal(text)
    except InvalidOperation:
        return False
    return amount.is_finite() and amount >= 0
