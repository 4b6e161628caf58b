"""Buckets are made private, and what a server can't do is said."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest
from botocore.exceptions import ClientError

from asset_pipeline.defs.resources.store import StoreResource
from asset_pipeline.stores.address import BucketAddress
from asset_pipeline.stores.gcs_access import GcsAccess, Signer
from asset_pipeline.stores.gcs_hardening import gcs_rules
from asset_pipeline.stores.hardening import BucketRule, RuleResult, RuleStatus, check, each, harden
from asset_pipeline.stores.s3_hardening import s3_rules
from asset_pipeline_tests.support.servers.gcs import Gcs
from asset_pipeline_tests.support.servers.seaweed import SeaweedFS


def _verdicts(
    rules: Sequence[BucketRule], act: Callable[[BucketRule], RuleResult]
) -> dict[str, str]:
    return {finding.rule: finding.verdict.value for finding in each(rules, act)}


def test_a_bucket_of_s3(seaweed: SeaweedFS, monkeypatch: pytest.MonkeyPatch) -> None:
    """What SeaweedFS can do is set and holds afterwards; what it can't is reported."""
    client = seaweed.client()
    client.create_bucket(Bucket="to-harden")
    client.put_bucket_lifecycle_configuration(
        Bucket="to-harden",
        LifecycleConfiguration={
            "Rules": [
                {
                    "ID": "theirs",
                    "Status": "Enabled",
                    "Filter": {"Prefix": "logs/"},
                    "Expiration": {"Days": 30},
                }
            ]
        },
    )
    monkeypatch.setenv("ASSET_PIPELINE_STORE_URL", "s3://to-harden/studio")
    rules = StoreResource().rules(versioning=True)
    before = _verdicts(rules, check)
    assert before["public access"] == "unsupported"
    assert {before[name] for name in ("encryption", "leftovers", "cors", "versioning")} <= {
        "fail",
        "warn",
    }
    hardened = list(each(rules, harden))
    assert {f.rule: f.verdict.value for f in hardened} == {
        "public access": "unsupported",
        "access lists": "ok",
        "encryption": "ok",
        "leftovers": "ok",
        "cors": "ok",
        "versioning": "ok",
    }
    assert "501" in hardened[0].detail
    assert _verdicts(rules, check) == {f.rule: f.verdict.value for f in hardened}
    assert not any(finding.changed for finding in each(rules, harden)), "the second time, nothing"
    kept = client.get_bucket_lifecycle_configuration(Bucket="to-harden")["Rules"]
    assert {rule["ID"] for rule in kept} == {
        "theirs",
        "asset-pipeline uploads studio",
        "asset-pipeline temporary studio",
    }


