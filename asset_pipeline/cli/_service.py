"""What `serve` and `keys` do."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from datetime import timedelta

from asset_pipeline.cli._ledger import actor
from asset_pipeline.cli._options import read_amount
from asset_pipeline.cli._output import say, say_link, show_table, stdout, write_json
from asset_pipeline.clock import SystemClock
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.ledger.api_keys import ApiKey, ApiKeys, NewKey, scopes_from
from asset_pipeline.ledger.provider_ledger import open_own_engine
from asset_pipeline.money import format_usd, to_decimal
from asset_pipeline.settings import load_settings

_LONGEST_NAME = 100


def run_service(host: str, port: int) -> None:
    """Serve until a signal comes.

    Raises:
        AssetPipelineError: The ledger can't be opened, or the address is not to be used.
    """
    from asset_pipeline.defs.process_logs import start_logs  # noqa: PLC0415 -- as below
    from asset_pipeline.service.context import open_context  # noqa: PLC0415 -- FastAPI, for it alone
    from asset_pipeline.service.serving import serve  # noqa: PLC0415 -- as above

    settings = load_settings()
    start_logs(settings, "service")
    context = open_context(settings)
    console = stdout()

    def tell(url: str) -> None:
        say_link(console, url)
        say(console, f"API: {url}/api/v1, described at {url}/openapi.json. Ctrl-C ends it.")
        console.file.flush()

    try:
        serve(context, host, port, tell)
    finally:
        context.engine.dispose()


def create_key(
    name: str,
    scopes: Sequence[str],
    budget: str | None,
    rate: int | None,
    days: int | None,
    *,
    as_json: bool,
) -> None:
    """Make a key and show it.

    Raises:
        AssetPipelineError: Name, scopes or budget are none.
    """
    if not name.strip() or len(name) > _LONGEST_NAME or not name.isprintable():
        raise AssetPipelineError(
            "That is no name for a key.", hint=f"Give 1 to {_LONGEST_NAME} printable characters."
        )
    words = [word for given in scopes for word in given.split(",")]
    with _keys() as keys:
        new = NewKey(
            name=name.strip(),
            scopes=scopes_from(words),
            created_by=actor(),
            budget=None if budget is None else read_amount("--budget", budget),
            rate_per_minute=rate,
            expires_at=None if days is None else SystemClock().now() + timedelta(days=days),
        )
        key, text = keys.create(new)
    if as_json:
        write_json({**_shown(key), "key": text}, whole_links=True)
        return
    console = stdout()
    say(console, f"Key {key.key_id} for {key.name}. It is shown this once:", "bold")
    say_link(console, text)


def list_keys(*, as_json: bool) -> None:
    """Show all keys."""
    with _keys() as keys:
        found = keys.all()
    if as_json:
        write_json([_shown(key) for key in found])
        return
    show_table(
        stdout(),
        "Keys",
        ["id", "name", "scopes", "budget", "rate", "expires", "state"],
        [
            (
                key.key_id,
                key.name,
                ", ".join(sorted(key.scopes)),
                "" if key.budget is None else format_usd(key.budget),
                "" if key.rate_per_minute is None else f"{key.rate_per_minute}/min",
                "" if key.expires_at is None else f"{key.expires_at:%Y-%m-%d}",
                _state(key),
            )
            for key in found
        ],
        numbers=["budget", "rate"],
    )


def revoke_key(key_id: str, *, as_json: bool) -> None:
    """Revoke a key.

    Raises:
        AssetPipelineError: There is none.
    """
    with _keys() as keys:
        key = keys.revoke(key_id)
    if as_json:
        write_json(_shown(key))
        return
    say(stdout(), f"Key {key.key_id} ({key.name}) is revoked.", "bold")


@contextmanager
def _keys() -> Generator[ApiKeys]:
    keys = ApiKeys(open_own_engine(load_settings()), SystemClock())
    try:
        yield keys
    finally:
        keys.close()


def _state(key: ApiKey) -> str:
    if key.revoked_at is not None:
        return "revoked"
    return "holds" if key.holds(SystemClock().now()) else "expired"


def _shown(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.key_id,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "budget_usd": None if key.budget is None else to_decimal(key.budget),
        "rate_per_minute": key.rate_per_minute,
        "state": _state(key),
        "created_by": key.created_by,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    }
