"""From a store's URL to the store."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from asset_pipeline.errors import ConfigurationError
from asset_pipeline.stores.local import LocalStore
from asset_pipeline.stores.protocol import Store


def open_store(url: str) -> Store:
    """Return the store that ``url`` names; nothing is read or written yet.

    Args:
        url: A folder's path (``~`` is the home folder) or ``file://`` URL.

    Raises:
        ConfigurationError: No store of this kind exists.
    """
    scheme, separator, _ = url.partition("://")
    if not url.strip():
        raise ConfigurationError(
            "The store's URL is empty.", hint="Set ASSET_PIPELINE_STORE_URL to a folder."
        )
    if not separator:
        return LocalStore(Path(url).expanduser())
    parts = urlsplit(url)
    if scheme.lower() == "file" and parts.netloc in {"", "localhost"} and parts.path:
        return LocalStore(Path(unquote(parts.path)))
    raise ConfigurationError(
        f"{scheme}:// is no store that clips can be kept in.",
        hint="Set ASSET_PIPELINE_STORE_URL to the path of a local folder.",
    )
