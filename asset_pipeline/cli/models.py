"""`models`: what can be asked to make clips, and adding another model by the provider's schema."""

from __future__ import annotations

import asyncio
import re
import sys
from datetime import date
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

import typer
from pydantic import JsonValue

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.models_file import add_model
from asset_pipeline.catalog.provider_schema import (
    ModelDescription,
    describe_model,
    objections_to_example,
)
from asset_pipeline.catalog.reader import Catalog, load_catalog
from asset_pipeline.catalog.spec import InputSpec, Model, PriceRule, PriceUnit
from asset_pipeline.cli import _resources as resources
from asset_pipeline.cli._ledger import actor
from asset_pipeline.cli._options import AsJson, Kinds
from asset_pipeline.cli._output import say, show_table, stdout, write_json
from asset_pipeline.clock import SystemClock
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.providers.protocol import NotFoundError, ProviderError
from asset_pipeline.settings import load_settings

app = typer.Typer(
    help="Models: what they take and cost, and adding one by the provider's schema.",
    no_args_is_help=True,
)

_NAME = re.compile(
    r"(?:https://replicate\.com/)?([a-z0-9][a-z0-9._-]*/[a-z0-9][a-z0-9._-]*)(?::([0-9a-f]{64}))?"
)
_UNITS = {
    "image": PriceUnit.IMAGE,
    "picture": PriceUnit.IMAGE,
    "second": PriceUnit.PREDICT_SECOND,
    "predict_second": PriceUnit.PREDICT_SECOND,
    "thousand_character": PriceUnit.THOUSAND_CHARACTERS,
    "1000_character": PriceUnit.THOUSAND_CHARACTERS,
    "run": PriceUnit.RUN,
    "file": PriceUnit.RUN,
}
_PRICE = re.compile(
    r"\$?\s*([0-9]*\.?[0-9]+)\s*(?:(?:/|per|a|\s|:)\s*([a-z0-9_ ]+?)s?)?", re.IGNORECASE
)
_PRICE_HINT = "Write it as 0.003/image; units are image, predict_second, thousand_characters, run."
_SECONDS = 30
_REFRESHED = ("version", "inputs", "output", "output_key")

Name = Annotated[str, typer.Argument(metavar="OWNER/NAME", help="The model's name.")]


@app.command("list")
def list_models(*, kind: Kinds = None, as_json: AsJson = False) -> None:
    """List the models of the catalog with their prices; one without a price is refused."""
    models = [model for model in _catalog().models.values() if not kind or model.kind in kind]
    today = SystemClock().now().date()
    if as_json:
        write_json([_document(model, today) for model in models])
        return
    rows = [
        (
            model.name,
            model.kind,
            _price_words(model.price_on(today)),
            "official" if model.official else "by version",
            "yes" if model.seed_input else "no",
            "yes" if model.reference_input else "no",
        )
        for model in sorted(models, key=lambda model: (model.kind, model.name))
    ]
    console = stdout()
    show_table(console, "", ["model", "kind", "price", "runs", "seed", "reference"], rows)
    unpriced = sum(model.price_on(today) is None for model in models)
    if unpriced:
        say(
            console,
            f"{unpriced:,} have no price and are refused: no source for one is known. "
            "`asset-pipeline models add OWNER/NAME --price 0.01/image` gives yours.",
        )


