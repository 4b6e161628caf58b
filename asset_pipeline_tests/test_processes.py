"""A process is looked at only where its number is known to mean it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import replace

import pytest

from asset_pipeline.processes import identity_from, started_of, this_process

_ASK = """
from asset_pipeline.processes import identity_from, this_process
import sys
print(this_process().to_text(), identity_from(*sys.argv[1:]).runs())
"""


def _elsewhere(*options: str) -> list[str]:
    """Ask about this process from a process namespace of its own."""
    if shutil.which("unshare") is None or os.geteuid():
        pytest.skip("a process namespace of its own takes root and util-linux's unshare")
    own = this_process()
    command = ["unshare", "--pid", "--fork", *options, sys.executable, "-c", _ASK]
    asked = subprocess.run(
        [*command, own.host, own.to_text()], capture_output=True, text=True, check=True
    )
    return asked.stdout.split()


def test_this_process_runs_and_its_text_is_it() -> None:
    """What is written of a process is enough to ask about it."""
    own = this_process()
    read = identity_from(own.host, own.to_text())
    assert read is not None
    assert read.runs() is True
    assert replace(read, started=own.started) == own


@pytest.mark.parametrize("text", ["", "12@1.5", "a/b/c@d", "a/b/-1@2", "a/b/1@2/3"])
def test_other_texts_are_no_process(text: str) -> None:
    """Rows and tags of earlier releases, or of anybody else, name no process."""
    assert identity_from("host", text) is None


@pytest.mark.parametrize("field", ["host", "boot_id", "pid_namespace"])
@pytest.mark.parametrize("value", ["", "another"])
def test_of_another_place_nothing_can_be_said(field: str, value: str) -> None:
    """Equal in all else, it may be another machine's, a clone's or another container's."""
    assert replace(this_process(), **{field: value}).runs() is None


def test_a_later_process_with_the_number_is_another() -> None:
    """A number that was given out again is told by its start; no number is no process."""
    own = this_process()
    assert replace(own, started=own.started - 1).runs() is False
    assert replace(own, pid=2**22 + 1).runs() is False
    assert replace(own, pid=0).runs() is None
    assert replace(own, pid=-1).runs() is None


def test_a_killed_process_does_not_run_even_unburied() -> None:
    """A zombie does nothing any more."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        identity = replace(this_process(), pid=child.pid, started=started_of(child.pid))
        assert identity.runs() is True
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert identity.runs() is False
    assert identity.runs() is False


def test_a_namespace_of_its_own_tells_nothing_of_this_one() -> None:
    """Process 1 there is not process 1 here, and this process has no number there."""
    text, runs = _elsewhere("--mount-proc")
    assert "/1@" in text
    assert runs == "None"


def test_a_namespace_that_shows_its_parents_processes_knows_no_place() -> None:
    """Its own numbers are not those under /proc: nobody is looked at by them."""
    text, runs = _elsewhere()
    assert text.split("/")[1] == ""
    assert runs == "None"
