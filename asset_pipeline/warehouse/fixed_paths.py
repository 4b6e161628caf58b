"""The fixed paths at which people find what the provider in use has published.

A fixed path is a link to the provider's own file, renamed into its place whenever a command looks
or publishes. It imports nothing that takes time: `sql` looks too.
"""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path

from asset_pipeline.files import atomic_path
from asset_pipeline.settings import ProviderName, Settings


def point_to_own(settings: Settings) -> None:
    """Point the fixed paths to the files of the provider in use, or remove them.

    Raises:
        OSError: The data folder can't be written.
    """
    for path, own in _fixed(settings).items():
        _show(path, own)


def is_undecided(settings: Settings) -> bool:
    """Tell whether an earlier release left files there that are yet to be handed to a provider."""
    return any(map(_is_of_an_earlier_release, _fixed(settings)))


def hand_over(settings: Settings, owner: ProviderName) -> None:
    """Make what an earlier release left there a provider's own.

    Raises:
        OSError: The data folder can't be written.
    """
    for path in _fixed(settings):
        if _is_of_an_earlier_release(path):
            path.replace(_of(path, owner))


def _fixed(settings: Settings) -> Mapping[Path, Path]:
    return {
        settings.warehouse_path: settings.own_warehouse_path,
        settings.gallery_path: settings.own_gallery_path,
    }


def _show(path: Path, own: Path) -> None:
    if not own.exists():
        path.unlink(missing_ok=True)
    elif not _shows(path, own):
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(6)}.tmp")
        try:
            temporary.symlink_to(own.name)
            temporary.replace(path)
        except OSError:
            # A file system without links: a copy, renamed in likewise.
            temporary.unlink(missing_ok=True)
            with atomic_path(path, private=True) as copy:
                shutil.copy2(own, copy)


def _shows(path: Path, own: Path) -> bool:
    if path.is_symlink():
        return path.readlink() == Path(own.name)
    if not path.exists():
        return False
    there, here = path.stat(), own.stat()
    return (there.st_size, there.st_mtime_ns) == (here.st_size, here.st_mtime_ns)


def _is_of_an_earlier_release(path: Path) -> bool:
    """Tell whether a file is no link, and no copy of a provider's own file."""
    others = (_of(path, provider) for provider in ProviderName)
    return path.is_file() and not path.is_symlink() and not any(map(Path.exists, others))


def _of(path: Path, provider: ProviderName) -> Path:
    return path.with_suffix(f".{provider}{path.suffix}")
