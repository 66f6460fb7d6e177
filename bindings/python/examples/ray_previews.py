"""A folder of pictures as a Parquet table of previews and small files, by Ray Data: on all cores of a machine, or of a cluster.

    pip install "aez[tile,pillow]" "ray[data]"
    RAYON_NUM_THREADS=1 python ray_previews.py PICTURES TABLE

Ray starts one process for each core, so each needs one thread only. The same command goes on with a run that was interrupted. On a
cluster, PICTURES and TABLE must be on a file system that all machines share.
"""

from __future__ import annotations

from pathlib import Path

import previews
import pyarrow as pa
import ray


def main() -> None:
    options = previews.parse_options(__doc__)

    def encode(batch: pa.Table) -> pa.Table:
        rows = [previews.encode(path, options) for path in batch["path"].to_pylist()]
        return pa.Table.from_pylist(rows, schema=previews.SCHEMA)

    def write(paths: list[str], folder: Path) -> None:
        rows = ray.data.from_items([{"path": path} for path in paths])
        rows.map_batches(encode, batch_format="pyarrow", batch_size=16).write_parquet(str(folder.resolve()))

    previews.run(options, write)


if __name__ == "__main__":
    main()
