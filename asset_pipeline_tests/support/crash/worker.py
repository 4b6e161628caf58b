"""One worker: a process that pays for a job's prompts, and may be told where to die.

``python -m asset_pipeline_tests.support.crash.worker JOB.json [--kill accepted:2]`` runs one by
hand. The harness starts it through :mod:`asset_pipeline_tests.support.crash.worker_processes`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from decimal import Decimal
from pathlib import Path

from pydantic import SecretStr, TypeAdapter

from asset_pipeline.clock import SystemClock
from asset_pipeline.errors import ExitCode
from asset_pipeline.generation.batch import Batch, PromptOutcome
from asset_pipeline.generation.reconciliation.resume import resume_all
from asset_pipeline.generation.session import SessionPlan, open_session
from asset_pipeline.generation.timeouts import Timeouts
from asset_pipeline.ledger.breaker_machine import BreakerRules
from asset_pipeline.ledger.budgets import BudgetCaps
from asset_pipeline.ledger.engine import open_engine
from asset_pipeline.ledger.ledger import Ledger
from asset_pipeline.prompts.library import Library
from asset_pipeline.prompts.spec import Prompt
from asset_pipeline.providers.replicate import ReplicateProvider
from asset_pipeline.stores.local import LocalStore
from asset_pipeline_tests.support.crash import workload
from asset_pipeline_tests.support.retry_rules import rules_without_waits

# Waits of a tenth: the sandbox answers from loopback. Two seconds to settle leave a busy machine
# time to accept what a killed worker had sent.
QUICK = Timeouts(
    first_poll=0.1,
    slowest_poll=0.4,
    settle=2.0,
    late_acceptance=2.0,
    other_worker=0.1,
    deadline_margin=30,
    forgotten=0.5,
)

Checkpoint = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """What a worker works on; every worker of a site shares all of it.

    Attributes:
        folder: Holds the store, the previews, the scratch files and the SQLite ledger.
        total_usd: The cap on everything ever spent.
        config_dir: Holds a ``models.yaml`` to go by.
        token: Names the account at the server.
        reconciles: Whether it sends nothing new, and takes up whatever is open in the ledger.
    """

    folder: Path
    server: str
    ledger_url: str
    prompts: tuple[Prompt, ...]
    total_usd: str = "100"
    max_in_flight: int = 6
    timing: Timeouts = QUICK
    config_dir: Path | None = None
    token: str = "r8_sandbox"
    reconciles: bool = False

    @property
    def store(self) -> LocalStore:
        """Where the clips go."""
        return LocalStore(self.folder / "clips")

    def open_ledger(self) -> Ledger:
        """Open the ledger with the job's cap."""
        caps = BudgetCaps.model_validate({"total_usd": Decimal(self.total_usd), "daily_usd": None})
        return Ledger(open_engine(SecretStr(self.ledger_url)), SystemClock(), lambda: caps)


@dataclass
class Summary:
    """What became of a job in one life.

    Attributes:
        failures: Error class and message of each clip that did not land.
        refused: Whether a budget refused a clip.
    """

    landed: int = 0
    failures: list[tuple[str, str]] = field(default_factory=list)
    refused: bool = False

    @property
    def exit_code(self) -> ExitCode:
        """The code that the command line promises."""
        if self.refused:
            return ExitCode.BUDGET
        return ExitCode.SOME_FAILED if self.failures else ExitCode.DONE


@dataclass(frozen=True)
class KillPoint:
    """SIGKILL at the k-th passing of a checkpoint."""

    name: str
    passing: int = 1

    def __str__(self) -> str:
        return f"{self.name}:{self.passing}"

    def checkpoint(self) -> Checkpoint:
        """Return the hook that counts and kills."""
        passed: Counter[str] = Counter()

        def check(name: str) -> None:
            passed[name] += 1
            if name == self.name and passed[name] == self.passing:
                os.kill(os.getpid(), signal.SIGKILL)

        return check


def no_checkpoint(_: str) -> None:
    """Live on."""


async def drive(job: Job, checkpoint: Checkpoint = no_checkpoint) -> Summary:
    """Run a job to its end in this process."""
    catalog = workload.catalog(job.config_dir)
    ledger = job.open_ledger()
    plan = SessionPlan(
        run_id=f"run-{os.getpid()}",
        previews=job.folder / "previews",
        scratch=job.folder / "scratch",
        rate_limit_per_minute=0,
        max_in_flight=job.max_in_flight,
        max_images_decoded=2,
        timing=job.timing,
        # Faults come thick here, and an open breaker would only make everybody wait.
        breaker_rules=lambda: BreakerRules(failure_threshold=1000),
        checkpoint=checkpoint,
    )
    provider = ReplicateProvider(SecretStr(job.token), job.server)
    summary, rules = Summary(), rules_without_waits()
    try:
        session = open_session(
            plan, ledger=ledger, provider=provider, store=job.store, clock=SystemClock()
        )
        async with session as paid_call:
            if job.reconciles:
                await resume_all(
                    paid_call,
                    ledger,
                    provider,
                    catalog=catalog,
                    library=_library(job.prompts),
                    prompts_dir=job.folder,
                    clock=SystemClock(),
                )
                return summary
            batch = Batch(
                paid_call,
                catalog,
                job.folder,
                max_clips=job.max_in_flight,
                report=lambda _: None,
                rules=lambda: rules,
            )
            async for outcome in batch.run(job.prompts, len(job.prompts)):
                _add(summary, outcome)
    finally:
        ledger.close()
    return summary


def _library(prompts: Sequence[Prompt]) -> Library:
    return Library({(prompt.kind, prompt.prompt_id): prompt for prompt in prompts}, ())


def live(job: Job, kill: KillPoint | None, result: Path) -> None:
    """Be a worker process: run the job, write its summary, end with its exit code."""
    checkpoint = no_checkpoint if kill is None else kill.checkpoint()
    summary = asyncio.run(drive(job, checkpoint))
    result.write_text(json.dumps(asdict(summary)))
    sys.exit(summary.exit_code)


def save_job(job: Job, path: Path) -> None:
    """Write a job for a worker that is started by command."""
    path.write_bytes(TypeAdapter(Job).dump_json(job))


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a worker from the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("job", type=Path)
    parser.add_argument("--kill", help="a checkpoint and its passing, such as accepted:2")
    given = parser.parse_args(arguments)
    name, _, passing = (given.kill or "").partition(":")
    kill = KillPoint(name, int(passing or 1)) if name else None
    job = TypeAdapter(Job).validate_json(given.job.read_bytes())
    live(job, kill, given.job.with_suffix(".result.json"))


def _add(summary: Summary, outcome: PromptOutcome) -> None:
    summary.landed += len(outcome.landed)
    summary.failures += [(str(each.error_class), each.message) for each in outcome.failures]
    summary.refused |= outcome.budget is not None


if __name__ == "__main__":
    main()