@app.command("show")
def show_model(*, name: Name, as_json: AsJson = False) -> None:
    """Show what a model takes, makes and costs, and where its price comes from."""
    model = _catalog().get(_parsed(name)[0])
    today = SystemClock().now().date()
    if as_json:
        inputs = {
            key: spec.model_dump(mode="json", exclude_none=True)
            for key, spec in model.inputs.items()
        }
        write_json({**_document(model, today), "inputs": inputs})
        return
    console = stdout()
    say(console, f"{model.name} makes {_makes(model.kind)}.", "bold")
    rule = model.price_on(today)
    say(
        console,
        f"Price: {_price_words(rule)}" + ("" if rule is None else f" ({rule.source})") + ".",
    )
    say(console, f"Output: {model.output}. Version: {model.version or 'the provider keeps it up'}.")
    roles = {
        model.prompt_input: "the prompt's text",
        model.seed_input: "the seed",
        model.reference_input: "the prompt's reference",
        **{name: f"always {value}" for name, value in model.fixed_inputs.items()},
    }
    show_table(
        console,
        "Inputs",
        ["input", "type", "default", "allowed", "what it is"],
        [
            (
                key,
                f"{spec.type}{' *' if spec.required else ''}",
                model.defaults.get(key, spec.default),
                _allowed(spec),
                roles.get(key) or spec.description,
            )
            for key, spec in model.inputs.items()
        ],
    )


