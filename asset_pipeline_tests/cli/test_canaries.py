"""Secrets planted wherever one can be, and whatever a full run wrote or said searched for them."""

from __future__ import annotations

import io
import json
import stat
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from PIL import Image, ImageDraw
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url

from asset_pipeline.warehouse.query import query
from asset_pipeline_tests.cli.conftest import Done, Workspace
from asset_pipeline_tests.conftest import NewLedger
from asset_pipeline_tests.support.retry_rules import no_retries, write_rules

pytestmark = pytest.mark.servers

Cli = Callable[..., Done]

TOKEN = "r9-canary-of-the-token-3f7a9c"  # the test's own, in no known form
CANARIES = {
    "token": TOKEN,
    "ledger": "canaryLEDGERpw81",
    "proxy": "canaryPROXYpw82",
    "alert": "canaryALERT83",
    "webhook": "canaryWEBHOOK84",
    "cloud": "canaryCLOUDkey85",
    "signature": "canarySIGNATURE86",
    "store": "canarySTOREkey87",
    "markup": "canaryMARKUP88",
}
_PROMPTS = """
collection: canaries
defaults: {model: black-forest-labs/flux-schnell, inputs: {megapixels: "0.25"}}
prompts:
  - {id: good, text: a good picture}
  - {id: broken, text: a failed picture}
  - {id: refused, text: a refused picture}
  - {id: denied, text: a denied picture}
"""


class _Leaky(BaseHTTPRequestHandler):
    """Speaks Replicate's API, and quotes the token in all that it says."""

    made: dict[str, dict[str, Any]]
    base: str

    def do_GET(self) -> None:
        if self.path.startswith("/files/"):
            self._send(200, _picture(), "image/png")
        elif self.path == "/v1/account":
            self._send(200, {"username": f"team {TOKEN}"})
        elif self.path.startswith("/v1/predictions?"):
            self._send(200, {"results": list(self.made.values()), "next": None})
        elif (found := self.made.get(self.path.rpartition("/")[2])) is not None:
            self._send(200, found)
        else:
            self._send(404, {"detail": f"nothing here for {self._quoted()}"})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        prompt = body["input"]["prompt"]
        said = f"{self._quoted()} may not; {TOKEN}; https://u:{TOKEN}@x.example/?token={TOKEN}"
        if "refused" in prompt:
            fields = [{"field": "input.prompt", "description": said, "type": "x"}]
            self._send(422, {"title": said, "detail": said, "invalid_fields": fields})
        elif "denied" in prompt:
            self._send(401, {"title": f"Unauthenticated {TOKEN}", "detail": said})
        else:
            self._send(201, self._prediction(body, said, is_good="good" in prompt))

    def _prediction(self, body: dict[str, Any], said: str, *, is_good: bool) -> dict[str, Any]:
        number = f"p{len(self.made)}"
        now = datetime.now(UTC).isoformat()
        link = f"{self.base}/files/{number}.png?X-Amz-Signature={CANARIES['signature']}"
        self.made[number] = {
            "id": number,
            "model": "black-forest-labs/flux-schnell",
            "version": "hidden",
            "input": body["input"],
            "webhook": body.get("webhook"),
            "status": "succeeded" if is_good else "failed",
            "output": [link] if is_good else None,
            "error": None if is_good else f"E1: {said} ![x](https://evil/{CANARIES['markup']})",
            "logs": said,
            "created_at": now,
            "started_at": now,
            "completed_at": now,
            "metrics": {"predict_time": 0.5, "image_count": 1},
            "urls": {"web": f"{self.base}/p/{number}?token={TOKEN}", "get": "", "cancel": ""},
        }
        return self.made[number]

    def _quoted(self) -> str:
        return self.headers.get("authorization", "")

    def _send(self, status: int, body: object, kind: str = "application/json") -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep the test's output quiet."""