def test_versioning_is_only_for_who_asks(
    seaweed: SeaweedFS, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without --versioning there is no such rule, and nothing is switched on."""
    monkeypatch.setenv("ASSET_PIPELINE_STORE_URL", seaweed.new_url())
    assert "versioning" not in {rule.name for rule in StoreResource().rules()}


def test_a_folder_has_no_rules(clean_environment: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder is no bucket: there is nothing to set."""
    del clean_environment
    monkeypatch.setenv("ASSET_PIPELINE_STORE_URL", "clips")
    assert list(StoreResource().rules()) == []


class _Aws:
    """A bucket of AWS that keeps what it is told, as its answers are documented."""

    def __init__(self, refusing: str = "") -> None:
        self.kept: dict[str, Any] = {}
        self._refusing = refusing

    def __getattr__(self, operation: str) -> Callable[..., dict[str, Any]]:
        verb, _, what = operation.partition("_")

        def call(**given: Any) -> dict[str, Any]:  # noqa: ANN401 -- any setting
            assert given.pop("Bucket") == "clips"
            if verb == "put":
                if self._refusing in operation and self._refusing:
                    raise _error(operation, 403, "AccessDenied")
                # Some settings are sent in an envelope and come back without it.
                (name, value), *_ = given.items()
                enveloped = name in {"LifecycleConfiguration", "CORSConfiguration"}
                self.kept[what] = value if enveloped else given
                return {}
            if what not in self.kept:
                raise _error(operation, 404, "NoSuchConfiguration")
            return self.kept[what]

        return call


def _error(operation: str, status: int, code: str) -> ClientError:
    answer: Any = {
        "Error": {"Code": code, "Message": "no"},
        "ResponseMetadata": {"HTTPStatusCode": status},
    }
    return ClientError(answer, operation)


def test_public_access_on_aws() -> None:
    """All four switches of PublicAccessBlock are on, and a bucket without one fails the check."""
    aws: Any = _Aws()
    rules = s3_rules(aws, BucketAddress("s3", "clips", "studio"), versioning=False)
    assert _verdicts(rules, check)["public access"] == "fail"
    assert set(_verdicts(rules, harden).values()) == {"ok"}
    block = aws.kept["public_access_block"]["PublicAccessBlockConfiguration"]
    assert len(block) == 4
    assert all(block.values())
    aws.kept["public_access_block"] = {
        "PublicAccessBlockConfiguration": {**block, "BlockPublicPolicy": False}
    }
    assert _verdicts(rules, check)["public access"] == "fail"


def test_a_refusal_stops_no_other_rule() -> None:
    """Rights that are missing for one rule are a finding; the others are set."""
    aws: Any = _Aws(refusing="cors")
    rules = s3_rules(aws, BucketAddress("s3", "clips", ""), versioning=False)
    found = {finding.rule: finding for finding in each(rules, harden)}
    assert found.pop("cors").verdict is RuleStatus.FAIL
    assert {finding.verdict for finding in found.values()} == {RuleStatus.OK}


def test_an_emulator_of_gcs(gcs: Gcs, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that takes a setting and drops it is not believed."""
    monkeypatch.setenv("ASSET_PIPELINE_STORE_URL", gcs.new_url())
    findings = {f.rule: f for f in each(StoreResource().rules(versioning=True), harden)}
    assert findings["public access"].verdict is RuleStatus.FAIL
    assert "did not keep it" in findings["public access"].detail
    assert findings["versioning"].verdict is RuleStatus.UNSUPPORTED


@dataclass
class _Iam:
    public_access_prevention: str = "inherited"
    uniform_bucket_level_access_enabled: bool = False


class _Google:
    """A bucket of Google's library that keeps what it is told."""

    def __init__(self) -> None:
        self.iam_configuration = _Iam()
        self.lifecycle_rules: list[Any] = [{"action": {"type": "Delete"}, "condition": {"age": 9}}]
        self.cors: list[Any] = []
        self.versioning_enabled = False
        self.patched = 0

    def reload(self, **_: object) -> None:
        """Nothing changes behind our back."""

    def patch(self, **_: object) -> None:
        self.patched += 1


@pytest.mark.parametrize("prefix", ["", "studio"])
def test_a_bucket_of_google(prefix: str) -> None:
    """Each rule of a bucket at Google is set, and holds when it is checked."""
    bucket = _Google()
    access = GcsAccess(None, bucket, Signer())
    rules = gcs_rules(access, BucketAddress("gs", "clips", prefix), versioning=True)
    assert set(_verdicts(rules, check).values()) == {"fail", "warn"}
    assert set(_verdicts(rules, harden).values()) == {"ok"}
    assert bucket.iam_configuration == _Iam("enforced", uniform_bucket_level_access_enabled=True)
    assert bucket.lifecycle_rules[0]["condition"] == {"age": 9}, "a rule of others is kept"
    deleted = [r for r in bucket.lifecycle_rules[1:] if r["action"]["type"] == "Delete"]
    folder = f"{prefix}/" if prefix else ""
    assert [r["condition"]["matchesPrefix"] for r in deleted] == [[f"{folder}.incoming/"]]
    assert bucket.patched == 5
    assert set(_verdicts(rules, harden).values()) == {"ok"}
    assert bucket.patched == 5
