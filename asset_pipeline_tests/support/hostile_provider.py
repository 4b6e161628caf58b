"""A provider in small on loopback: honest, but for one odd reply to each prompt that has one.

It accepts creates, lists them, ends them at once and serves a picture of each; what it accepted and
was asked is its own account, to be compared with the ledger's.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from asset_pipeline_tests.support.media_samples import picture, picture_bytes
from asset_pipeline_tests.support.odd_replies import OddReply
from asset_pipeline_tests.support.scripted_server import Answer, Received, reply

# Creates that these answer may have been accepted all the same.
_UNCLEAR = frozenset({408, 409, 425, 499})


class Stage(StrEnum):
    """Which of the provider's answers is odd."""

    CREATE = "create"
    GET = "get"
    LIST = "list"
    ROW = "row"  # what it says of a prediction that ended, whenever it is asked
    FILE = "file"
    EACH_FILE = "each_file"  # again and again


@dataclass(frozen=True)
class Oddity:
    """What is odd about one prompt.

    Attributes:
        accepts: Whether a create is accepted that is answered unclearly.
    """

    stage: Stage
    reply: OddReply
    accepts: bool = True


@dataclass
class _Made:
    prediction_id: str
    text: str
    document: dict[str, Any]


@dataclass
class HostileProvider:
    """The server's mind; see :attr:`Scripted.choose`.

    Attributes:
        odd: By the prompt's text.
        name: What its ids begin with: none comes twice in a ledger.
        url: Where it is served.
        posts: Creates on the wire, by the prompt's text.
        given: Odd replies that were given, by their stage.
    """

    odd: Mapping[str, Oddity]
    name: str = "hostile"
    url: str = ""
    posts: Counter[str] = field(default_factory=Counter[str])
    given: Counter[str] = field(default_factory=Counter[str])
    made: dict[str, _Made] = field(default_factory=dict[str, _Made])
    is_mended: bool = False
    _spent: set[str] = field(default_factory=set[str])

    def accepted(self, text: str) -> list[str]:
        """Return the ids of what was accepted of a prompt."""
        return [each.prediction_id for each in self.made.values() if each.text == text]

    def choose(self, request: Received) -> Answer:
        """Answer a request."""
        path = urlsplit(request.path).path
        if request.method == "POST" and path.endswith("/predictions"):
            return self._create(request)
        if path == "/v1/predictions":
            return self._list()
        if path == "/v1/account":
            return reply(200, {"type": "user", "username": "me"})
        last = path.rpartition("/")[2]
        if path.startswith("/v1/predictions/"):
            return self._get(last)
        return self._file(last.removesuffix(".png"))

    def _create(self, request: Received) -> Answer:
        sent: Any = request.document
        text = sent["input"]["prompt"]
        self.posts[text] += 1
        oddity = self._take(text, Stage.CREATE)
        if oddity is not None:
            status = oddity.reply.status
            if 400 <= status < 500 and status not in _UNCLEAR:
                return oddity.reply.answer({"title": "refused", "detail": "no"})
            if not oddity.accepts and oddity.reply.changes is None:
                return oddity.reply.answer({})
        made = self._make(request.path, text, sent["input"])
        begun = made.document | {"status": "starting", "output": None, "completed_at": None}
        return reply(201, begun) if oddity is None else oddity.reply.answer(begun)

    def _make(self, path: str, text: str, inputs: object) -> _Made:
        number = len(self.made)
        prediction_id = f"{self.name}.{number:04}"
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        document: dict[str, Any] = {
            "id": prediction_id,
            "model": "/".join(path.split("/")[3:5]),
            "version": "hidden",
            "input": inputs,
            "output": [f"{self.url}/files/{prediction_id}.png"],
            "error": None,
            "status": "succeeded",
            "data_removed": False,
            "created_at": now,
            "started_at": now,
            "completed_at": now,
            "urls": {"web": f"https://replicate.com/p/{prediction_id}"},
            "metrics": {"predict_time": 0.1, "image_output_count": 1},
        }
        oddity = self.odd.get(text)
        if oddity is not None and oddity.stage is Stage.ROW:
            changes = dict(oddity.reply.changes or {})
            # Of these an odd one for ever is a prediction that nobody can know or that never ends.
            document |= {k: v for k, v in changes.items() if k not in {"id", "status"}}
        made = self.made[prediction_id] = _Made(prediction_id, text, document)
        return made

    def _list(self) -> Answer:
        newest = list(self.made.values())[::-1]
        rows = [each.document for each in newest if not self._is_due(each, Stage.GET)]
        page = {"results": rows, "next": None}
        for each in newest:
            oddity = self._take(each.text, Stage.LIST)
            if oddity is not None:
                if oddity.reply.changes is None:
                    return oddity.reply.answer(page)
                odd_row = each.document | dict(oddity.reply.changes)
                page["results"] = [odd_row if row is each.document else row for row in rows]
                return _changed(oddity.reply, page)
        return reply(200, page)

    def _get(self, prediction_id: str) -> Answer:
        made = self.made.get(prediction_id)
        if made is None:
            return reply(404, {"detail": "Not found."})
        oddity = self._take(made.text, Stage.GET)
        return reply(200, made.document) if oddity is None else oddity.reply.answer(made.document)

    def _file(self, prediction_id: str) -> Answer:
        made = self.made.get(prediction_id)
        if made is None:
            return reply(404, {})
        number = int(prediction_id.rpartition(".")[2])
        content = picture_bytes("png", picture(64 + number % 50, 64 + number // 50))
        oddity = self._take(made.text, Stage.FILE)
        each = self.odd.get(made.text)
        if oddity is None and each is not None and each.stage is Stage.EACH_FILE:
            oddity = None if self.is_mended else each
            self.given[Stage.EACH_FILE] += oddity is not None
        if oddity is None:
            return reply(200, content, content_type="image/png")
        return oddity.reply.answer(content)

    def _is_due(self, made: _Made, stage: Stage) -> bool:
        oddity = self.odd.get(made.text)
        due = oddity is not None and oddity.stage is stage and made.text not in self._spent
        return due and not self.is_mended

    def _take(self, text: str, stage: Stage) -> Oddity | None:
        """Return what is odd about a prompt at a stage, once."""
        oddity = self.odd.get(text)
        if oddity is None or oddity.stage is not stage or text in self._spent or self.is_mended:
            return None
        self._spent.add(text)
        self.given[stage] += 1
        return oddity


def _changed(odd: OddReply, page: dict[str, Any]) -> Answer:
    """Return the answer of a page that holds an odd row."""
    return replace(odd, raw=json.dumps(page).encode(), changes=None).answer(page)
