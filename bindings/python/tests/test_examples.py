"""The examples that make tables of previews, each in a process of its own that is killed once."""

from __future__ import annotations

import io
import subprocess
import sys
import time
from pathlib import Path

import aez
import pytest
from conftest import draw
from PIL import Image

EXAMPLES = Path(__file__).parents[1] / "examples"
PICTURES = 50


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    (folder / "inner").mkdir()
    for index in range(PICTURES):
        picture = draw(60 + index, 50, [3, 1, 4][index % 3], seed=index).squeeze()
        name = f"inner/{index}.PNG" if index % 5 == 0 else f"{index}.{['png', 'webp'][index % 2]}"
        Image.fromarray(picture).save(folder / name)
    (folder / "bad.jpg").write_bytes(b"\xff\xd8\xff\xe0 this is no picture")
    (folder / "cut.png").write_bytes((folder / "2.png").read_bytes()[:200])
    (folder / "notes.txt").write_text("not a picture by its name")
    return folder


@pytest.mark.parametrize("framework", ["daft", "ray"])
def test_a_killed_run_goes_on_and_no_picture_is_lost(framework: str, pictures: Path, tmp_path: Path) -> None:
    pytest.importorskip(framework)
    parquet = pytest.importorskip("pyarrow.parquet")
    table = tmp_path / "table"
    program = str(EXAMPLES / f"{framework}_previews.py")
    command = [sys.executable, program, str(pictures), str(table), "--batch", "10", "--edge", "64"]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 600
    while first.poll() is None and not list(table.glob("part-*")) and time.monotonic() < deadline:
        time.sleep(0.01)
    first.kill()
    first.wait()
    assert list(table.glob("part-*")), "the first run has completed a batch"

    second = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert second.returncode == 0, second.stderr
    assert f"{PICTURES + 2} rows, 2 with an error" in second.stdout

    rows = [row for file in table.glob("part-*/*.parquet") for row in parquet.read_table(file).to_pylist()]
    assert not list(table.glob(".*")), "what the killed run left is removed"
    names = sorted(row["path"] for row in rows)
    assert names == sorted(
        file.relative_to(pictures).as_posix() for file in pictures.rglob("*.*") if file.suffix != ".txt"
    )
    for row in rows:
        if row["path"] in ("bad.jpg", "cut.png"):
            assert row["error"] and row["file"] is None and row["preview"] is None
            continue
        assert row["error"] is None
        original = Image.open(pictures / row["path"])
        assert (row["width"], row["height"]) == original.size
        assert aez.decode_preview(row["preview"]).shape[2] == (4 if original.mode == "RGBA" else 3)
        opened = Image.open(io.BytesIO(row["file"]))
        assert max(opened.size) == min(64, max(original.size))
        opened.load()