@app.command("add")
def add(
    *,
    name: Annotated[
        str,
        typer.Argument(
            metavar="OWNER/NAME",
            help="The model's name, or the address of its page; OWNER/NAME:VERSION for a version.",
        ),
    ],
    price: Annotated[
        str | None,
        typer.Option(
            "--price", help="What it costs, such as 0.003/image or 0.06/thousand_characters."
        ),
    ] = None,
    source: Annotated[
        str | None, typer.Option("--source", help="Where the price is from, such as an invoice.")
    ] = None,
    kind: Annotated[
        Kind | None, typer.Option("--kind", help="What it makes, where its schema does not tell.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Read a model's schema from the provider, and write the model into models.yaml. It is free.

    Types, bounds, choices and the form of the output are the provider's. The price is yours: it is
    in no schema, and nothing is spent on a model without one.
    """
    settings = load_settings()
    model_name, version = _parsed(name)
    catalog = load_catalog(settings.config_dir)
    asked_price = _price(price) if price is not None else None
    document = asyncio.run(_fetch(model_name))
    known = catalog.models.get(model_name)
    described = describe_model(
        model_name,
        document,
        kind=kind or (None if known is None else known.kind),
        version=version,
    )
    if asked_price is None and price is None and known is None and not as_json:
        asked_price = _ask_price(model_name)
    entry = _entry(described, known)
    if asked_price is not None:
        entry["prices"] = [_rule(asked_price, source)]
    path = add_model(settings.config_dir, model_name, entry)
    model = load_catalog(settings.config_dir).get(model_name)
    today = SystemClock().now().date()
    misread = list(objections_to_example(described))
    if as_json:
        write_json(
            {
                **_document(model, today),
                "file": path,
                "left_out": list(described.left_out),
                "misread": misread,
            }
        )
        return
    console = stdout()
    say(console, f"{model_name} is in {path}: {len(model.inputs)} inputs, output {model.output}.")
    for line in described.left_out:
        say(console, f"Left out: {line}.", "yellow")
    for line in misread:
        say(
            console,
            f"The provider's own example would be refused: {line} Look at its entry.",
            "yellow",
        )
    if model.price_on(today) is None:
        say(
            console,
            "It has no price, so that nothing may be spent on it: write one under 'prices' in that "
            "entry, with its source.",
            "yellow",
        )
    else:
        say(
            console,
            f"Price: {_price_words(model.price_on(today))}. Name it as a prompt's model, and "
            "`asset-pipeline plan` says what its clips cost at the most.",
        )


def _catalog() -> Catalog:
    return load_catalog(load_settings().config_dir)


def _parsed(name: str) -> tuple[str, str | None]:
    """Return a model's name and the version asked for.

    Raises:
        AssetPipelineError: It is no name of a model.
    """
    found = _NAME.fullmatch(name.strip().rstrip("/"))
    if found is None:
        raise AssetPipelineError(
            f"{name[:100]!r} is no name of a model.",
            hint="Write it as on its page: owner/name, such as black-forest-labs/flux-dev.",
        )
    return found[1], found[2]


async def _fetch(name: str) -> object:
    provider = resources.replicate().open_provider()
    try:
        async with asyncio.timeout(_SECONDS):
            return await provider.model(name)
    except NotFoundError:
        raise AssetPipelineError(
            f"The provider has no model {name}.",
            hint="Check the name on its page; a private model needs its owner's token.",
        ) from None
    except (ProviderError, TimeoutError) as error:
        said = getattr(error, "message", "") or f"no answer within {_SECONDS} s"
        raise AssetPipelineError(
            f"The provider can't be asked for {name}: {said}.",
            hint="Check the network, REPLICATE_API_TOKEN and REPLICATE_BASE_URL.",
        ) from None
    finally:
        await provider.aclose()


def _entry(described: ModelDescription, known: Model | None) -> dict[str, JsonValue]:
    """Return what is written: of a model that the project knows, what its schema says anew.

    Its roles, defaults and fallbacks were chosen by hand, and stay.
    """
    entry = described.entry()
    if known is None:
        return entry
    return {field: value for field, value in entry.items() if field in _REFRESHED}


def _price(text: str) -> tuple[PriceUnit, Decimal]:
    """Read a price and its unit.

    Raises:
        AssetPipelineError: It is none.
    """
    found = _PRICE.fullmatch(text.strip())
    unit = None
    if found is not None and found[2] is not None:
        unit = _UNITS.get(found[2].strip().lower().replace(" ", "_").replace(",", ""))
    try:
        amount = Decimal(found[1]) if found is not None else None
    except InvalidOperation:
        amount = None
    if unit is None or amount is None:
        raise AssetPipelineError(f"--price: {text[:100]!r} is no price.", hint=_PRICE_HINT)
    return unit, amount


def _ask_price(name: str) -> tuple[PriceUnit, Decimal] | None:
    """Ask a person for the price; nobody is asked where nobody can answer."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        return None
    answer: str = typer.prompt(
        f"What does {name} cost? Such as 0.003/image; empty if you don't know",
        default="",
        show_default=False,
        err=True,
    )
    return _price(answer) if answer.strip() else None


def _rule(price: tuple[PriceUnit, Decimal], source: str | None) -> dict[str, JsonValue]:
    unit, amount = price
    today = SystemClock().now().date()
    return {
        "unit": unit.value,
        "usd": f"{amount:f}",
        "effective": today.isoformat(),
        "source": source or f"told to `models add` by {actor()} on {today}",
    }


def _document(model: Model, today: date) -> dict[str, Any]:
    rule = model.price_on(today)
    return {
        "name": model.name,
        "kind": model.kind,
        "official": model.official,
        "version": model.version,
        "output": model.output,
        "priced": rule is not None,
        "price_usd": None if rule is None else rule.usd,
        "unit": None if rule is None else rule.unit,
        "price_source": None if rule is None else rule.source,
        "price_effective": None if rule is None else rule.effective,
        "seed_input": model.seed_input,
        "reference_input": model.reference_input,
        "fallbacks": [fallback.model for fallback in model.fallbacks],
    }


def _price_words(rule: PriceRule | None) -> str:
    if rule is None:
        return "unpriced"
    unit = {
        PriceUnit.IMAGE: "an image",
        PriceUnit.PREDICT_SECOND: "a second of prediction",
        PriceUnit.THOUSAND_CHARACTERS: "1,000 characters",
        PriceUnit.RUN: "a run",
    }[rule.unit]
    return f"${rule.usd:f} {unit}"


def _makes(kind: Kind) -> str:
    return "pictures" if kind is Kind.IMAGE else "sound"


def _allowed(spec: InputSpec) -> str:
    if spec.choices is not None:
        return ", ".join(map(str, spec.choices))
    least, most = spec.minimum, spec.maximum
    if least is None and most is None:
        return "" if spec.max_length is None else f"at most {spec.max_length:,} characters"
    if most is None:
        return f"{least} or more"
    return f"{most} or less" if least is None else f"{least} to {most}"
