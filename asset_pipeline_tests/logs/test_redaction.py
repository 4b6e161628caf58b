"""Every way that a secret found into a log, tried against the filter."""

from __future__ import annotations

import base64
import json
import logging
import os
import traceback
from collections.abc import Callable
from urllib.parse import quote

import pytest

from asset_pipeline.disclosure.redactor import MASK, Redactor
from asset_pipeline.disclosure.secrets import secrets_in
from asset_pipeline.logs.fields import bound
from asset_pipeline_tests.logs.conftest import OTHER, TOKEN, Logged

# What a secret may be cut into: anything from here on is too short to be worth anything.
_PIECE = 12


def _leaks(text: str, secret: str) -> list[str]:
    """Return the pieces of a secret that are still in a text."""
    pieces = (secret[at : at + _PIECE] for at in range(len(secret) - _PIECE + 1))
    return [piece for piece in pieces if piece in text]


class _Odd:
    """An object whose text holds a token."""

    def __repr__(self) -> str:
        return f"<client token={TOKEN}>"


def _chained() -> BaseException:
    error = RuntimeError(f"could not send {OTHER}")
    error.__cause__ = ValueError(f"bad header Authorization: Bearer {TOKEN}")
    return error


def _with_locals() -> str:
    def send(token: str) -> None:
        raise RuntimeError(f"{len(token)} characters")

    try:
        send(TOKEN)
    except RuntimeError as error:
        found = traceback.TracebackException.from_exception(error, capture_locals=True)
        return "".join(found.format())
    return ""


Log = logging.Logger
ATTEMPTS: dict[str, Callable[[Log], None]] = {
    "in the message": lambda log: log.info(f"token is {TOKEN}"),  # noqa: G004 -- as people do
    "as an argument": lambda log: log.info("token is %s", TOKEN),
    "as a repr": lambda log: log.info("client is %r", _Odd()),
    "split over arguments": lambda log: log.info("%s%s", TOKEN[:20], TOKEN[20:]),
    "split by words": lambda log: log.info("first %s then %s", TOKEN[:19], TOKEN[19:]),
    "cut off": lambda log: log.info("%.30s...", TOKEN),
    "in a URL": lambda log: log.info("GET https://x.example/v1?token=%s&a=1", TOKEN),
    "as a password in a URL": lambda log: log.info("postgresql://me:%s@db/ledger", OTHER),
    "percent-encoded": lambda log: log.info("%s", quote(f"Bearer {TOKEN}", safe="")),
    "in a header dump": lambda log: log.info("%s", {"authorization": f"Bearer {TOKEN}"}),
    "in raw headers": lambda log: log.info("%s", [(b"Authorization", f"Token {TOKEN}".encode())]),
    "in a list of pairs": lambda log: log.info("%s", [("x-api-key", OTHER)]),
    "in base64": lambda log: log.info("%s", base64.b64encode(f"Bearer {TOKEN}".encode()).decode()),
    "in shifted base64": lambda log: log.info("%s", base64.b64encode(f"x{TOKEN}y".encode())),
    "in safe base64": lambda log: log.info("%s", base64.urlsafe_b64encode(f"ab{OTHER}".encode())),
    "in hex": lambda log: log.info("%s", OTHER.encode().hex()),
    "in JSON": lambda log: log.info("%s", json.dumps({"env": {"A": {"REPLICATE": TOKEN}}})),
    "in JSON in JSON": lambda log: log.info("%s", json.dumps(json.dumps({"secret": OTHER}))),
    "in nested arguments": lambda log: log.info("%s", {"a": [{"b": (1, {"c": TOKEN})}]}),
    "in bytes": lambda log: log.info("%s", [TOKEN.encode(), OTHER.encode()]),
    "in extra fields": lambda log: log.info("sent", extra={"reply": {"headers": [TOKEN]}}),
    "as an extra key": lambda log: log.info("sent", extra={"seen": {TOKEN: 1}}),
    "in an extra object": lambda log: log.info("sent", extra={"client": _Odd()}),
    "in an exception": lambda log: log.error("x", exc_info=RuntimeError(TOKEN)),
    "in a chained exception": lambda log: log.error("x", exc_info=_chained()),
    "in a traceback with locals": lambda log: log.error("%s", _with_locals()),
    "in broken arguments": lambda log: log.info("%d %s", TOKEN, OTHER),
    "as its own format": lambda log: log.info(TOKEN),
    "as the logger's name": lambda log: log.getChild(TOKEN).info("x"),
    "as a field's name": lambda log: log.info("x", extra={TOKEN: 1}),
    "in a stack": lambda log: log.info("here %s", TOKEN, stack_info=True),
}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_no_known_secret_is_written(
    logged: Logged, capsys: pytest.CaptureFixture[str], attempt: str
) -> None:
    """However a secret gets into a record, neither file nor console shows it or a piece of it."""
    ATTEMPTS[attempt](logged.logger)
    logged.logger.warning("after it")
    written = logged.text() + capsys.readouterr().err
    assert "after it" in written
    assert len(logged.lines()) == 2
    for secret in (TOKEN, OTHER):
        assert _leaks(written.replace("\\", ""), secret) == []
        encoded = base64.b64encode(secret.encode()).decode()
        assert encoded[4:20] not in written
        assert secret.encode().hex()[4:40] not in written


