"""Files of others: none holds, floods or misleads whoever opens it."""

from __future__ import annotations

import os
import socket
import time
import tracemalloc
from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from asset_pipeline.catalog.reader import load_catalog
from asset_pipeline.config.yaml_source import SourceError, parse_yaml, read_configuration
from asset_pipeline.errors import ConfigurationError
from asset_pipeline.foreign.files import ForeignFileError, digest_file, files_below, read_file
from asset_pipeline.prompts.library import Library, load_library

_GOOD = (
    "defaults: {model: black-forest-labs/flux-schnell}\nprompts:\n  - {id: good, text: A tree}\n"
)
_SECRET = "root:x:0:0:secret-shadow"


def _sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            listening.bind(f"/proc/self/fd/{folder}/{path.name}")
        finally:
            os.close(folder)


def _outside(path: Path) -> None:
    secret = path.parent.parent.parent / "secret.yaml"
    secret.write_text(_SECRET)
    path.symlink_to(secret)


ODD_FILES: dict[str, tuple[Callable[[Path], object], str]] = {
    "pipe": (os.mkfifo, "a pipe"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "leads out of its folder"),
    "terminal": (lambda path: path.symlink_to("/dev/tty"), "leads out of its folder"),
    "folder": (Path.mkdir, ""),  # is walked into
    "socket": (_socket, "a socket"),
    "sparse": (_sparse, "longer than the 32 MiB"),
    "outside": (_outside, "leads out of its folder"),
    "loop": (lambda path: path.symlink_to(path), "cannot be read"),
    "nowhere": (lambda path: path.symlink_to(path.parent / "gone"), "cannot be read"),
}


def _library(root: Path) -> Library:
    return load_library(root, load_catalog(None), on=date(2026, 11, 21))


@pytest.mark.parametrize("kind", ODD_FILES)
def test_an_odd_file_is_one_problem_and_the_others_are_read(tmp_path: Path, kind: str) -> None:
    """It is told by name at once, nothing of a file outside is quoted, the good one is there."""
    make, said = ODD_FILES[kind]
    images = tmp_path / "prompts" / "images"
    images.mkdir(parents=True)
    (images / "good.yaml").write_text(_GOOD)
    make(images / "odd.yaml")
    started = time.monotonic()
    library = _library(tmp_path / "prompts")
    assert time.monotonic() - started < 5
    assert [prompt_id for _, prompt_id in library.prompts] == ["good"]
    problems = [str(problem) for problem in library.problems]
    assert len(problems) == bool(said)
    assert all("images/odd.yaml" in problem and said in problem for problem in problems)
    assert _SECRET not in str(problems)


@pytest.mark.parametrize("kind", ["pipe", "device", "socket", "sparse", "outside", "loop"])
def test_an_odd_reference_is_its_prompts_problem(tmp_path: Path, kind: str) -> None:
    """A reference is read by the same gate, and hashed in pieces."""
    images = tmp_path / "prompts" / "images"
    images.mkdir(parents=True)
    (images / "good.yaml").write_text(_GOOD)
    (images / "more.yaml").write_text(
        "prompts:\n  - {id: bad, text: A tree, model: black-forest-labs/flux-kontext-pro,"
        " reference: images/odd.png}\n"
    )
    ODD_FILES[kind][0](images / "odd.png")
    library = _library(tmp_path / "prompts")
    assert [prompt_id for _, prompt_id in library.prompts] == ["good"]
    assert [problem.prompt_id for problem in library.problems] == ["bad"]


def test_a_named_file_may_be_a_link_but_is_a_regular_one(tmp_path: Path) -> None:
    """Whoever names a file may name a link; a device is refused all the same."""
    (tmp_path / "real").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert read_file(tmp_path / "link", inside=None, most=100) == b"content"
    with pytest.raises(ForeignFileError, match="a device"):
        read_file(Path("/dev/zero"), inside=None, most=100)
    with pytest.raises(ForeignFileError, match="longer"):
        digest_file(tmp_path / "real", inside=None, most=3)
    with pytest.raises(ForeignFileError, match="none that"):
        read_file(Path("a\0b"), inside=None, most=3)


