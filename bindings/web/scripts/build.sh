#!/usr/bin/env bash
# Builds the WebAssembly module, and puts what the npm package consists of into lib/. Exits with 3 where no toolchain for WebAssembly is
# installed.
set -euo pipefail
cd "$(dirname "$0")/.."

../../scripts/build-wasm.sh --profile wasm --manifest-path bindings/web/Cargo.toml
module=../../target/wasm/wasm32-unknown-unknown/wasm/aez_web.wasm
optimized=../../target/wasm/aez_web.opt.wasm
features=(--enable-simd --enable-bulk-memory --enable-sign-ext --enable-mutable-globals --enable-nontrapping-float-to-int
  --enable-reference-types --enable-multivalue)
npx --no-install wasm-opt -O3 --converge "${features[@]}" -o "$optimized" "$module"
node scripts/inline.mjs "$optimized" lib/wasm.js
cp ../../models/photo.safetensors lib/
cp ../../LICENSE-MIT ../../LICENSE-APACHE .
