"""A folder of pictures as a table of previews and small files: what the variants for Daft and Ray have in common.

The table is a folder of Parquet files with one row for each picture:

    path     its path in the folder
    width, height
    preview  a text to show until the picture has been loaded
    file     the picture as an `.aez` file, scaled down to at most `--edge` pixels
    error    why there is neither, for a file that is no picture

Pictures are encoded in batches. Each batch is written to a folder of its own, which gets its name when it is complete. A run that was
interrupted loses one batch at most: the next run goes on with the pictures that are in no complete batch. Only one run at a time may
write to a table.
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aez
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

EXTENSIONS = {".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".aez"}
SCHEMA = pa.schema(
    [
        ("path", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("preview", pa.string()),
        ("file", pa.binary()),
        ("error", pa.string()),
    ]
)


def encode(path: str, options: argparse.Namespace) -> dict[str, Any]:
    """The row of a picture."""
    row: dict[str, Any] = dict.fromkeys(SCHEMA.names) | {"path": path}
    try:
        with Image.open(options.pictures / path) as image:
            row["width"], row["height"] = image.size
            # Does not change the aspect ratio, and lets a JPEG file be decoded at a fraction of its size.
            image.thumbnail((options.edge, options.edge))
            preview = aez.preview(image, bytes=options.preview_bytes)
            file = aez.encode(image, model=options.model, quality=options.quality, strip=True)
            row |= {"preview": preview, "file": file}
    except Exception as error:
        # Whatever is wrong with one picture, it must not stop the others.
        row["error"] = f"{type(error).__name__}: {error}"
    return row


def parse_options(description: str | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pictures", type=Path, help="a folder of pictures, with its subfolders")
    parser.add_argument("table", type=Path, help="the folder for the Parquet files")
    parser.add_argument("--edge", type=int, default=256, help="longest side of the files in pixels (default %(default)s)")
    parser.add_argument("--model", default="tile", help="model of the files (default %(default)s)")
    parser.add_argument("--quality", type=int, default=75, help="quality of the files (default %(default)s)")
    parser.add_argument("--preview-bytes", type=int, default=30, help="bytes of a preview (default %(default)s)")
    parser.add_argument("--batch", type=int, default=500, help="pictures in a batch (default %(default)s)")
    options = parser.parse_args()
    options.pictures = options.pictures.resolve()
    return options


def run(options: argparse.Namespace, write: Callable[[list[str], Path], object]) -> None:
    """Encodes all pictures that are not in the table. `write` encodes a batch, and writes it to a folder that it makes."""
    options.table.mkdir(parents=True, exist_ok=True)
    for left_over in options.table.glob(".incomplete-*"):
        shutil.rmtree(left_over)
    parts = sorted(options.table.glob("part-*"))
    done = {path for part in parts for path in pq.read_table(part, columns=["path"])["path"].to_pylist()}
    files = (file for file in options.pictures.rglob("*") if file.suffix.lower() in EXTENSIONS and file.is_file())
    paths = sorted({file.relative_to(options.pictures).as_posix() for file in files} - done)
    print(f"{len(paths)} pictures, and {len(done)} that are in the table already")

    start, first = time.monotonic(), 1 + max((int(part.name.removeprefix("part-")) for part in parts), default=-1)
    for number, at in enumerate(range(0, len(paths), options.batch), first):
        incomplete = options.table / f".incomplete-{time.time_ns()}"
        write(paths[at : at + options.batch], incomplete)
        incomplete.rename(options.table / f"part-{number:06}")
        count, seconds = min(at + options.batch, len(paths)), time.monotonic() - start
        print(f"{count} of {len(paths)} pictures, {count / seconds:.1f} per second", flush=True)

    table = pq.read_table([file for part in options.table.glob("part-*") for file in part.glob("*.parquet")])
    failed = table.filter(pa.compute.is_valid(table["error"]))
    print(f"{len(table)} rows, {len(failed)} with an error")
