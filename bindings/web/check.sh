#!/usr/bin/env bash
# Builds the npm package, installs its archive into an empty project, and tests it there in Node and, where it is installed, in Chromium.
# Exits with 3 where the toolchain for WebAssembly or Node is missing. SCREENSHOTS is a folder for pictures of the pages.
set -euo pipefail
cd "$(dirname "$0")"

command -v npm >/dev/null || { echo "npm is not installed" >&2; exit 3; }
export CARGO_TARGET_DIR=$PWD/../../target
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cargo fmt --check
cargo clippy --locked --all-features --all-targets -- -D warnings
cargo build --locked --example native --features previews
export AEZ_NATIVE=$CARGO_TARGET_DIR/debug/examples/native

[ node_modules/.package-lock.json -nt package-lock.json ] || npm ci --ignore-scripts --no-fund --no-audit
scripts/build.sh

npm pack --silent --pack-destination "$work"
mkdir "$work/project"
cp test/*.mjs test/consumer.ts test/tsconfig.json "$work/project/"
cp -r examples/next "$work/project/next"
pushd "$work/project" >/dev/null
echo '{ "private": true, "type": "module" }' >package.json
npm install --silent --offline --no-fund --no-audit "$work"/*.tgz
node --test --test-reporter=spec
# Only the types that the example for React needs.
ln -s "$OLDPWD/node_modules/@types" "$OLDPWD/node_modules/csstype" node_modules/
"$OLDPWD/node_modules/.bin/tsc" -p tsconfig.json
popd >/dev/null

if command -v chromium >/dev/null; then
  node scripts/demo.mjs
  node --test test/browser/*.test.mjs
else
  echo "not tested in a browser: chromium is not installed"
fi