def _picture() -> bytes:
    picture = Image.new("RGB", (512, 512), "navy")
    draw = ImageDraw.Draw(picture)
    for at in range(0, 512, 16):
        draw.ellipse((at, at // 2, at + 90, at + 70), fill=(at // 2, 90, 255 - at // 2))
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def leaky() -> Iterator[str]:
    """A provider that quotes the token wherever it can."""
    handler = type("Leaky", (_Leaky,), {"made": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    handler.base = f"http://127.0.0.1:{server.server_port}"  # pyright: ignore[reportAttributeAccessIssue]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield handler.base  # pyright: ignore[reportAttributeAccessIssue]
    server.shutdown()
    server.server_close()


def _found(content: bytes, but: tuple[str, ...] = ()) -> list[str]:
    return [
        name for name, value in CANARIES.items() if name not in but and value.encode() in content
    ]


def _dump(url: str) -> bytes:
    """Return all rows of all tables of a Postgres database as text."""
    engine = create_engine(make_url(url).set(drivername="postgresql+psycopg"))
    with engine.connect() as connection:
        tables = connection.execute(
            text("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        ).scalars()
        rows = [
            str(row)
            for table in list(tables)
            for row in connection.execute(text(f'SELECT t::text FROM "{table}" t')).scalars()
        ]
    engine.dispose()
    assert any("canaries" in row for row in rows)
    return "\n".join(rows).encode()


def _planted(leaky: str, ledger_url: str | None) -> dict[str, str]:
    planted = {
        "ASSET_PIPELINE_PROVIDER": "replicate",
        "REPLICATE_API_TOKEN": TOKEN,
        "REPLICATE_BASE_URL": leaky,
        "HTTPS_PROXY": f"http://someone:{CANARIES['proxy']}@127.0.0.1:9",
        "ASSET_PIPELINE_ALERT_WEBHOOK_URL": f"{leaky}/alert/{CANARIES['alert']}",
        "ASSET_PIPELINE_WEBHOOK_URL": f"https://hooks.example/x?token={CANARIES['webhook']}",
        "AWS_SECRET_ACCESS_KEY": CANARIES["cloud"],
    }
    if ledger_url is not None:
        planted["ASSET_PIPELINE_LEDGER_URL"] = ledger_url
    return planted


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def test_nothing_that_is_written_or_said_holds_a_secret(
    kind: str, cli: Cli, leaky: str, workspace: Workspace, request: pytest.FixtureRequest
) -> None:
    """Ledger, warehouse, events, gallery, exports, logs and all output hold not one of them."""
    url = None
    if kind == "postgres":
        new: NewLedger = request.getfixturevalue("new_postgres")
        chosen = make_url(new().get_secret_value())
        chosen = chosen.update_query_dict({"password": CANARIES["ledger"]})
        url = chosen.render_as_string(hide_password=False)
    for old in ("images/houses.yaml", "audio/greetings.yaml"):
        (workspace.root / "prompts" / old).unlink()
    workspace.write("images/canaries.yaml", _PROMPTS)
    (workspace.root / "config").mkdir()
    write_rules(workspace.root / "config", no_retries())
    env = _planted(leaky, url)
    exported = str(workspace.root / "exported")
    broken = {"ASSET_PIPELINE_STORE_URL": f"s3://AKIDX:{CANARIES['store']}@bucket/x"}
    said: list[Done] = [cli("generate", "--all", env=env), cli("generate", "--failed", env=env)]
    assert said[0].code == 1, said[0].err
    assert "1 " in said[0].out
    said += [
        cli(*arguments, env=env)
        for arguments in (
            ("generate", "--failed", "--json"),
            ("status",),
            ("status", "--json"),
            ("costs",),
            ("sql", "FROM predictions"),
            ("sql", "FROM predictions", "--json"),
            ("sql", "FROM failures", "--csv"),
            ("sql", "SELECT no_such_column", "--json"),
            ("reconcile",),
            ("audit", "--orphans"),
            ("doctor",),
            ("doctor", "--json"),
            ("fsck",),
            ("export", "--to", exported),
            ("export", "--to", f"https://u:{CANARIES['store']}@x.example/?sig=1"),
            ("store", "harden"),
        )
    ]
    said += [
        cli(*arguments, env=env | broken)
        for arguments in (("doctor",), ("generate", "--all"), ("plan",), ("store", "harden"))
    ]
    for done in said:
        assert not _found(f"{done.out}{done.err}".encode(), but=("markup",)), done
        assert "Traceback" not in done.err
    rows = json.loads(said[5 + 2].out)
    assert {row["state"] for row in rows} >= {"failed"}
    assert any("[redacted]" in (row["error"] or "") for row in rows), rows
    files = [path for path in workspace.root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert any(path.name == "index.db" for path in files)
    assert any(path.suffix == ".duckdb" for path in files)
    assert any(path.is_relative_to(exported) for path in files)
    leaking = {
        str(path): found for path in files if (found := _found(path.read_bytes(), ("markup",)))
    }
    assert leaking == {}
    data = workspace.root / "data"
    kept = [*data.glob("*.d*"), *data.glob("logs/*"), *data.glob("previews/*/*")]
    modes = {stat.S_IMODE(path.stat().st_mode) for path in kept}
    folders = [data, data / "logs", data / "scratch", data / "previews"]
    assert (modes, {stat.S_IMODE(path.stat().st_mode) for path in folders}) == ({0o600}, {0o700})
    warehouse = data / "warehouse.duckdb"
    for (table,) in query(warehouse, "SELECT table_name FROM duckdb_tables()")[1]:
        told = str(query(warehouse, f"FROM {table}")[1]).encode()  # its file may be compressed
        assert _found(told, but=("markup",)) == [], table
    if url is not None:
        assert _found(_dump(url), but=("markup",)) == []


def test_an_error_nobody_expected_tells_none(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, workspace: Workspace
) -> None:
    """A traceback of a command is shown without secrets, and ends in exit code 1."""
    del workspace

    def explode() -> None:
        raise RuntimeError(f"bad: {TOKEN} at https://u:{CANARIES['store']}@h/?sig=1 \x1b[31m")

    monkeypatch.setattr("asset_pipeline.cli.sql.load_settings", explode)
    done = cli("sql", "SELECT 1", env={"REPLICATE_API_TOKEN": TOKEN})
    assert done.code == 1
    assert "RuntimeError: bad: [redacted]" in done.err
    assert "\x1b" not in done.err
    assert not _found(done.err.encode())
