"""The retry rules: what the packaged file says, what a user's may not, and when it is read."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.generation.failures import ErrorClass
from asset_pipeline.generation.retry.rules import (
    ClassRule,
    RetryRules,
    Simplification,
    Strategy,
)
from asset_pipeline.generation.retry.rules_file import RULES_FILE, RulesSource, load_rules
from asset_pipeline_tests.support.settled_files import write_settled

S = Strategy


def test_the_packaged_rules_hold_for_every_class() -> None:
    """No class is without a rule; what no retry can mend is not retried."""
    rules = load_rules(None)
    assert set(rules.classes) == set(ErrorClass)
    final = {each for each, rule in rules.classes.items() if rule.strategies == (S.FAIL,)}
    assert final == {
        ErrorClass.AUTHENTICATION,
        ErrorClass.INSUFFICIENT_CREDIT,
        ErrorClass.QUOTA_EXCEEDED,
        ErrorClass.INVALID_INPUT,
        ErrorClass.BAD_OUTPUT,
        ErrorClass.NOT_DELIVERED,
        ErrorClass.OUTPUT_EXPIRED,
        ErrorClass.FORGOTTEN,
        ErrorClass.BUDGET,
        ErrorClass.CANCELLED,
        ErrorClass.OTHER_ACCOUNT,
    }
    assert all(rule.strategies[-1] is S.FAIL for rule in rules.classes.values())


def test_a_users_file_changes_field_by_field(tmp_path: Path) -> None:
    """What it does not name stays as packaged."""
    write_settled(
        tmp_path / RULES_FILE,
        "classes: {server_error: {max_attempts: 9}}\nsimplify: {replace: {sea: lake}}",
    )
    rules, packaged = load_rules(tmp_path), load_rules(None)
    assert rules.classes[ErrorClass.SERVER_ERROR].max_attempts == 9
    kept = packaged.classes[ErrorClass.SERVER_ERROR].strategies
    assert rules.classes[ErrorClass.SERVER_ERROR].strategies == kept
    assert rules.classes[ErrorClass.NETWORK] == packaged.classes[ErrorClass.NETWORK]
    assert rules.simplify.replace == {**packaged.simplify.replace, "sea": "lake"}


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("classes: {server_eror: {max_attempts: 2}}", "classes.server_eror: 'server_eror' is not"),
        ("classes: {timeout: {max_atempts: 2}}", "classes.timeout.max_atempts: there is no such"),
        ("classes: {timeout: {max_attempts: 0}}", "classes.timeout.max_attempts: "),
        ("classes: {timeout: {strategies: [retry]}}", "classes.timeout.strategies.0: 'retry' is "),
        ("classes: {timeout: {strategies: []}}", "classes.timeout.strategies: "),
        ("classes: {timeout: {strategies: [fail, immediate_retry]}}", "others after 'fail'"),
        ("classes: {timeout: {strategies: [fail, fail]}}", "names one twice"),
        ("classes: {timeout: {base_delay_seconds: 90}}", "max_delay_seconds is less than"),
        ("classes: {timeout: {jitter: 2}}", "classes.timeout.jitter: "),
        ("classes: {budget: {strategies: [immediate_retry]}}", "classes.budget can only fail"),
        ("max_total_retries: -1", "max_total_retries: "),
        ("max_retries: 3", "max_retries: there is no such field. Did you mean max_total_retries?"),
        ("simplify: {drop: [' ']}", "a term is empty"),
        ("breaker: {open_second: 3}", "breaker.open_second: there is no such field. Did you mean"),
        ("- server_error", "the file is not a mapping of fields."),
        ("classes: [", ": This is not YAML"),
        ("max_total_retries: 1\nmax_total_retries: 2", ":2: max_total_retries: "),
    ],
)
def test_a_wrong_file_is_refused_by_its_field(tmp_path: Path, text: str, complaint: str) -> None:
    """At the start, with the file's name and the field: not when the first failure needs it."""
    write_settled(tmp_path / RULES_FILE, text)
    with pytest.raises(ConfigurationError) as error:
        RulesSource(tmp_path)
    assert str(tmp_path / RULES_FILE) in error.value.message
    assert complaint in error.value.message


