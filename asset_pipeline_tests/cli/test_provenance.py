"""`provenance init`, `generate`, `export --require-marks`, `verify`, as a person runs them."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from asset_pipeline_tests.cli.conftest import Done, Sandbox
from asset_pipeline_tests.support.media_samples import picture_bytes

Cli = Callable[..., Done]


def beside(path: Path) -> Path:
    """Return where a stored clip's manifest lies."""
    return path.with_name(f"{path.name}.c2pa")


@pytest.mark.usefixtures("workspace")
def test_a_clip_leaves_signed_and_is_found_again(
    cli: Cli, sandbox: Sandbox, tmp_path: Path
) -> None:
    """From the key to the bare copy; the original, the store check and the tables agree."""

    def run(*arguments: str) -> Done:
        return cli(*arguments, env={"REPLICATE_BASE_URL": sandbox.url})

    made = run("provenance", "init", "--json")
    assert made.code == 0, made.err
    assert "nothing elsewhere" in made.json["worth"]
    assert run("provenance", "init").code == 2
    assert run("generate", "--kind", "image").code == 0
    clip_files = [p for p in (tmp_path / "data").rglob("*.webp") if "clips" in p.parts]
    assert len(clip_files) == 3
    assert all(beside(path).is_file() for path in clip_files)
    whole = {path: path.read_bytes() for path in clip_files}
    told = run("verify", *map(str, clip_files), "--json").json["files"]
    assert [file["verdict"] for file in told] == ["trusted"] * 3
    out = tmp_path / "out"
    exported = run("export", "--to", str(out), "--require-marks", "--json")
    assert exported.code == 0, exported.out
    assert run("export", "--to", str(out), "--require-marks", "--json").json["unchanged"] == 3
    path = out / "houses" / "red-house-1.webp"
    (entry,) = [
        each for each in exported.json["clips"] if each["path"] == "houses/red-house-1.webp"
    ]
    assert entry["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert entry["original_sha256"] != entry["sha256"]
    (file,) = run("verify", str(path), "--json").json["files"]
    assert (file["verdict"], file["clip"]["found_by"]) == ("trusted", "sha256")
    assert file["clip"]["clip_id"] == entry["clip_id"]
    assert "prompt" not in file["says"]
    with Image.open(path) as image:
        image.convert("RGB").save(tmp_path / "bare.jpg", quality=70)
    bare = run("verify", str(tmp_path / "bare.jpg"), "--json")
    assert bare.code == 1
    (file,) = bare.json["files"]
    assert (file["verdict"], file["clip"]["found_by"]) == ("unmarked", "likeness")
    assert file["clip"]["clip_id"] == entry["clip_id"]
    assert run("fsck").code == 0
    query = (
        "SELECT signed_by, role, count(*) AS n FROM provenance WHERE role <> 'original' "
        "GROUP BY ALL ORDER BY role"
    )
    assert run("sql", "--json", query).json == [
        {"signed_by": "us", "role": "export", "n": 3},
        {"signed_by": "us", "role": "sidecar", "n": 3},
    ]
    assert run("provenance", "init", "--renew").code == 0
    sealed = run("provenance", "seal", "--json").json
    assert (sealed["signed"], sealed["there_already"], sealed["failed"]) == (3, 0, [])
    assert run("provenance", "seal", "--json").json["there_already"] == 3
    assert {path: path.read_bytes() for path in clip_files} == whole
    listed = run("verify", str(path), "--no-ledger")
    assert "lion" not in listed.out
    assert "trainedAlgorithmicMedia" in listed.out


def test_files_are_verified_without_any_project(cli: Cli, tmp_path: Path) -> None:
    """No ledger is made for it; what is not there is bad input, what says nothing is 1."""
    path = tmp_path / "some.png"
    path.write_bytes(picture_bytes("png"))
    told = cli("verify", str(path), "--json")
    assert (told.code, told.json["ledger"]) == (1, False)
    assert told.json["files"][0]["verdict"] == "unmarked"
    assert not (tmp_path / "data").exists()
    assert cli("verify", str(tmp_path / "none.png")).code == 2
    assert cli("verify", str(tmp_path)).code == 2
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        image.save(tmp_path / "cut.png")
    cut = (tmp_path / "cut.png").read_bytes()[:120]
    (tmp_path / "cut.png").write_bytes(cut)
    assert cli("verify", str(tmp_path / "cut.png"), "--json").json["files"][0]["verdict"] == (
        "damaged"
    )
