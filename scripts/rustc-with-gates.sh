#!/bin/sh
# A compiler wrapper for build-wasm.sh: enables what is stable in the minimum version of this workspace, and is not in Rust 1.85.
exec "$@" "-Zcrate-attr=feature(unsigned_is_multiple_of, slice_as_chunks, integer_sign_cast, let_chains)"
