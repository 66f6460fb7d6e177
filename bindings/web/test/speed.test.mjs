// Sizes, and times: three times of what the README says, for machines that do other things beside. AEZ_FAST=1 tests the exact ones.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { brotliCompressSync, gzipSync } from "node:zlib";

import { decodePreview, encodePreview } from "aez-image";

import { draw } from "./pictures.mjs";

const SLACK = process.env.AEZ_FAST ? 1 : 3;
const lib = "node_modules/aez-image/lib/";
const { wasmBytes } = await import(`${process.cwd()}/${lib}wasm.js`);

const texts = Array.from({ length: 100 }, (_, seed) => draw(seed))
  .map(({ data, width, height }) => encodePreview(data, width, height));

test("the package is small", () => {
  const parts = {
    "WebAssembly with weights": Buffer.from(wasmBytes()),
    "all of `aez-image`": Buffer.concat(["index", "core", "deflate", "png", "text", "wasm"].map(name => readFileSync(`${lib}${name}.js`))),
    "what `aez-image/files` adds": Buffer.concat(["files", "files-wasm"].map(name => readFileSync(`${lib}${name}.js`))),
    "photo.safetensors": readFileSync(`${lib}photo.safetensors`),
  };
  for (const [name, bytes] of Object.entries(parts)) {
    const gzip = gzipSync(bytes, { level: 9 }).length;
    console.log(`${name}: ${bytes.length} bytes, gzip ${gzip}, brotli ${brotliCompressSync(bytes).length}`);
    if (name !== "photo.safetensors") assert.ok(gzip <= 330_000, `${name}: ${gzip} bytes`);
  }
});

test("a preview is decoded within 8 ms", () => {
  for (const size of [undefined, { width: 320, height: 240 }]) {
    const start = performance.now();
    for (const text of texts) decodePreview(text, size);
    const each = (performance.now() - start) / texts.length;
    console.log(`decoding to ${size ? "320x240" : "the default size"}: ${each.toFixed(2)} ms each`);
    if (!size) assert.ok(each <= 8 * SLACK, `${each} ms`);
  }
});

test("the first preview is decoded within 100 ms", () => {
  const code = `import { decodePreview } from "aez-image"; const start = performance.now(); decodePreview(${JSON.stringify(texts[0])});
    console.log(performance.now() - start)`;
  const times = [1, 2, 3].map(() => Number(execFileSync(process.execPath, ["--input-type=module", "-e", code])));
  console.log(`first decode of a process: ${times.map(time => time.toFixed(0)).join(", ")} ms`);
  assert.ok(Math.min(...times) <= 100 * SLACK);
});
