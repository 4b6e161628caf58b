"""What one writes first: an asset with a partition a prompt, and a run for each of them."""

import os
import time
from pathlib import Path

import dagster as dg
import httpx
from replicate.client import Client

from benchmarks.generate_speed import INPUTS, MODEL

PARTITIONS = [f"picture-{number:03}" for number in range(int(os.environ.get("NAIVE_CLIPS", "20")))]


@dg.asset(partitions_def=dg.StaticPartitionsDefinition(PARTITIONS))
def image(context: dg.AssetExecutionContext) -> None:
    """Generate and save one picture."""
    client = Client(api_token="sandbox", base_url=os.environ["REPLICATE_BASE_URL"])
    inputs = {**INPUTS, "prompt": f"Naive {context.partition_key}"}
    prediction = client.models.predictions.create(model=MODEL, input=inputs)
    while prediction.status not in {"succeeded", "failed", "canceled"}:
        time.sleep(0.5)
        prediction.reload()
    folder = Path(os.environ["ASSET_PIPELINE_DATA_DIR"])
    folder.mkdir(parents=True, exist_ok=True)
    assert prediction.output is not None
    content = httpx.get(prediction.output[0]).content
    (folder / f"{context.partition_key}.webp").write_bytes(content)


defs = dg.Definitions(assets=[image])
