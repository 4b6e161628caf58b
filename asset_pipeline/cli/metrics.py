"""`metrics`: the ledger's numbers as Prometheus reads them."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import closing
from typing import TYPE_CHECKING, Annotated

import typer

from asset_pipeline.clock import SystemClock
from asset_pipeline.errors import AssetPipelineError, ConfigurationError
from asset_pipeline.ledger.provider_ledger import open_own_engine
from asset_pipeline.settings import load_settings

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

_PUSH_SECONDS = 10
_JOB = "asset_pipeline"


def metrics(
    *,
    open_metrics: Annotated[
        bool, typer.Option("--openmetrics", help="Print OpenMetrics instead of Prometheus' text.")
    ] = False,
    push: Annotated[
        str, typer.Option(help="Send them to this Pushgateway instead, such as http://host:9091.")
    ] = "",
) -> None:
    """Print money, clips, failures and health of all processes, as Prometheus reads them.

    The service has the same numbers at `/metrics`. Where nothing serves, a scheduled `--push` tells
    a Pushgateway. They are read from the ledger: no process has to run.
    """
    from asset_pipeline.ledger.metric_sums import MetricSums  # noqa: PLC0415 -- for this command
    from asset_pipeline.monitoring.metrics import as_text, registry_for  # noqa: PLC0415 -- as above

    with closing(MetricSums(open_own_engine(load_settings()), SystemClock())) as sums:
        registry = registry_for(sums)
        if push:
            _push(registry, push)
            return
        typer.echo(as_text(registry, open_metrics=open_metrics), nl=False)


def _push(registry: CollectorRegistry, gateway: str) -> None:
    """Send the metrics to a gateway, in the place of those that this machine sent before.

    Raises:
        AssetPipelineError: It does not take them.
    """
    from prometheus_client import exposition  # noqa: PLC0415 -- for this command alone
    from yarl import URL  # noqa: PLC0415 -- as above

    try:
        url = URL(gateway)
        if url.scheme not in {"http", "https"} or not url.host:
            raise ValueError  # noqa: TRY301 -- one answer to all that is no address
    except ValueError:
        raise ConfigurationError(
            "--push wants the address of a Pushgateway.", hint="Write http://host:9091."
        ) from None
    handler = exposition.default_handler
    if url.user:
        user, password = url.user, url.password or ""

        def authorized(
            url: str,
            method: str,
            timeout: float | None,
            headers: list[tuple[str, str]],
            data: bytes,
        ) -> Callable[[], None]:
            return exposition.basic_auth_handler(
                url, method, timeout, headers, data, user, password
            )

        handler = authorized
    bare = url.with_user(None)
    group = {"instance": socket.gethostname()}
    try:
        exposition.push_to_gateway(
            str(bare).rstrip("/"), _JOB, registry, group, _PUSH_SECONDS, handler
        )
    except OSError as error:  # URLError and HTTPError are
        raise AssetPipelineError(
            f"{bare.host}:{bare.port} does not take the metrics: {error}.",
            hint="Check that a Pushgateway listens there, and lets you in.",
        ) from None
