"""Trouble that mends: each case ends with one payment a variant and every clip delivered."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from pydantic import SecretStr

from asset_pipeline.generation.request import resolve
from asset_pipeline.ledger.ledger import Payer
from asset_pipeline.ledger.records import Intent
from asset_pipeline.ledger.schema import IntentState
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.providers.protocol import CreateRequest
from asset_pipeline.providers.replicate import ReplicateProvider
from asset_pipeline_tests.support.crash import worker_processes, workload
from asset_pipeline_tests.support.crash.bookkeeping import close_books
from asset_pipeline_tests.support.crash.site import Site, open_site
from asset_pipeline_tests.support.crash.worker import Job, KillPoint, save_job

_PATIENCE = 30.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Generator[Site]:
    """The server of the tests that leave it alive."""
    with open_site(tmp_path_factory.mktemp("server"), predict="0.2") as running:
        yield running


@pytest.fixture
def site(server: Site, tmp_path: Path) -> Generator[Site]:
    """A ledger and a store of its own."""
    yield server.beside(tmp_path)
    server.mend()


@pytest.fixture
def frail_site(tmp_path: Path) -> Generator[Site]:
    """A site with a server that may be killed."""
    with open_site(tmp_path, predict="0.2") as running:
        yield running


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """A name for prompts that no other test has, as texts are what requests are told apart by."""
    return "".join(sign if sign.isalnum() else "-" for sign in request.node.name).lower()[-90:]


def several(name: str, *, variants: int = 1) -> list[Prompt]:
    """Four prompts of both kinds."""
    pictures = [workload.picture(f"{name}-{number}", variants=variants) for number in (1, 2)]
    speeches = [workload.speech(f"{name}-{number}", variants=variants) for number in (1, 2)]
    return [*pictures, *speeches]


def wait_for(happened: Callable[[], bool]) -> None:
    """Look until something has happened."""
    limit = time.monotonic() + _PATIENCE
    while not happened():
        assert time.monotonic() < limit, "it did not happen"
        time.sleep(0.05)


def wait_for_intents(job: Job, state: IntentState, count: int) -> None:
    """Look until the ledger has so many intents in a state."""
    ledger = job.open_ledger()
    try:
        wait_for(lambda: len(ledger.intents_in([state])) >= count)
    finally:
        ledger.close()


def assert_settled(site: Site, prompts: list[Prompt], posts: int) -> None:
    """Everything delivered, each variant paid for once, with so many creates on the wire."""
    books = close_books(site, prompts)
    assert books.flaws == ()
    assert books.paid == books.clips == workload.clips_wanted(prompts)
    assert books.posts == posts


def test_another_process_takes_up_what_a_killed_one_paid_for(site: Site, name: str) -> None:
    """A worker started by command dies with its reply unread; one started later delivers."""
    prompts = [workload.picture(name)]
    save_job(site.job(prompts), site.folder / "job.json")
    command = [sys.executable, "-m", "asset_pipeline_tests.support.crash.worker"]
    command += [str(site.folder / "job.json"), "--kill", "accepted:1"]
    assert subprocess.run(command, check=False, timeout=60).returncode == -9
    assert worker_processes.run(site.job(prompts)).exit_code == 0
    assert_settled(site, prompts, posts=1)


def test_two_processes_on_the_same_prompts_pay_once(site: Site, name: str) -> None:
    """Of two workers with the same work one pays for a clip, and both report it."""
    prompts = several(name, variants=2)
    pair = [worker_processes.start(site.job(prompts)), worker_processes.start(site.job(prompts))]
    assert all(life.wait() for life in pair)
    assert [life.summary().landed for life in pair] == [8, 8]
    assert_settled(site, prompts, posts=8)


@pytest.mark.parametrize(
    ("model", "first", "second", "posts"),
    [
        (workload.SPEECH, "lost_reply_after", "lost_reply_after", 2),
        (workload.COMMUNITY_SPEECH, "lost_reply_after", "error_5xx_after", 2),
        (workload.SPEECH, "lost_reply_before", "lost_reply_after", 3),
        (workload.COMMUNITY_SPEECH, "error_5xx_after", "lost_reply_before", 3),
        (workload.SPEECH, "lost_reply_before", "lost_reply_before", 4),
    ],
)
def test_equal_requests_that_lost_their_replies_are_told_apart(
    site: Site, name: str, model: str, first: str, second: str, posts: int
) -> None:
    """Two variants of one text, no seed: only what was never accepted is sent again."""
    prompts = [workload.speech(name, variants=2, model=model)]
    site.fault({"fault": first, "times": 1}, {"fault": second, "match": {"nth": 1}})
    assert worker_processes.run(site.job(prompts)).exit_code == 0
    assert_settled(site, prompts, posts)


@pytest.mark.parametrize("in_flight", [1, 2])
def test_equal_requests_of_a_dead_worker_do_not_wait_for_each_other(
    site: Site, name: str, in_flight: int
) -> None:
    """Both were on the wire when it died; the next worker, one at a time too, finds both."""
    prompts = [workload.speech(name, variants=2)]
    job = site.job(prompts, max_in_flight=in_flight)
    asyncio.run(_leave_on_the_wire(job))
    assert worker_processes.run(job).exit_code == 0
    assert_settled(site, prompts, posts=2)


@pytest.mark.parametrize("point", ["adopted", "listed", "found", "absent", "released"])
def test_a_worker_killed_while_it_reconciles_changes_nothing(
    site: Site, name: str, point: str
) -> None:
    """Reconciliation is taken up where the ledger says it stands."""
    prompts = [workload.speech(name)]
    sent = point not in {"absent", "released"}
    assert worker_processes.run(
        site.job(prompts), KillPoint("accepted" if sent else "submitting")
    ).killed
    assert worker_processes.run(site.job(prompts), KillPoint(point)).killed
    assert worker_processes.run(site.job(prompts)).exit_code == 0
    assert_settled(site, prompts, posts=1)


def test_a_provider_that_goes_down_and_comes_back_is_waited_for(
    frail_site: Site, name: str
) -> None:
    """The server dies while predictions run and is back later: nothing is sent again."""
    frail_site.fault({"fault": "slow", "params": {"seconds": 3}})
    prompts = several(name)
    job = frail_site.job(prompts)
    life = worker_processes.start(job)
    wait_for_intents(job, IntentState.SUBMITTED, 4)
    frail_site.kill_server()
    time.sleep(1.5)
    assert not life.ended
    frail_site.open_server()
    assert life.wait()
    assert life.exit_code == 0
    assert_settled(frail_site, prompts, posts=4)


def test_a_provider_that_is_down_from_the_start_costs_nothing(frail_site: Site, name: str) -> None:
    """Refused connections give the money back; the next run pays once."""
    prompts = several(name)
    job = frail_site.job(prompts)
    frail_site.kill_server()
    life = worker_processes.run(job)
    assert {found for found, _ in life.summary().failures} == {"network"}
    frail_site.open_server()
    assert worker_processes.run(job).exit_code == 0
    assert_settled(frail_site, prompts, posts=4)


def test_a_download_that_breaks_is_mended_as_a_download(site: Site, name: str) -> None:
    """Files that cannot be fetched are asked for until they can; nothing is paid again."""
    site.fault({"fault": "truncated", "match": {"route": "file"}, "params": {"drop": True}})
    prompts = several(name)
    life = worker_processes.start(site.job(prompts))
    wait_for(lambda: site.struck("truncated") >= 6)
    site.mend()
    assert life.wait()
    assert life.exit_code == 0
    assert_settled(site, prompts, posts=4)


def test_a_full_disk_under_the_store_loses_nothing(site: Site, name: str) -> None:
    """Paid clips that cannot be stored are fetched again when there is room."""
    prompts = several(name)
    with _small_disk(site.folder / "clips"):
        for _ in range(2):
            life = worker_processes.run(site.job(prompts))
            assert {found for found, _ in life.summary().failures} == {"server_error"}
    assert worker_processes.run(site.job(prompts)).exit_code == 0
    assert_settled(site, prompts, posts=4)


def test_a_full_disk_under_everything_loses_nothing(site: Site, name: str) -> None:
    """With no room for the ledger either, what can be written later is still paid only once."""
    prompts = several(name)
    rest = site.folder / "rest"
    with _small_disk(rest, kilobytes=2048):
        crowded = site.beside(rest)
        job = crowded.job(prompts)
        job.open_ledger().close()
        crowded.fault({"fault": "slow", "params": {"seconds": 1}})
        ballast = rest / "ballast"
        life = worker_processes.start(job)
        wait_for_intents(job, IntentState.SUBMITTED, 1)
        _fill(ballast)
        life.wait()
        worker_processes.run(job)
        ballast.unlink()
        assert worker_processes.run(job).exit_code == 0
        assert_settled(crowded, prompts, posts=crowded.posts())


async def _leave_on_the_wire(job: Job) -> None:
    """Send every create of a job as a worker that dies before it hears of any."""
    ledger = job.open_ledger()
    provider = ReplicateProvider(SecretStr("r8_sandbox"), job.server)
    catalog = workload.catalog()
    worker_id = ledger.start_worker("left")
    for prompt in job.prompts:
        for variant in range(1, prompt.variants + 1):
            request = resolve(prompt, variant, catalog, job.folder)
            new = request.new_intent(datetime.now(UTC).date())
            intent = ledger.reserve(new, Payer("left", worker_id))
            assert isinstance(intent, Intent)
            ledger.start_submitting(intent)
            model = request.model
            create = CreateRequest(model.name, model.version, intent.inputs, 300)
            await provider.create(create)
    ledger.end_worker(worker_id)
    await provider.aclose()
    ledger.close()


@contextlib.contextmanager
def _small_disk(folder: Path, *, kilobytes: int = 4) -> Generator[None]:
    """Put a very small file system at a folder."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("mounting a small disk takes root")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _fill(ballast: Path) -> None:
    """Write until the disk is full."""
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(4096))
