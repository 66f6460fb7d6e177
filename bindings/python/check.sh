#!/usr/bin/env bash
# Builds the wheels, installs them into an empty virtual environment, and tests them there. AEZ_PYTHON selects the interpreter.
set -euo pipefail
cd "$(dirname "$0")"

target=$PWD/../../target
wheels=$target/wheels
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export CARGO_TARGET_DIR=$target

cargo fmt --check
cargo clippy --release --locked -- -D warnings

"${AEZ_PYTHON:-python3}" -m venv "$work/venv"
pip() { "$work/venv/bin/python" -m pip --quiet --disable-pip-version-check "$@"; }
pip install maturin mypy numpy pillow pytest
# Only for the examples, whose tests are skipped without them.
for packages in "daft pyarrow" "ray[data]"; do
  # shellcheck disable=SC2086
  pip install $packages || echo "not installed: $packages"
done

rm -rf "$wheels"
"$work/venv/bin/maturin" build --release --out "$wheels"
pip wheel --no-deps --wheel-dir "$wheels" ../python-model-tile
pip install --no-deps "$wheels"/*.whl

"$work/venv/bin/python" -m mypy --strict -p aez -p aez_model_tile
# The configuration of pytest is here; the package under test is the installed one.
"$work/venv/bin/python" -m pytest -p no:cacheprovider "$@"
ls -l "$wheels"
