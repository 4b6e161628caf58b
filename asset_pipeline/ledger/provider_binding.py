"""The binding of a ledger to one provider.

What is open at one provider can't be proved absent by another's listing, and a drawing of the
sandbox is no clip of a real model. So a ledger is bound to the first provider that may pay from
it, and whoever comes with another one is told so before anything is read into it.
"""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, Engine, func, select, update

from asset_pipeline.errors import ExitCode
from asset_pipeline.ledger.engine import LedgerError
from asset_pipeline.ledger.schema import clips, intents, ledger_identity
from asset_pipeline.ledger.transactions import transaction

Judge = Callable[[str], str]
"""Takes the newest prediction's id (empty: none is recorded) and returns whose ledger that is."""


class WrongProviderError(LedgerError):
    """The ledger belongs to another provider; nothing in it was changed."""

    exit_code = ExitCode.BAD_INPUT

    def __init__(self, provider: str, accounts: list[str], *, in_use: str, where: str) -> None:
        whose = f"{provider}, account {' and '.join(accounts)}" if accounts else provider
        token = " with its token in REPLICATE_API_TOKEN" if provider != "sandbox" else ""
        super().__init__(
            f"The ledger at {where} holds the payments of {whose}, and the provider in use is "
            f"{in_use}.",
            hint=f"Set ASSET_PIPELINE_PROVIDER={provider}{token}, or give {in_use} another ledger "
            "by ASSET_PIPELINE_LEDGER_URL.",
        )


def check_provider(engine: Engine, provider: str, judge: Judge) -> None:
    """Refuse a ledger of another provider; bind one that an earlier release has written.

    An empty ledger is left as it is: looking at it is no use of it.

    Args:
        engine: The ledger's, its schema at the head.
        provider: The one in use.
        judge: Decides whose the rows of an earlier release are.

    Raises:
        WrongProviderError: It is another provider's.
    """
    with transaction(engine, reading=True) as connection:
        bound = _bound_to(connection)
        if not bound:
            newest = _newest(connection)
            if newest is None:
                return
            bound = newest[0] or judge(newest[1])
    if bound == provider:
        bind(engine, provider)
        return
    with transaction(engine, reading=True) as connection:
        accounts = [row for row in connection.execute(_ACCOUNTS).scalars() if row]
    where = engine.url.render_as_string(hide_password=True)
    raise WrongProviderError(bound, accounts, in_use=provider, where=where)


def bind(engine: Engine, provider: str) -> None:
    """Make an unbound ledger a provider's own, for good.

    Raises:
        WrongProviderError: Another provider was faster.
    """
    with transaction(engine, reading=True) as connection:
        if _bound_to(connection) == provider:
            return
    with transaction(engine) as connection:
        connection.execute(
            update(ledger_identity)
            .where(ledger_identity.c.provider == "")
            .values(provider=provider)
        )
        bound = _bound_to(connection)
    if bound != provider:
        where = engine.url.render_as_string(hide_password=True)
        raise WrongProviderError(bound, [], in_use=provider, where=where)


def accounts_of_clips(connection: Connection) -> dict[str, int]:
    """Return how many current clips belong to each account; those of earlier releases to ''."""
    rows = connection.execute(
        select(clips.c.account, func.count())
        .where(clips.c.superseded_at.is_(None), clips.c.removed_at.is_(None))
        .group_by(clips.c.account)
        .order_by(clips.c.account)
    )
    return {str(account): int(count) for account, count in rows}


def _bound_to(connection: Connection) -> str:
    return connection.execute(select(ledger_identity.c.provider)).scalar() or ""


def _newest(connection: Connection) -> tuple[str, str] | None:
    """Return the provider and the prediction that the newest rows tell; None without any row."""
    if connection.execute(select(intents.c.intent_id).limit(1)).first() is None:
        return None
    newest = select(intents.c.provider).where(intents.c.provider != "")
    told = connection.execute(newest.order_by(intents.c.created_at.desc()).limit(1)).scalar()
    known = select(intents.c.prediction_id).where(intents.c.prediction_id.is_not(None))
    found = connection.execute(known.order_by(intents.c.created_at.desc()).limit(1)).scalar()
    return told or "", found or ""


_ACCOUNTS = select(intents.c.account).where(intents.c.account != "").distinct().order_by("account")
