"""The bucket settings that the environment asks for."""

from __future__ import annotations

import json
import re
from typing import Any, Final, cast

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.settings import Settings
from asset_pipeline.stores.bucket_settings import NOTHING_ASKED, BucketSettings
from asset_pipeline.stores.factory import bucket_of

# RFC 9110's token, and what may stand in a value.
_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}", re.ASCII)
_VALUE: Final = re.compile(r"[\x20-\x7e\t]{0,2000}", re.ASCII)

_EXAMPLE: Final = """'{"x-amz-expected-bucket-owner": "111122223333"}'"""


def bucket_settings(settings: Settings) -> BucketSettings:
    """Return the settings for requests to the store's bucket.

    Raises:
        ConfigurationError: ``ASSET_PIPELINE_STORE_HEADERS`` is no set of headers.
    """
    return BucketSettings(
        encryption=settings.store_encryption,
        kms_key=settings.store_kms_key,
        requester_pays=settings.store_requester_pays,
        user_project=settings.store_user_project,
        addressing=settings.store_addressing,
        headers=_headers(settings),
    )


def settings_for(url: str, settings: Settings) -> BucketSettings:
    """Return the settings for another place: the store's, if it is the same bucket.

    Raises:
        ConfigurationError: The settings are wrong.
    """
    try:
        there, store = bucket_of(url), bucket_of(settings.store_url)
    except ConfigurationError:
        return NOTHING_ASKED  # opening it says what is wrong
    if there is None or store is None:
        return NOTHING_ASKED
    is_same = (there.scheme, there.bucket) == (store.scheme, store.bucket)
    return bucket_settings(settings) if is_same else NOTHING_ASKED


def _headers(settings: Settings) -> dict[str, str]:
    """Read the headers; their values are never part of an error, for they may be secret."""
    if settings.store_headers is None:
        return {}
    try:
        found = json.loads(settings.store_headers.get_secret_value())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise ConfigurationError(
            "ASSET_PIPELINE_STORE_HEADERS is no JSON object.", hint=f"Write it as {_EXAMPLE}."
        )
    headers = cast("dict[str, Any]", found)
    for name, value in headers.items():
        is_header = isinstance(value, str) and _NAME.fullmatch(name) and _VALUE.fullmatch(value)
        if not is_header or name.lower() in {"host", "authorization", "content-length"}:
            raise ConfigurationError(
                f"ASSET_PIPELINE_STORE_HEADERS: {name!r:.120} is no header that can be added.",
                hint=f"Write names and values as {_EXAMPLE}.",
            )
    return headers
