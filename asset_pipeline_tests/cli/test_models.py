"""`models list|show|add`, against the sandbox."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import yaml

from asset_pipeline_tests.cli.conftest import Done, Sandbox, Workspace

Cli = Callable[..., Done]


@pytest.fixture
def here(workspace: Workspace, sandbox: Sandbox) -> Workspace:
    workspace.environment["REPLICATE_BASE_URL"] = sandbox.url
    workspace.environment["ASSET_PIPELINE_PROVIDER"] = "sandbox"
    return workspace


@pytest.mark.usefixtures("here")
def test_at_least_25_models_are_listed_with_the_source_of_each_price(cli: Cli) -> None:
    """A price without a source is none; what has none is refused, and says so."""
    models = cli("models", "list", "--json").json
    assert len(models) >= 25
    assert all(model["price_source"] for model in models if model["priced"])
    assert {model["kind"] for model in models} == {"image", "audio"}
    sound = cli("models", "list", "--kind", "audio")
    assert "minimax/speech-02-turbo" in sound.out
    assert "flux" not in sound.out
    assert "unpriced" in sound.out


@pytest.mark.usefixtures("here")
def test_a_model_is_shown_with_what_it_takes(cli: Cli) -> None:
    """Bounds, choices and the source of the price stand there; a misspelt name gets the nearest."""
    shown = cli("models", "show", "black-forest-labs/flux-dev")
    assert "pricing page" in shown.out
    assert "0 to 50" in shown.out or "1 to 50" in shown.out
    document = cli("models", "show", "black-forest-labs/flux-dev", "--json").json
    assert document["inputs"]["guidance"]["maximum"] == "10"
    wrong = cli("models", "show", "black-forest-labs/flux-devv")
    assert wrong.code == 2
    assert "flux-dev" in wrong.err


def test_an_added_model_makes_clips(here: Workspace, cli: Cli) -> None:
    """From the provider's schema to a clip that was paid by the given price: two commands."""
    added = cli("models", "add", "sandbox/line-art", "--price", "0.01/image", "--source", "bill 7")
    assert added.code == 0, added.err
    assert "$0.01 an image" in added.out
    entry = yaml.safe_load((here.root / "config" / "models.yaml").read_text())
    entry = entry["models"]["sandbox/line-art"]
    assert entry["inputs"]["line_width"] == {
        "type": "number",
        "default": 1.5,
        "minimum": 0.5,
        "maximum": 8,
        "description": "Line width",
    }
    assert entry["inputs"]["aspect_ratio"]["choices"] == ["1:1", "3:2", "2:3"]
    assert entry["prices"][0]["source"] == "bill 7"
    text = "defaults: {model: sandbox/line-art}\nprompts: [{id: cat, text: A cat}]\n"
    here.write("images/drawn.yaml", text)
    made = cli("generate", "--collection", "drawn", "--json")
    assert (made.code, made.json["paid_usd"]) == (0, "0.010000"), made.err


def test_what_stands_in_the_file_stays(here: Workspace, cli: Cli) -> None:
    """Comments and the order of other entries are kept to the byte; no entry is written twice."""
    file = here.root / "config" / "models.yaml"
    file.parent.mkdir()
    before = "# ours\nmodels:\n    # dear\n    stability-ai/sdxl:\n        licence: own  # note\n"
    file.write_text(before)
    assert cli("models", "add", "sandbox/chime", "--price", "$0.05 per run").code == 0
    after = file.read_text()
    assert after.startswith(before)
    assert "\n    sandbox/chime:\n" in after
    again = cli("models", "add", "sandbox/chime")
    assert again.code == 2
    assert "in it already" in again.err
    assert file.read_text() == after


def test_a_model_without_a_price_is_refused_for_spending(here: Workspace, cli: Cli) -> None:
    """It can be added, and says what is missing; nothing is spent on it."""
    added = cli("models", "add", "https://replicate.com/sandbox/chime")
    assert added.code == 0
    assert "no price" in added.out
    text = "defaults: {model: sandbox/chime}\nprompts: [{id: bell, text: A bell}]\n"
    here.write("audio/rung.yaml", text)
    refused = cli("generate", "--collection", "rung")
    assert refused.code in {1, 2}
    assert "price" in refused.err + refused.out


def test_a_shipped_model_is_read_anew_and_keeps_its_price(here: Workspace, cli: Cli) -> None:
    """What people chose by hand stays: price, defaults, fallbacks."""
    added = cli("models", "add", "black-forest-labs/flux-dev", "--json")
    assert added.code == 0, added.err
    assert added.json["price_usd"] == "0.025"
    assert added.json["fallbacks"] == ["black-forest-labs/flux-schnell"]
    entry = yaml.safe_load((here.root / "config" / "models.yaml").read_text())
    assert set(entry["models"]["black-forest-labs/flux-dev"]) == {"inputs", "output"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nonsense"], "no name of a model"),
        (["no-such/model"], "has no model no-such/model"),
        (["sandbox/chime", "--price", "cheap"], "is no price"),
        (["sandbox/chime", "--price", "0.05"], "is no price"),
    ],
)
def test_what_cant_be_added_is_told(
    here: Workspace, cli: Cli, arguments: list[str], words: str
) -> None:
    """Nothing is written, and the sentence says what to do."""
    refused = cli("models", "add", *arguments)
    assert refused.code == 2
    assert words in refused.err
    assert not (here.root / "config" / "models.yaml").exists()
