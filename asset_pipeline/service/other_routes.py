"""Routes for what one looks up: budgets, models, the session of a browser."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.ledger.api_keys import SESSION_LIFE, csrf_token
from asset_pipeline.ledger.budget_scopes import of_key
from asset_pipeline.ledger.service_schema import Scope
from asset_pipeline.service.bodies import (
    BudgetAnswer,
    BudgetsAnswer,
    LoginBody,
    ModelAnswer,
    ModelsAnswer,
    SessionAnswer,
)
from asset_pipeline.service.context import context_of
from asset_pipeline.service.identity import (
    COOKIE,
    Caller,
    check_origin,
    identify,
    login_required,
    require,
)
from asset_pipeline.service.ordering import usd
from asset_pipeline.service.problems import ProblemError
from asset_pipeline.service.rates import admit
from asset_pipeline.service.responses import PROBLEMS

router = APIRouter(responses=PROBLEMS)

Reader = Annotated[Caller, Depends(require(Scope.READ))]

# Of one address: a guess at a key is hopeless anyway, and a thousand a second are a nuisance.
_LOGINS_A_MINUTE = 30


@router.get("/budgets", tags=["budgets"])
async def list_budgets(request: Request, caller: Reader) -> BudgetsAnswer:
    """Tell what each budget has left; of keys' budgets one's own, or all for an admin."""
    own = of_key(caller.key_id or "")
    return BudgetsAnswer(
        items=[
            BudgetAnswer(
                budget=each.budget,
                period=each.period,
                cap_usd=usd(each.cap) if each.is_capped else None,
                charged_usd=usd(each.charged),
                reserved_usd=usd(each.reserved),
                headroom_usd=usd(each.headroom) if each.is_capped else None,
            )
            for each in context_of(request).ledger.balances()
            if each.period != "key" or caller.sees_all or each.budget == own
        ]
    )


@router.get("/models", tags=["models"])
async def list_models(request: Request, caller: Reader, kind: Kind | None = None) -> ModelsAnswer:
    """List the models of the catalog, with what a clip of each costs."""
    del caller
    context = context_of(request)
    today = context.clock.now().date()
    found: list[ModelAnswer] = []
    for model in context.catalog().models.values():
        if kind is not None and model.kind is not kind:
            continue
        rule = model.price_on(today)
        found.append(
            ModelAnswer(
                model=model.name,
                kind=model.kind.value,
                usd=None if rule is None else str(rule.usd),
                unit=None if rule is None else rule.unit.value,
                takes_reference=model.reference_input is not None,
                takes_seed=model.seed_input is not None,
                inputs={
                    name: spec.model_dump(mode="json", exclude_none=True)
                    for name, spec in model.inputs.items()
                },
            )
        )
    return ModelsAnswer(items=found)


@router.get("/session", tags=["session"])
async def show_session(request: Request, caller: Reader) -> SessionAnswer:
    """Tell who one is, with the token that a session's changes have to show."""
    session = request.cookies.get(COOKIE)
    return SessionAnswer(
        actor=caller.actor,
        scopes=sorted(caller.scopes),
        login_required=login_required(context_of(request)),
        csrf_token=csrf_token(session) if session and caller.by_browser else None,
    )


@router.post("/session", tags=["session"], status_code=201)
async def log_in(request: Request, response: Response, body: LoginBody) -> SessionAnswer:
    """Open a browser's session with a key; it is always a new one."""
    context = context_of(request)
    check_origin(request, context)
    peer = "?" if request.client is None else request.client.host
    await admit(request, f"login:{peer}"[:100], _LOGINS_A_MINUTE)
    key = context.keys.check(body.key)
    if key is None:
        raise ProblemError(401, "unauthenticated", "This key is not known, or holds no more.")
    token, expires = await asyncio.to_thread(context.keys.open_session, key)
    response.set_cookie(
        COOKIE,
        token,
        max_age=int(SESSION_LIFE.total_seconds()),
        path="/",
        secure=True,
        httponly=True,
        samesite="strict",
    )
    return SessionAnswer(
        actor=f"key:{key.key_id} ({key.name})",
        scopes=sorted(key.scopes),
        login_required=True,
        csrf_token=csrf_token(token),
        expires_at=expires,
    )


@router.delete("/session", tags=["session"], status_code=204)
async def log_out(request: Request, response: Response) -> None:
    """End the browser's session."""
    context = context_of(request)
    check_origin(request, context)
    session = request.cookies.get(COOKIE)
    if session:
        request.state.caller = identify(request, context)
        await asyncio.to_thread(context.keys.end_session, session)
    response.delete_cookie(COOKIE, path="/", secure=True, httponly=True, samesite="strict")
