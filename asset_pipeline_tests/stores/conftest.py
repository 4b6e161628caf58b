"""The servers behind the stores."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from asset_pipeline_tests.support.servers.fixtures import gcs, gcs_server, seaweed, seaweed_server
from asset_pipeline_tests.support.servers.proxy import Proxy, running_proxy
from asset_pipeline_tests.support.servers.seaweed import SeaweedFS

__all__ = ["gcs", "gcs_server", "s3_proxy", "seaweed", "seaweed_server"]


@pytest.fixture
def s3_proxy(seaweed: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> Generator[Proxy]:
    """A proxy before the S3 server, which the environment points at."""
    with running_proxy(seaweed.url) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.url)
        yield proxy
