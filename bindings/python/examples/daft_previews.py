"""A folder of pictures as a Parquet table of previews and small files, by Daft.

    pip install "aez[tile,pillow]" daft
    python daft_previews.py PICTURES TABLE

The same command goes on with a run that was interrupted. `daft.read_parquet("TABLE/part-*/*.parquet")` reads the table.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import daft
import previews
from daft import DataType, col

ROW = DataType.struct({field.name: DataType.from_arrow_type(field.type) for field in previews.SCHEMA})


def main() -> None:
    options = previews.parse_options(__doc__)

    @daft.func(return_dtype=ROW, unnest=True)
    def encode(path: str) -> dict[str, Any]:
        return previews.encode(path, options)

    def write(paths: list[str], folder: Path) -> None:
        rows = daft.from_pydict({"name": paths}).select(encode(col("name")))
        rows.write_parquet(str(folder))

    previews.run(options, write)


if __name__ == "__main__":
    main()
