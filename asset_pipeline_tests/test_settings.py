from __future__ import annotations

from pathlib import Path

import pytest

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.settings import ProviderName, load_settings

SECRET = "r8_very_secret"


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("REPLICATE_API_TOKEN", "ASSET_PIPELINE_PROVIDER", "ASSET_PIPELINE_LEDGER_URL"):
        monkeypatch.delenv(name, raising=False)


def test_the_provider_follows_the_token_unless_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a token the sandbox, with one Replicate, and a choice beats both."""
    assert load_settings().provider is ProviderName.SANDBOX
    monkeypatch.setenv("REPLICATE_API_TOKEN", SECRET)
    assert load_settings().provider is ProviderName.REPLICATE
    monkeypatch.setenv("ASSET_PIPELINE_PROVIDER", "sandbox")
    assert load_settings().provider is ProviderName.SANDBOX


def test_the_sandbox_has_a_ledger_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Play money never uses up a real budget, and its clips are no cache hits for real ones."""
    sandbox = load_settings().ledger_url.get_secret_value()
    monkeypatch.setenv("REPLICATE_API_TOKEN", SECRET)
    real = load_settings().ledger_url.get_secret_value()
    assert Path(sandbox).name == "ledger.sandbox.db"
    assert Path(real).name == "ledger.db"


def test_the_sandbox_publishes_to_a_folder_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its drawings do not lie among real clips, unless somebody chose one place for both."""
    sandbox = load_settings().publish_url
    monkeypatch.setenv("REPLICATE_API_TOKEN", SECRET)
    assert [Path(each).name for each in (sandbox, load_settings().publish_url)] == [
        "published.sandbox",
        "published",
    ]


def test_secrets_are_not_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither token nor database password appear in any printing of the settings."""
    monkeypatch.setenv("REPLICATE_API_TOKEN", SECRET)
    monkeypatch.setenv("ASSET_PIPELINE_LEDGER_URL", f"postgresql://me:{SECRET}@localhost/ledger")
    settings = load_settings()
    assert SECRET not in f"{settings!r} {settings} {settings.model_dump()}"


def test_a_wrong_variable_is_a_sentence_without_its_value(monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable is named, its value is not: it may be a secret in the wrong place."""
    monkeypatch.setenv("ASSET_PIPELINE_MAX_IN_FLIGHT", SECRET)
    with pytest.raises(ConfigurationError) as caught:
        load_settings()
    assert "ASSET_PIPELINE_MAX_IN_FLIGHT" in str(caught.value)
    assert SECRET not in str(caught.value)


def test_folders_are_absolute() -> None:
    """A run worker in another folder finds the same files."""
    settings = load_settings()
    assert settings.prompts_dir.is_absolute()
    assert settings.data_dir.is_absolute()
