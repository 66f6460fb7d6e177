// Writes a WebAssembly module into a JavaScript module: `inline.mjs MODULE.wasm OUTPUT.js`. An import then needs no download beside, works
// without a bundler's support for WebAssembly, and is synchronous.

import { readFileSync, writeFileSync } from "node:fs";

const [, , from, to] = process.argv;
const text = readFileSync(from).toString("base64");
writeFileSync(to, `// Made by scripts/inline.mjs.

const TEXT = "${text}";

/** The WebAssembly module. */
export function wasmBytes() {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(TEXT);
  const binary = atob(TEXT);
  const bytes = new Uint8Array(binary.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = binary.charCodeAt(at);
  return bytes;
}
`);
