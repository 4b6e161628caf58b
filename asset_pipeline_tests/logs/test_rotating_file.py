"""Many processes append to one log and rotate it."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

from asset_pipeline.logs.rotating_file import SharedRotatingFile

_WRITER = """
import logging, sys
from pathlib import Path
from asset_pipeline.logs.formats import JsonLines
from asset_pipeline.logs.rotating_file import SharedRotatingFile
path, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
handler = SharedRotatingFile(path, max_bytes=40_000, backups=50)
handler.setFormatter(JsonLines())
log = logging.getLogger(name)
log.addHandler(handler)
log.setLevel(logging.INFO)
sys.stdout.write("ready\\n"); sys.stdout.flush()
sys.stdin.readline()
for number in range(count):
    log.info("%s", "x" * (number % 300), extra={"number": number})
"""


def test_processes_lose_and_mix_no_line(tmp_path: Path) -> None:
    """Every line of four processes is whole and there once, over many rotations."""
    path, count = tmp_path / "log.jsonl", 600
    command = [sys.executable, "-c", _WRITER, str(path)]
    writers = [
        subprocess.Popen(
            [*command, f"writer{number}", str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("go\n")
        writer.stdin.flush()
    for writer in writers:
        writer.communicate(timeout=120)
        assert writer.returncode == 0
    files = list(tmp_path.glob("log.jsonl*"))
    assert len(files) > 5
    lines = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    seen = sorted((line["logger"], line["number"]) for line in lines)
    assert seen == [(f"writer{writer}", n) for writer in range(4) for n in range(count)]


def test_old_files_go(tmp_path: Path) -> None:
    """The newest file and so many older ones stay, each within its size."""
    handler = SharedRotatingFile(tmp_path / "log", max_bytes=1000, backups=2)
    for number in range(100):
        handler.emit(logging.makeLogRecord({"msg": f"line {number} {'x' * 90}"}))
    handler.close()
    files = sorted(file.name for file in tmp_path.glob("log*"))
    assert files == ["log", "log.1", "log.2"]
    assert all((tmp_path / name).stat().st_size <= 1000 for name in files)
    assert (tmp_path / "log").read_text().splitlines()[-1].split()[1] == "99"


def test_a_file_that_was_moved_is_made_again(tmp_path: Path) -> None:
    """What a person or another tool moved or removed is written anew."""
    path = tmp_path / "log"
    handler = SharedRotatingFile(path, max_bytes=1000, backups=1)
    handler.emit(logging.makeLogRecord({"msg": "one"}))
    path.rename(tmp_path / "elsewhere")
    handler.emit(logging.makeLogRecord({"msg": "two"}))
    path.unlink()
    handler.emit(logging.makeLogRecord({"msg": "three"}))
    handler.close()
    assert path.read_text() == "three\n"
