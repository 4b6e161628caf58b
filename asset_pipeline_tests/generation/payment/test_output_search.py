"""Fetching what is paid for: passing states are waited out, shapes don't matter, proofs end it.

A real provider, decoder and HTTP server; the clock jumps, so that an hour takes no time.
"""

from __future__ import annotations

import asyncio
import base64
import json
import struct
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from pydantic import JsonValue

from asset_pipeline.catalog.kind import Kind
from asset_pipeline.catalog.spec import OutputShape
from asset_pipeline.catalog.terms import Terms, terms_of
from asset_pipeline.files import sha256_of
from asset_pipeline.generation.failures import ErrorClass, GenerationFailure, LateFileFailure
from asset_pipeline.generation.payment.delivery import Deliverer, VerifiedFile
from asset_pipeline.generation.timeouts import Timeouts
from asset_pipeline.ledger.records import Intent
from asset_pipeline.media.decoder_pool import DecoderPool
from asset_pipeline.media.preview_cache import PreviewCache
from asset_pipeline.providers.prediction import Prediction, parse_prediction
from asset_pipeline.stores.local import LocalStore
from asset_pipeline_tests.support import media_samples
from asset_pipeline_tests.support.clocks import NOON, FakeClock
from asset_pipeline_tests.support.generation_samples import CATALOG, SCHNELL
from asset_pipeline_tests.support.ledgers import new_intent
from asset_pipeline_tests.support.provider_samples import prediction as document
from asset_pipeline_tests.support.provider_samples import provider
from asset_pipeline_tests.support.scripted_server import Answer, Scripted, drop, reply, serving