def test_bound_fields_are_no_way_around(logged: Logged) -> None:
    """An id that is a secret, whoever said it, is masked too."""
    with bound(prediction_id=TOKEN, partition={"a": [OTHER]}):
        logged.logger.warning("x")
    assert _leaks(logged.text(), TOKEN) == _leaks(logged.text(), OTHER) == []
    assert logged.lines()[0]["prediction_id"] == MASK


def test_an_environment_print_is_masked_by_name(
    logged: Logged, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Printing the environment shows no secret, not even one set after the logs began."""
    late = "Hh5Yt2Lm8Qw1"
    monkeypatch.setenv("SOME_VENDOR_API_KEY", late)
    monkeypatch.setenv("REPLICATE_API_TOKEN", TOKEN)
    logged.logger.info("environment: %s", dict(os.environ))
    logged.logger.info("environment", extra={"environment": dict(os.environ)})
    logged.logger.info("\n".join(f"{name}={value}" for name, value in os.environ.items()))
    assert late not in logged.text()
    assert _leaks(logged.text(), TOKEN) == []


@pytest.mark.parametrize(
    "text",
    [
        "Authorization: Bearer abcdefgh12345678",
        "authorization: Token abcdefgh12345678",
        "{'Authorization': 'Bearer abcdefgh12345678'}",
        "r8_abcdefgh12345678",
        "whsec_abcdefgh12345678",
        "https://hooks.slack.com/services/abcdefgh12345678",
        "https://user:abcdefgh12345678@host/path",
        "https://host/file?X-Amz-Signature=abcdefgh12345678",
        "password='abcdefgh12345678'",
        'aws_secret_access_key = "abcdefgh12345678"',
        "Cookie: session=abcdefgh12345678; other=1",
        "Basic abcdefgh12345678==",
        "QmVhcmVyIabcdefgh12345678",
    ],
)
def test_what_looks_secret_is_masked_unknown(text: str) -> None:
    """A secret that nobody announced is known by its shape or its name."""
    redacted = Redactor().text(f"said {text} there")
    assert "abcdefgh12345678" not in redacted
    assert MASK in redacted
    assert redacted.startswith("said ")


@pytest.mark.parametrize(
    "text",
    [
        "image/will-cover landed in 1.3 s, $0.003000 paid",
        "create: HTTP 429: Request was throttled. Your rate limit resets in ~5s.",
        "the reply was lost: ReadTimeout; reconcile finds out what became of it",
        "REPLICATE_API_TOKEN is not set.",
        "GET http://127.0.0.1:8080/v1/predictions?cursor=abc 200",
        "a basic understanding of the bearer",
        "/data/clips/image/ab/abcdef0123456789abcdef0123456789.webp",
    ],
)
def test_plain_talk_stays(text: str) -> None:
    """Lines without secrets are written as they are."""
    assert Redactor([TOKEN, OTHER]).text(text) == text


def test_which_variables_are_secret() -> None:
    """Secrets are taken from the environment by their names; addresses and paths are not."""
    environment = {
        "REPLICATE_API_TOKEN": "a" * 10,
        "AWS_SECRET_ACCESS_KEY": "b" * 10,
        "PGPASSWORD": "c" * 10,
        "ASSET_PIPELINE_ALERT_WEBHOOK_URL": "https://hooks.example/services/d",
        "HOME": "/home/me",
        "ASSET_PIPELINE_DATA_DIR": "/data",
    }
    assert len(secrets_in(environment)) == 4


def test_of_a_url_only_what_is_secret_is_hidden() -> None:
    """A database's or a webhook's password and path vanish; its host, and a file's path, stay."""
    redactor = Redactor(
        [
            "postgresql://me:swordfish99@db.example/ledger",
            "https://hooks.example/services/T0/B1/x9y8z7",
            "sqlite:////srv/data/ledger.db",
        ]
    )
    assert redactor.text("no route to db.example") == "no route to db.example"
    assert redactor.text("it is swordfish99") == f"it is {MASK}"
    assert "x9y8z7" not in redactor.text("POST /services/T0/B1/x9y8z7")
    assert redactor.text("/srv/data/ledger.db is locked") == "/srv/data/ledger.db is locked"


def test_other_handlers_see_nothing_either(
    logged: Logged, caplog: pytest.LogCaptureFixture
) -> None:
    """A record that was redacted here reaches the root logger's handlers redacted."""
    with caplog.at_level(logging.INFO):
        logged.logger.error("sent %s", TOKEN, exc_info=RuntimeError(OTHER))
    assert _leaks(caplog.text, TOKEN) == []
    assert _leaks(caplog.text, OTHER) == []


@pytest.mark.usefixtures("logged")
def test_the_http_library_tells_no_secret_url(caplog: pytest.LogCaptureFixture) -> None:
    """The client `httpx` reports each request with its whole URL to whoever listens."""
    with caplog.at_level(logging.INFO):
        logging.getLogger("httpx").info("HTTP Request: POST https://x/?token=%s", TOKEN)
    assert "HTTP Request" in caplog.text
    assert _leaks(caplog.text, TOKEN) == []
