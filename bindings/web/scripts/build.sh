#!/usr/bin/env bash
# Builds the WebAssembly module, and puts what the npm package consists of into lib/. Exits with 3 where no toolchain for WebAssembly is
# installed.
set -euo pipefail
cd "$(dirname "$0")/.."

features=(--enable-simd --enable-bulk-memory --enable-sign-ext --enable-mutable-globals --enable-nontrapping-float-to-int
  --enable-reference-types --enable-multivalue)

# Two modules: pages that only show previews need not load what decodes files.
module() {
  ../../scripts/build-wasm.sh --profile wasm --manifest-path bindings/web/Cargo.toml --features "$1"
  npx --no-install wasm-opt -Os "${features[@]}" -o "../../target/wasm/aez_$1.wasm" \
    ../../target/wasm/wasm32-unknown-unknown/wasm/aez_web.wasm
  node scripts/inline.mjs "../../target/wasm/aez_$1.wasm" "lib/$2"
}
module previews wasm.js
module files files-wasm.js
cp ../../crates/aez-core/models/photo.safetensors lib/
cp ../../LICENSE-MIT ../../LICENSE-APACHE .
