#!/bin/sh
# A compiler wrapper for build-wasm.sh: enables library functions that are stable in the minimum version of this workspace, but not in
# Rust 1.85.
case ${CARGO_PKG_NAME:-} in
  aez-core | ruzstd | sha2)
    exec "$@" "-Zcrate-attr=feature(unsigned_is_multiple_of, slice_as_chunks, integer_sign_cast, let_chains)" ;;
  *) exec "$@" ;;
esac
