#!/usr/bin/env bash
# Builds for wasm32-unknown-unknown what the arguments for `cargo build` select, or else aez-core without default features: with the
# toolchain of rustup where it has this target, or else with Debian's packages rustc-web, cargo-web and rust-web-src. Exits with 3 where
# neither is installed.
set -euo pipefail
cd "$(dirname "$0")/.."

target=wasm32-unknown-unknown
[ $# -gt 0 ] || set -- --release -p aez-core --no-default-features
build=(build --locked --target "$target" --target-dir target/wasm "$@")

if rustup target list --installed 2>/dev/null | grep -qx "$target"; then
  RUSTFLAGS="-Ctarget-feature=+simd128" exec cargo "${build[@]}"
fi
if [ ! -e /usr/lib/rustlib/src ] && ! dpkg-query -W rustc-web >/dev/null 2>&1; then
  echo "neither the target $target of rustup nor Debian's rustc-web is installed" >&2
  exit 3
fi
# Debian's compiler is older than the minimum version of this workspace: it has some of the library functions that are used here
# behind feature gates. The standard library is compiled, too, because Debian has it for other targets only.
export RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Ctarget-feature=+simd128"
export RUSTC_WRAPPER="$PWD/scripts/rustc-with-gates.sh"
CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER="$(env -u RUSTC rustc --print sysroot)/lib/rustlib/x86_64-unknown-linux-gnu/bin/rust-lld"
export CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER
exec /usr/bin/cargo "${build[@]}" -Zbuild-std=std,panic_abort --ignore-rust-version
