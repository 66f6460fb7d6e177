// Whatever the input: a result or an error, never a trap, and the next call works.

import assert from "node:assert/strict";
import { test } from "node:test";

import { AezError, bytesToPreview, decodePreview, encodePng, encodePreview, previewToBytes, toDataURL } from "aez-image";
import { Model, decode, info } from "aez-image/files";
import { photoModel } from "aez-image/photo";

import { native, toText } from "./native.mjs";
import { draw, random } from "./pictures.mjs";

const next = random(7);
const { data, width, height } = draw(12);
const text = encodePreview(data, width, height, { bytes: 60 });
const expected = decodePreview(text);

/** Calls a function, which may fail with an error of this package that is not a defect. */
function attempt(call) {
  try {
    return call();
  } catch (error) {
    assert.ok(error instanceof AezError && error.code !== "internal" && error.message.length > 0, String(error.stack));
    return undefined;
  }
}

const fails = (call, code) => assert.throws(call, error => error instanceof AezError && error.code === code);

test("damaged texts", () => {
  for (let length = 0; length < text.length; length++) attempt(() => decodePreview(text.slice(0, length)));
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  for (let round = 0; round < 4000; round++) {
    const length = 1 + Math.floor(next() * 280);
    attempt(() => decodePreview(Array.from({ length }, () => letters[Math.floor(next() * 64)]).join("")));
  }
  // A check detects any single wrong character.
  for (let at = 0; at < text.length; at++) {
    const other = text[at] === "A" ? "B" : "A";
    fails(() => decodePreview(text.slice(0, at) + other + text.slice(at + 1)), "preview");
  }
  for (const wrong of ["", " ", "A", "=", "é", "\ud800", "\0", `${text}=`, `${text}\n`, "A".repeat(268), "A".repeat(1e7)]) {
    fails(() => decodePreview(wrong), "preview");
  }
  assert.deepEqual(decodePreview(text), expected);
});

test("values of other types", () => {
  for (const wrong of [undefined, null, 5, {}, [], Symbol.iterator, () => {}]) {
    fails(() => decodePreview(wrong), "argument");
    fails(() => toDataURL(wrong), "argument");
    fails(() => encodePreview(wrong, 1, 1), "argument");
    fails(() => info(wrong), "argument");
    fails(() => bytesToPreview(wrong), "argument");
    fails(() => previewToBytes(wrong), "preview");
    fails(() => new Model(wrong), "argument");
    fails(() => encodePng({ width: 1, height: 1, data: wrong }), "argument");
  }
  for (const size of [0, -1, 0.5, NaN, Infinity, 2 ** 31, "5"]) {
    fails(() => decodePreview(text, { width: size, height: 5 }), "argument");
    fails(() => encodePreview(data, width, size), "argument");
    fails(() => encodePreview(data, width, height, { bytes: size }), "argument");
  }
  fails(() => decodePreview(text, { width: 5 }), "argument");
  fails(() => encodePreview(data, width + 1, height), "argument");
  fails(() => encodePreview(new Uint8Array(0), 2 ** 30, 2 ** 30), "argument");
  fails(() => encodePng({ width: 3, height: 1, data: new Uint8Array(8) }), "argument");
});

test("limits", () => {
  fails(() => decodePreview(text, { width: 16385, height: 1 }), "limit");
  fails(() => decodePreview(text, { width: 16384, height: 16384 }), "limit");
  fails(() => decodePreview(text, { width: 101, height: 1, limits: { maxEdge: 100 } }), "limit");
  fails(() => decodePreview(text, { width: 11, height: 10, limits: { maxPixels: 100 } }), "limit");
  fails(() => decodePreview(text, { limits: { maxMemory: 1000 } }), "limit");
  fails(() => encodePreview(data, width, height, { limits: { maxPixels: 5 } }), "limit");
  fails(() => decodePreview(text, { limits: { maxPixels: -1 } }), "argument");
  // The limits of one call are not those of the next.
  assert.deepEqual(decodePreview(text), expected);
});


const noise = new Uint8ClampedArray(4800).map((_, at) => (at % 4 === 3 ? 255 : (at * 7) % 251));
const [photo] = native([{
  file: toText(noise), width: 40, height: 30, quality: 30, model: "node_modules/aez-image/lib/photo.safetensors",
}]);
const file = Buffer.from(photo.file, "base64");

test("files are decoded to the pixels of the native program", async () => {
  const decoded = await decode(file);
  assert.deepEqual([decoded.width, decoded.height], [40, 30]);
  assert.equal(toText(decoded.data), photo.pixels);
  const { modelId, family, totalBytes } = info(file);
  const model = await photoModel();
  assert.deepEqual([modelId, family, totalBytes], [model.id, 3, file.length]);
});

test("damaged files", async () => {
  const tries = [];
  for (let length = 0; length < file.length; length += 3) tries.push(file.subarray(0, length));
  for (let round = 0; round < 300; round++) {
    const copy = Buffer.from(file);
    copy[Math.floor(next() * Math.min(file.length, 60))] = next() * 256;
    tries.push(copy, Buffer.from(Array.from({ length: next() * 200 }, () => next() * 256)));
  }
  for (const bytes of tries) {
    attempt(() => info(bytes));
    await decode(bytes).catch(error => attempt(() => { throw error; }));
  }
  assert.equal(toText((await decode(file)).data), photo.pixels);
  await assert.rejects(decode(file, { limits: { maxPixels: 100 } }), { code: "limit" });
  await assert.rejects(decode(file, { limits: { maxMemory: 100 } }), { code: "limit" });
  await assert.rejects(decode(file, { model: new Uint8Array(50) }), { code: "model" });
});

test("calls work after a failure of the instance", async () => {
  // Not part of the interface: what follows is a defect that the package does not have.
  const lib = `${process.cwd()}/node_modules/aez-image/lib`;
  const [{ Instance }, { wasmBytes }] = await Promise.all([import(`${lib}/core.js`), import(`${lib}/wasm.js`)]);
  const instance = new Instance(wasmBytes);
  for (const generation of [1, 2]) {
    const { output, width } = instance.call("decode_preview", new TextEncoder().encode(text), [0, 0]);
    assert.deepEqual([width, output.length], [expected.width, expected.data.length]);
    assert.equal(instance.generation, generation);
    assert.throws(() => instance.call("no such function", new Uint8Array(1)), { code: "internal" });
  }
});

test("models are closed", async () => {
  const model = await photoModel();
  assert.equal(toText((await decode(file, { model })).data), photo.pixels);
  model.close();
  await assert.rejects(decode(file, { model }), { code: "model" });
});
