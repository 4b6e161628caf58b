"""The logs of a process that works for Dagster or for a command, as the settings want them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Generator

from asset_pipeline.disclosure.secrets import secrets_in
from asset_pipeline.logs.fields import bound
from asset_pipeline.logs.setup import start_logging, warnings_told_to
from asset_pipeline.settings import Settings
from asset_pipeline.tracing.otlp import start_tracing
from asset_pipeline.tracing.spans import traced_logs


def secrets_of(settings: Settings) -> list[str]:
    """Return what must not be told to anybody, by a log or otherwise."""
    chosen = (settings.replicate_api_token, settings.ledger_url, settings.alert_webhook_url)
    secrets = [secret.get_secret_value() for secret in chosen if secret is not None]
    return [*secrets, *secrets_in(os.environ)]


def start_logs(settings: Settings, part: str = "worker") -> None:
    """Switch logs and traces on, unless they are; no secret of the environment is in either."""
    start_logging(settings.log_path, secrets_of(settings))
    start_tracing(settings.otlp_endpoint, part)


@contextlib.contextmanager
def logs_of_run(
    settings: Settings, run_id: str, warn: Callable[[str], None] | None
) -> Generator[None]:
    """Log the block as one run's work; its first warnings are told to ``warn`` as well."""
    start_logs(settings)
    with contextlib.ExitStack() as stack:
        stack.enter_context(traced_logs())
        stack.enter_context(bound(run_id=run_id))
        if warn is not None:
            stack.enter_context(warnings_told_to(warn))
        yield
