"""What a person may be told of a secret: nothing, by whatever way it came."""

from __future__ import annotations

import json

import pytest

from asset_pipeline.disclosure.process_redactor import hide, redacted, redactor
from asset_pipeline.disclosure.secrets import secrets_in
from asset_pipeline.errors import AssetPipelineError
from asset_pipeline.providers.prediction import parse_prediction
from asset_pipeline.providers.protocol import ProviderError

CANARY = "cAnAry7Q2xW9zLm4"


@pytest.mark.parametrize(
    "address",
    [
        f"s3://AKIDEXAMPLE:{CANARY}@bucket/clips",
        f"s3://AKIDEXAMPLE:{CANARY}/x+y@bucket/clips",
        f"s3://{CANARY}@bucket",
        f"https://user:{CANARY}@store.example/clips",
        f"https://user:p@{CANARY}@store.example/clips",
        f"https://store.example/clips?X-Amz-Signature={CANARY}&X-Amz-Date=1",
        f"https://store.example/clips?token={CANARY}",
        f"postgresql://db.example/ledger?user={CANARY}&password=x",
        f"postgresql+psycopg://someone:{CANARY}@db.example/ledger",
        f"http://proxy:{CANARY}@127.0.0.1:3128",
        f"'{CANARY}:x@bucket",
    ],
)
def test_errors_show_no_credentials_of_an_address(address: str) -> None:
    """Neither message, hint nor text of an error shows who is named in a URL, nor its query."""
    if address.startswith("'"):
        address = f"s3://{address}"
    error = AssetPipelineError(f"{address!r} can't be used.", hint=f"Correct {address} there.")
    assert CANARY not in f"{error} {error.message} {error.hint} {error.args}"
    assert "can't be used." in error.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("REPLICATE_API_TOKEN", CANARY),
        ("ASSET_PIPELINE_LEDGER_URL", f"postgresql://u:{CANARY}@db/ledger"),
        ("ASSET_PIPELINE_LEDGER_URL", f"postgresql://db/ledger?user=u&password={CANARY}"),
        ("ASSET_PIPELINE_STORE_URL", f"s3://KEY:{CANARY}@bucket"),
        ("HTTPS_PROXY", f"http://u:{CANARY}@proxy.example:3128"),
        ("ASSET_PIPELINE_ALERT_WEBHOOK_URL", f"https://hooks.example/services/{CANARY}"),
        ("ASSET_PIPELINE_WEBHOOK_URL", f"https://hooks.example/done?token={CANARY}"),
        ("SOMETHING_SECRET_OF_SOMEBODY", CANARY),
        ("ASSET_PIPELINE_PUBLISH_URL", f"https://bucket.example/x?sig={CANARY}"),
    ],
    # The test's name is in the environment as well.
    ids=["token", "password", "parameter", "s3", "proxy", "alert", "webhook", "other", "signed"],
)
def test_what_the_environment_holds_is_known(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret of the environment is masked where nothing beside it says that it is one."""
    monkeypatch.setenv(name, value)
    assert CANARY not in redacted(f"the server said {CANARY}, which it should not")
    monkeypatch.delenv(name)
    assert CANARY in redacted(f"the server said {CANARY}, which it should not")


def test_a_databases_name_is_no_secret() -> None:
    """A database, user or bucket that is called as this program is blackens no other word."""
    environment = {"ASSET_PIPELINE_LEDGER_URL": "postgresql://asset-pipeline:pw-123456@db/ledger12"}
    assert secrets_in(environment) == ["pw-123456", "pw-123456"]


def test_a_hidden_secret_is_masked() -> None:
    """A token that was given otherwise than by the environment is known once it was hidden."""
    hide("token-from-a-resource-9f8e7d")
    assert "9f8e7d" not in redacted("denied: token-from-a-resource-9f8e7d")


def test_documents_stay_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """Masking in JSON leaves JSON, and what is no secret as it was."""
    monkeypatch.setenv("REPLICATE_API_TOKEN", CANARY)
    document = {"a": f"x {CANARY}\n", "b": f"s3://K:{CANARY}@b", "token": "kept", "n": [1, "é"]}
    masked = json.loads(redactor().data(json.dumps(document)))
    assert CANARY not in json.dumps(masked)
    assert (masked["token"], masked["n"]) == ("kept", [1, "é"])


def test_a_providers_words_are_masked_where_they_enter(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error, its fields, and a prediction's error and status quote no token any more."""
    monkeypatch.setenv("REPLICATE_API_TOKEN", CANARY)
    error = ProviderError(f"no: {CANARY}", invalid_fields=((CANARY, f"is {CANARY}"),))
    told = parse_prediction({"id": "p", "error": f"E1: {CANARY}", "status": CANARY})
    assert CANARY not in f"{error} {error.message} {error.args} {error.invalid_fields}"
    assert CANARY not in f"{told.error} {told.raw_status}"
    assert (told.error or "").startswith("E1: ")


@pytest.mark.parametrize(
    "secret",
    [
        "Bearer abcdef0123456789",
        "BASIC dXNlcjpwYXNzMQ==",
        "r8_abcdef0123456789",
        "R8_ABCDEF0123456789",
        "whsec_abcdef0123456789",
        "xoxb-abcdef0123456789",
        "ghp_abcdef0123456789",
        "github_pat_abcdef0123456789",
        "sk-abcdef0123456789",
        "AKIAABCDEFGHIJKLMNOP",
        "eyJhbGciOiJI.eyJzdWIi.abcdef",
        "hooks.slack.com/services/T0/B0/abcdef",
        "s3://KEY:abcdef0123@bucket",
        "QmVhcmVyIHI4X2FiY2RlZg==",
    ],
)
def test_what_looks_like_a_token_is_masked_in_data_too(secret: str) -> None:
    """The quick look at a long document misses none of the shapes."""
    for text in (f"x {secret} y", json.dumps({"a": secret})):
        assert "[redacted]" in redactor().data(text)
        assert redactor().data(text) == redactor().data(redactor().data(text))