def test_an_edited_file_holds_from_the_next_failure_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Appearing and changing count; one that breaks or goes changes nothing and is said once."""
    source = RulesSource(tmp_path)
    assert source.current() == load_rules(None)
    write_settled(tmp_path / RULES_FILE, "max_total_retries: 1")
    assert source.current().max_total_retries == 1
    write_settled(tmp_path / RULES_FILE, "max_total_retries: 2")
    assert source.current().max_total_retries == 2
    write_settled(tmp_path / RULES_FILE, "max_total_retries: many")
    with caplog.at_level(logging.WARNING):
        assert source.current().max_total_retries == 2
        assert source.current().max_total_retries == 2
    assert caplog.text.count("The rules stay as they were") == 1
    (tmp_path / RULES_FILE).write_text("")
    os.utime(tmp_path / RULES_FILE, (3, 3))
    with caplog.at_level(logging.WARNING):
        assert [source.current().max_total_retries for _ in range(2)] == [2, 2]
    assert caplog.text.count("is empty") == 1


def test_repeats_take_turns_until_the_attempts_are_spent() -> None:
    """Each way to repeat has its turn, the last goes on; other strategies don't count."""
    rule = ClassRule(
        strategies=(S.IMMEDIATE_RETRY, S.EXPONENTIAL_BACKOFF, S.MODEL_FALLBACK), max_attempts=4
    )
    turns = [rule.repeat(attempts) for attempts in range(1, 6)]
    assert turns == [S.IMMEDIATE_RETRY, S.EXPONENTIAL_BACKOFF, S.EXPONENTIAL_BACKOFF, None, None]
    assert ClassRule(strategies=(S.FAIL,), max_attempts=5).repeat(1) is None


def test_waits_grow_are_capped_and_jitter() -> None:
    """Base times base of the exponent for each turn, up to the most; jitter to both sides."""
    rule = ClassRule(
        strategies=(S.IMMEDIATE_RETRY, S.EXPONENTIAL_BACKOFF),
        max_attempts=9,
        base_delay_seconds=2,
        max_delay_seconds=20,
        exponential_base=3,
        jitter=0.5,
    )

    def wait(attempts: int, chance: float = 0.5) -> float:
        strategy = rule.repeat(attempts)
        assert strategy is not None
        return rule.wait(strategy, attempts, retry_after=None, chance=chance)

    assert [wait(attempts) for attempts in range(1, 6)] == [0, 2, 6, 18, 20]
    assert (wait(3, 0.0), wait(3, 1.0)) == (3, 9)
    delayed = ClassRule(strategies=(S.DELAYED_RETRY,), max_attempts=9, base_delay_seconds=5)
    assert delayed.wait(S.DELAYED_RETRY, 4, retry_after=None, chance=0.5) == 5


def test_retry_after_is_honoured_where_the_rule_says_so() -> None:
    """What the provider asks for is the least that is waited."""
    rule = ClassRule(strategies=(S.DELAYED_RETRY,), max_attempts=3, base_delay_seconds=5)
    assert rule.wait(S.DELAYED_RETRY, 1, retry_after=30, chance=0.5) == 30
    assert rule.wait(S.DELAYED_RETRY, 1, retry_after=1, chance=0.5) == 5
    deaf = rule.model_copy(update={"honour_retry_after": False})
    assert deaf.wait(S.DELAYED_RETRY, 1, retry_after=30, chance=0.5) == 5


@pytest.mark.parametrize(
    ("text", "simple"),
    [
        ("A bloody, violent battle with a Gun", "A battle with a prop"),
        ("a weapon, a weaponless knight", "a prop, a weaponless knight"),
        ("Nude", ""),
        ("A calm lake", "A calm lake"),
        ("A calm  lake", "A calm  lake"),
        ("blood, everywhere", "red paint, everywhere"),
    ],
)
def test_terms_are_dropped_and_replaced_as_whole_words(text: str, simple: str) -> None:
    """In any case, with the comma of a dropped word; a text without terms is not touched."""
    assert load_rules(None).simplify.apply(text) == simple


def test_the_longest_term_wins() -> None:
    """A phrase is found before a word in it, and marks of patterns are only text."""
    rules = Simplification(drop=("C++ (hot)",), replace={"blood": "paint", "blood red": "crimson"})
    assert rules.apply("blood red blood C++ (hot) wall") == "crimson paint wall"


def test_without_terms_nothing_is_simplified() -> None:
    """An empty list is a list too."""
    assert Simplification().apply("a bloody battle") == "a bloody battle"
    assert RetryRules.model_validate(load_rules(None).model_dump(mode="json")) == load_rules(None)
