"""What the machine or the shell gave too little of, in a sentence: memory, handles, text."""

from __future__ import annotations

import errno
import resource
from collections.abc import Iterator

from asset_pipeline.errors import AssetPipelineError

_NO_MEMORY = ("failed to map segment", "cannot allocate memory", "can't start new thread")
_NO_HANDLES = {errno.EMFILE, errno.ENFILE}
_LONGEST_CHAIN = 20

LEAST_HANDLES = 40
"""A run of one clip ends well with so many; with 24 it breaks at places that can't say why."""

LEAST_BYTES = 512 * 1024**2
"""Address space: with 300 MB a run starts, and stalls for minutes where it finds no more."""

_LONGEST_QUOTE = 80


def shortage(error: BaseException) -> AssetPipelineError | None:
    """Return an error that people understand, if what went wrong is no fault of the program's.

    What a library made of it is looked through: its cause counts.
    """
    for link in _chain(error):
        if isinstance(link, UnicodeEncodeError) and link.reason == "surrogates not allowed":
            return AssetPipelineError(
                f"This is no UTF-8 text: {link.object[:_LONGEST_QUOTE]!r}.",
                hint="Check the arguments of the command and the environment.",
            )
        number = link.errno if isinstance(link, OSError) else None
        if number in _NO_HANDLES:
            return AssetPipelineError(
                "This process may not open that many files.",
                hint="Allow more, by `ulimit -n 1024`, and run the command again.",
            )
        said = str(link).lower()
        short = number == errno.ENOMEM or any(words in said for words in _NO_MEMORY)
        if isinstance(link, MemoryError) or short:
            return AssetPipelineError(
                "There is too little memory, or too few threads are allowed.",
                hint="End other programs or allow more (`ulimit -v`, `ulimit -u`); what was paid "
                "for is in the ledger, and the next run goes on from there.",
            )
    return None


def check_room() -> None:
    """Refuse to start a run where the shell allows less than any run needs.

    Raises:
        AssetPipelineError: It does; nothing was done.
    """
    handles = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if handles != resource.RLIM_INFINITY and handles < LEAST_HANDLES:
        raise AssetPipelineError(
            f"This process may open {handles} files; a run needs {LEAST_HANDLES} and more.",
            hint="Allow more, by `ulimit -n 1024`, and run the command again.",
        )
    memory = resource.getrlimit(resource.RLIMIT_AS)[0]
    if memory != resource.RLIM_INFINITY and memory < LEAST_BYTES:
        raise AssetPipelineError(
            f"This process may take {memory / 1024**2:,.0f} MiB of memory; a run needs "
            f"{LEAST_BYTES / 1024**2:,.0f} and more.",
            hint="Allow more (`ulimit -v unlimited`), and run the command again.",
        )


def _chain(error: BaseException) -> Iterator[BaseException]:
    link: BaseException | None = error
    for _ in range(_LONGEST_CHAIN):
        if link is None:
            return
        yield link
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