TERMS: Terms = terms_of(CATALOG.get(SCHNELL), {}, on=date(2026, 11, 28))
PNG = media_samples.picture_bytes("png")
OTHER_PNG = media_samples.picture_bytes("png", media_samples.picture(50, 40))
BLANK = media_samples.picture_bytes("png", Image.new("RGB", (64, 64), "red"))
INTENT = "ab" * 16
PAGE = b"<!doctype html><html><title>Sign in</title></html>"
CUT = PNG[: len(PNG) * 2 // 3]

GONE = reply(404, {"detail": "gone"})
RIGHT = reply(200, PNG, content_type="image/png")


@dataclass
class Bench:
    """A deliverer at a scripted server.

    Attributes:
        at: The server's address in what is scripted: ``$AT``.
    """

    folder: Path
    clock: FakeClock = field(default_factory=FakeClock)
    timing: Timeouts = field(default_factory=Timeouts)
    kind: Kind = Kind.IMAGE
    terms: Terms = TERMS
    charged_at: float = 0.0
    server: Scripted | None = None

    def intent(self) -> Intent:
        """A charged intent."""
        made = new_intent(kind=self.kind).reserved(1, run_id="r", worker_id="w", now=NOON)
        charged = NOON + timedelta(seconds=self.charged_at)
        return replace(made, intent_id=INTENT, prediction_id="p1", completed_at=charged)

    def fetch(
        self,
        output: Any,  # noqa: ANN401 -- JSON
        files: dict[str, Iterable[Answer]],
        *,
        later: Iterable[dict[str, Any] | Answer] = (),
        known: bool = True,
        **fields: Any,  # noqa: ANN401 -- JSON
    ) -> VerifiedFile:
        """Fetch an output whose files are answered so; ``$AT`` in it is the server.

        Args:
            output: As the prediction has it.
            files: Scripts by path.
            later: What the prediction is when it is asked for again, or the answers to that.
            known: Whether the caller has the prediction already.
            **fields: Of the prediction.
        """

        async def run(deliverer: Deliverer, server: Scripted) -> VerifiedFile:
            def answer(changes: dict[str, Any] | Answer) -> Answer:
                if not isinstance(changes, dict):
                    return changes
                text = json.dumps(document(**(now | changes)))
                return reply(200, text.replace("$AT", server.url).encode())

            now = {"status": "succeeded", "output": output} | fields
            server.routes["/v1/predictions/p1"] = [answer(each) for each in (later or [{}])]
            text = json.dumps(document(**now)).replace("$AT", server.url)
            prediction: Prediction | None = parse_prediction(json.loads(text)) if known else None
            return await deliverer.fetch(self.intent(), self.terms, prediction)

        return self.run(run, files)

    def run(
        self,
        work: Callable[[Deliverer, Scripted], Awaitable[Any]],
        files: dict[str, Iterable[Answer]],
    ) -> Any:  # noqa: ANN401 -- what the work returns
        """Run work with a deliverer at a server with these files."""

        async def session() -> Any:  # noqa: ANN401
            async with serving(GONE) as server:
                self.server = server
                server.routes |= {path: list(answers) for path, answers in files.items()}
                replicate = provider(server.url)
                decoders = DecoderPool(1, self.folder / "previews")
                with ThreadPoolExecutor(1) as storing:
                    deliverer = Deliverer(
                        replicate,
                        LocalStore(self.folder / "clips"),
                        PreviewCache(self.folder / "previews"),
                        self.folder / "scratch",
                        decoders=decoders,
                        storing=storing,
                        clock=self.clock,
                        timing=self.timing,
                    )
                    try:
                        return await work(deliverer, server)
                    finally:
                        await decoders.aclose()
                        await replicate.aclose()

        return asyncio.run(session())

    def fails(self, *args: Any, **fields: Any) -> GenerationFailure:  # noqa: ANN401 -- of fetch
        """Fetch in vain; nothing is left on the disk."""
        with pytest.raises(GenerationFailure) as caught:
            self.fetch(*args, **fields)
        assert not list((self.folder / "scratch").iterdir())
        return caught.value

    def asked(self, path: str = "/a") -> int:
        """How often a path was asked for."""
        assert self.server is not None
        return self.server.asked(path)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A bench of the test's own."""
    return Bench(tmp_path)


PASSING = {
    "403": reply(403, b"<Error>AccessDenied</Error>"),
    "404": GONE,
    "410": reply(410, b""),
    "429": reply(429, b""),
    "500": reply(500, b""),
    "503": reply(503, PAGE),
    "dropped": drop(),
    "half a body": reply(200, PNG[:100], length=len(PNG)),
    "HTML": reply(200, PAGE, content_type="text/html"),
    "XML": reply(200, b'<?xml version="1.0"?><Error><Code>SlowDown</Code></Error>'),
    "JSON": reply(200, {"error": "try again"}),
    "text": reply(200, b"Not ready", content_type="text/plain"),
    "nothing": reply(200, b"", content_type="image/png"),
    "cut": reply(200, CUT, content_type="image/png"),
    "blank once": reply(200, BLANK, content_type="image/png"),
}


@pytest.mark.parametrize("name", PASSING)
def test_a_passing_state_is_waited_out(bench: Bench, name: str) -> None:
    """Whatever stands in the place of the file for a minute: the file is had in the end."""
    times = 1 if name == "blank once" else 2 if name == "cut" else 6
    found = bench.fetch("$AT/a", {"/a": [*[PASSING[name]] * times, RIGHT]})
    assert (bench.folder / "scratch" / f"{INTENT}.clip") == found.path
    assert found.path is not None
    assert sha256_of(found.path) == found.noted.stored.sha256
    assert bench.asked() == times + 1
    # A GET on a connection that was reset is repeated below us, once.
    tries = len(bench.clock.slept)
    assert bench.clock.slept == [1, 2, 4, 8, 16, 32][:tries]
    assert tries == times or name == "dropped"


@pytest.mark.parametrize("name", ["404", "403", "dropped", "HTML", "JSON", "nothing", "500"])
def test_a_file_that_stays_away_is_left_to_later_runs(bench: Bench, name: str) -> None:
    """After three minutes, with a sentence that says until when and by whom it is fetched again."""
    failure = bench.fails("$AT/a", {"/a": [PASSING[name]]})
    assert isinstance(failure, LateFileFailure)
    assert failure.leaves_open
    assert failure.error_class is ErrorClass.NOT_DELIVERED
    assert failure.message.startswith(
        "paid for; its file can't be had yet; fetched again until 13:00 UTC by the next run or "
        "`asset-pipeline reconcile` ("
    )
    assert sum(bench.clock.slept) == 180
    assert max(bench.clock.slept) == 60


def test_a_later_run_asks_for_seconds(bench: Bench) -> None:
    """It may have hundreds of such clips before it; it has all of the output's last minutes."""
    bench.clock.advance(3000)
    assert isinstance(bench.fails("$AT/a", {"/a": [GONE]}, known=False), LateFileFailure)
    assert sum(bench.clock.slept) == 10
    assert bench.fetch("$AT/a", {"/a": [GONE, RIGHT]}, known=False)


@pytest.mark.parametrize("name", ["404", "403", "dropped", "HTML", "JSON", "nothing", "500"])
def test_after_the_hour_it_is_over(bench: Bench, name: str) -> None:
    """Once, and for good: whatever comes is not the file."""
    bench.clock.advance(3601)
    failure = bench.fails("$AT/a", {"/a": [PASSING[name]]})
    assert (failure.error_class, failure.leaves_open) == (ErrorClass.OUTPUT_EXPIRED, False)
    assert bench.asked() >= 1, "it was asked for once more"
    assert bench.clock.slept == []


def test_after_the_hour_a_file_that_is_there_is_taken(bench: Bench) -> None:
    """The hour is the provider's promise, not a bound of ours."""
    bench.clock.advance(9000)
    assert bench.fetch("$AT/a", {"/a": [RIGHT]})


def test_the_hour_begins_when_the_prediction_ended(bench: Bench) -> None:
    """What was charged late, after a dead process, has ended long before."""
    bench.charged_at = 7200
    bench.clock.advance(7200)
    ended = NOON.isoformat()
    failure = bench.fails("$AT/a", {"/a": [GONE]}, completed_at=ended)
    assert failure.error_class is ErrorClass.OUTPUT_EXPIRED


def test_a_provider_that_is_down_proves_nothing(bench: Bench) -> None:
    """Its hour may be over, but nobody said so: the intent stays open."""
    bench.clock.advance(3601)
    down = reply(503, b"")
    failure = bench.fails("$AT/a", {"/a": [down]}, later=[down], known=False)
    assert failure.leaves_open
    assert "fetched again once more by the next run" in failure.message


@pytest.mark.parametrize(
    ("content", "kind", "words"),
    [
        (BLANK, Kind.IMAGE, "single colour"),
        (media_samples.sound_bytes("wav"), Kind.IMAGE, "a WAV sound where a picture was due"),
        (b"GIF89a" + bytes(500), Kind.IMAGE, "a GIF where a picture was due"),
        (b"%PDF-1.7" + bytes(500), Kind.IMAGE, "a PDF where a picture was due"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", Kind.IMAGE, "an SVG drawing"),
        (media_samples.sound_bytes("wav", media_samples.tone() * 0), Kind.AUDIO, "is silent"),
        (PNG, Kind.AUDIO, "a PNG picture where sound was due"),
    ],
)
def test_what_decodes_and_is_no_clip_is_final_at_the_second_look(
    bench: Bench, content: bytes, kind: Kind, words: str
) -> None:
    """The very same bytes again: the model made them. It takes a second."""
    bench.kind = kind
    failure = bench.fails("$AT/a", {"/a": [reply(200, content)]})
    assert failure.error_class is ErrorClass.BAD_OUTPUT
    assert words in failure.message
    assert bench.asked() == 2
    assert bench.clock.slept == [1]


def test_a_file_that_is_too_large_is_final_at_once(bench: Bench) -> None:
    """No second download of 64 MB."""
    failure = bench.fails("$AT/a", {"/a": [reply(200, bytes(65 * 1024 * 1024))]})
    assert (failure.error_class, failure.cause) == (ErrorClass.BAD_OUTPUT, "size")
    assert bench.asked() == 1


@pytest.mark.parametrize(
    "output",
    [
        "https://host:99999",
        "https://host:99999/a.png",
        "https://",
        "https://me:secret@files.example/a.png",
        "http://[broken/a.png",
        "ftp:",
        ["ftp://files.example/a.png"],
        {"image": {"url": "file:///etc/passwd"}},
        ["a caption", "javascript:alert(1)"],
    ],
)
def test_an_address_that_nobody_can_be_asked_for_is_final_at_once(
    bench: Bench, output: JsonValue
) -> None:
    """No second look at the prediction: it would only say the same."""
    failure = bench.fails(output, {})
    assert (failure.error_class, failure.leaves_open) == (ErrorClass.BAD_OUTPUT, False)
    assert failure.message.startswith("the output has an address")
    assert "secret" not in failure.message
    assert bench.clock.slept == []
    assert bench.asked("/v1/predictions/p1") == 0


def test_damage_that_stays_for_half_a_minute_is_final(bench: Bench) -> None:
    """The same cut bytes each time; bytes that change are still on their way."""
    failure = bench.fails("$AT/a", {"/a": [PASSING["cut"]]})
    assert failure.error_class is ErrorClass.BAD_OUTPUT
    assert 30 <= sum(bench.clock.slept) < 40
    growing = [reply(200, PNG[: 600 + 100 * step]) for step in range(6)]
    assert bench.fetch("$AT/a", {"/a": [*growing, RIGHT]})


SHAPES: dict[str, Any] = {
    "a string": "$AT/a",
    "a list": ["$AT/a"],
    "an object": {"image": "$AT/a"},
    "nested": {"images": [{"url": "$AT/a", "seed": 7}]},
    "data URI": "data:image/png;base64," + base64.b64encode(PNG).decode(),
    "data URI in a list": ["data:image/png;base64," + base64.b64encode(PNG).decode()],
    "beside metadata": {"metadata": "$AT/meta.json", "image": "$AT/a"},
    "beside a dead link": {"preview": "$AT/dead", "image": "$AT/a"},
    "beside a page": ["$AT/page", "$AT/a"],
    "beside a sound": {"sound": "$AT/sound", "image": "$AT/a"},
    "beside a blank": ["$AT/blank", "$AT/a"],
}


@pytest.mark.parametrize("shape", OutputShape)
@pytest.mark.parametrize("name", SHAPES)
def test_the_one_usable_file_is_the_clip_in_any_shape(
    bench: Bench, name: str, shape: OutputShape
) -> None:
    """Whatever the catalog says of the model, and whatever stands beside it."""
    key = "audio_out" if shape is OutputShape.OBJECT else None
    bench.terms = replace(TERMS, output=shape, output_key=key)
    files = {
        "/a": [RIGHT],
        "/meta.json": [reply(200, {"seed": 7})],
        "/page": [PASSING["HTML"]],
        "/sound": [reply(200, media_samples.sound_bytes("wav"))],
        "/blank": [PASSING["blank once"]],
    }
    found = bench.fetch(SHAPES[name], files)
    assert found.noted.stored.bytes == len(PNG)
    assert found.noted.lineage == ()


def test_the_declared_file_is_the_clip_and_the_others_are_on_record(bench: Bench) -> None:
    """More than one usable: each of the others leaves its hash, once, and no clip."""
    bench.terms = replace(TERMS, output=OutputShape.OBJECT, output_key="image")
    files = {"/a": [RIGHT], "/b": [reply(200, OTHER_PNG)], "/c": [RIGHT], "/d": [GONE]}
    found = bench.fetch(
        {"mask": "$AT/b", "image": "$AT/a", "same": "$AT/c", "gone": "$AT/d"}, files
    )
    assert found.noted.stored.bytes == len(PNG)
    (other,) = found.noted.lineage
    assert (other.parent_type, other.relation) == ("prediction", "also_delivered")
    assert other.parent_id == "p1#2"
    path = media_samples.written(bench.folder, OTHER_PNG)
    assert other.parent_sha256 == sha256_of(path)
    assert [path.name for path in (bench.folder / "scratch").iterdir()] == [f"{INTENT}.clip"]


def test_the_first_file_is_waited_for_before_another_is_taken(bench: Bench) -> None:
    """For seconds: a thumbnail that is there sooner does not become the clip."""
    files = {"/a": [GONE, GONE, RIGHT], "/b": [reply(200, OTHER_PNG)]}
    assert bench.fetch(["$AT/a", "$AT/b"], files).noted.stored.bytes == len(PNG)


def test_no_usable_file_is_a_bad_output(bench: Bench) -> None:
    """An output without any, or with none that could ever be a clip."""
    failure = bench.fails({"text": "done"}, {})
    assert failure.error_class is ErrorClass.BAD_OUTPUT
    assert "holds no file" in failure.message
    files = {"/a": [PASSING["blank once"]], "/meta": [reply(200, {"seed": 7})]}
    assert bench.fails(["$AT/meta", "$AT/a"], files).error_class is ErrorClass.BAD_OUTPUT
    assert bench.fails("data:image/png;base64,****", {}).error_class is ErrorClass.BAD_OUTPUT


def test_an_empty_list_says_that_the_model_dropped_its_output(bench: Bench) -> None:
    """Whatever the catalog says of the shape; nothing is asked again."""
    for shape in (OutputShape.LIST, OutputShape.ONE):
        bench.terms = replace(TERMS, output=shape)
        assert bench.fails([], {}).error_class is ErrorClass.CONTENT_POLICY
    assert bench.clock.slept == []


def test_an_output_that_is_late_is_waited_for(bench: Bench) -> None:
    """A prediction may be told as succeeded before its output is there."""
    later = [{"output": None}, {"output": ""}, {"output": "$AT/a"}]
    assert bench.fetch(None, {"/a": [RIGHT]}, later=later)
    assert bench.asked("/v1/predictions/p1") == 3


def test_an_address_that_was_renewed_is_used(bench: Bench) -> None:
    """A signature that ran out is replaced by the prediction's own new one."""
    found = bench.fetch("$AT/a", {"/a": [GONE], "/b": [RIGHT]}, later=[{"output": "$AT/b"}])
    assert found.noted.stored.bytes == len(PNG)


def test_a_removed_output_is_over(bench: Bench) -> None:
    """The provider's own word, twice; it costs a second."""
    failure = bench.fails(None, {}, data_removed=True)
    assert failure.error_class is ErrorClass.OUTPUT_EXPIRED
    assert bench.clock.slept == [1]


def test_a_charged_prediction_that_failed_is_told_as_such(bench: Bench) -> None:
    """Its process died between the charge and the end of its intent."""
    failure = bench.fails(None, {}, known=False, status="failed", error="NSFW content detected")
    assert failure.error_class is ErrorClass.CONTENT_POLICY


def test_a_forgotten_prediction_is_asked_for_until_the_hour_is_over(bench: Bench) -> None:
    """Without its address there is no file to be had, and the money is charged."""
    assert bench.fails("$AT/a", {}, later=[GONE], known=False).leaves_open
    bench.clock.advance(3600)
    failure = bench.fails("$AT/a", {}, later=[GONE], known=False)
    assert failure.error_class is ErrorClass.OUTPUT_EXPIRED


def test_a_streamed_sound_is_stored_with_a_right_header(bench: Bench) -> None:
    """Its hash is of what is stored; the one that was received is in the lineage."""
    bench.kind = Kind.AUDIO
    whole = media_samples.sound_bytes("wav", media_samples.tone(1.0))
    streamed = bytearray(whole)
    for position in (4, 40):
        streamed[position : position + 4] = struct.pack("<I", 0x7FFFFFFF)
    found = bench.fetch("$AT/a", {"/a": [reply(200, bytes(streamed))]})
    assert found.path is not None
    assert found.path.read_bytes() == whole
    assert found.noted.stored.duration_seconds == pytest.approx(1.0)
    (received,) = found.noted.lineage
    assert (received.parent_id, received.relation) == ("p1", "received")
    assert received.parent_sha256 == sha256_of(media_samples.written(bench.folder, bytes(streamed)))