def test_a_file_whose_length_is_hidden_is_read_to_the_bound_only() -> None:
    """Files of /proc say that they are empty; what comes is counted."""
    with pytest.raises(ForeignFileError, match="longer"):
        read_file(Path("/proc/self/smaps"), inside=None, most=100)


def test_folders_are_walked_to_a_depth(tmp_path: Path) -> None:
    """A thousand folders in each other end no process; the deepest are reported."""
    inner = tmp_path
    descriptor = os.open(inner, os.O_RDONLY)
    for _ in range(60):
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    failed: list[OSError] = []
    assert list(files_below(tmp_path, failed)) == []
    assert "40 folders deep" in str(failed[0])


_WIDE = 20_000
DOCUMENTS = {
    "brackets": "[" * 200_000,
    "mappings": "{a: " * 100_000,
    "dashes": "- " * 100_000,
    "closed brackets": "[" * 50_000 + "]" * 50_000,
    "nested by lines": "\n".join(" " * depth + "a:" for depth in range(3000)),
    "unknown fields": "\n".join(f"field{n}: 1" for n in range(_WIDE)),
    "unknown inputs": "prompts:\n- id: a\n  text: b\n  inputs:\n"
    + "\n".join(f"    in{n}: 1" for n in range(_WIDE)),
    "unknown fields of many": "prompts:\n"
    + "\n".join(f"- {{id: p{n}, text: x, fiel{n}: 1}}" for n in range(5000)),
    "aliases": "a: &a [x,x]\n" + "\n".join(f"b{n}: *a" for n in range(_WIDE)),
    "laughs": "a: &a [x,x,x]\nb: &b [*a,*a,*a]\nc: &c [*b,*b,*b]\nprompts: *c",
    "huge integer": "prompts: [{id: a, text: b, variants: " + "9" * 200_000 + "}]",
    "huge key": "k" * 500_000 + ": 1",
    "huge name": "prompts: [{id: a, text: b, model: " + "m" * 500_000 + "}]",
    "question marks": "? " * 50_000,
    "directives": "".join(f"%TAG !t{n}! tag:x,2026:\n" for n in range(3000)) + "--- a",
    "anchors": "\n".join(f"- &a{n} x" for n in range(_WIDE)),
    "tags": "\n".join("- !!python/object:os.system x" for _ in range(_WIDE)),
    "one id": "prompts:\n" + "- {id: a, text: b}\n" * 5000,
    "quotes": "prompts: '" + "''" * 100_000,
    "control characters": "\x01" * 100_000,
    "NUL": "prompts: \x00",
    "UTF-16": "\ufffe\x00p",
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_document_costs_a_bounded_time_and_memory(tmp_path: Path, name: str) -> None:
    """However it is nested, wide or long: a few problems of bounded length, soon."""
    images = tmp_path / "images"
    images.mkdir()
    (images / "good.yaml").write_text(_GOOD)
    (images / "odd.yaml").write_text(DOCUMENTS[name], encoding="utf-8")
    started = time.process_time()
    library = _library(tmp_path)
    assert time.process_time() - started < 30  # under coverage; unbounded it takes minutes
    assert (next(iter(library.prompts)))[1] == "good"
    assert library.problems
    assert max(len(str(problem)) for problem in library.problems) < 5_000


def test_nothing_recurses_deeper_than_files_may_be_nested(tmp_path: Path) -> None:
    """A million brackets are a sentence; the parser's tree of them ended the process."""
    with pytest.raises(SourceError, match="nested over"):
        parse_yaml("[" * 1_000_000)
    path = tmp_path / "models.yaml"
    path.write_text("models: " + "[" * 1_000_000)
    tracemalloc.start()
    try:
        with pytest.raises(ConfigurationError, match=r"models.yaml:1: .*nested over"):
            read_configuration(path)
        assert tracemalloc.get_traced_memory()[1] < 100e6
    finally:
        tracemalloc.stop()
