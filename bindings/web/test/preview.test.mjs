// Previews in Node: the package that was installed from its archive.

import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { test } from "node:test";
import { inflateSync } from "node:zlib";

import { bytesToPreview, decodePreview, encodePng, encodePreview, previewToBytes, ready, toDataURL } from "aez-image";

import { decodeTask, encodeTask, fromText, native } from "./native.mjs";
import { budget, draw } from "./pictures.mjs";

const pictures = Array.from({ length: 100 }, (_, seed) => draw(seed));

test("a hundred previews are those of the native program, and so are their pixels", () => {
  const encoded = native(pictures.map((picture, seed) => encodeTask(picture, budget(seed))));
  const texts = pictures.map(({ data, width, height }, seed) => encodePreview(data, width, height, { bytes: budget(seed) }));
  assert.deepEqual(texts, encoded);
  const sizes = pictures.map((picture, seed) => (seed % 2 ? [picture.width, picture.height] : []));
  const decoded = native(texts.map((text, seed) => decodeTask(text, ...sizes[seed])));
  texts.forEach((text, seed) => {
    const [width, height] = sizes[seed];
    const pixels = decodePreview(text, { width, height });
    assert.ok(pixels.data instanceof Uint8ClampedArray);
    assert.deepEqual(new Uint8Array(pixels.data), fromText(decoded[seed]), `picture ${seed}`);
    assert.equal(pixels.data.length, pixels.width * pixels.height * 4);
    if (width) assert.deepEqual([pixels.width, pixels.height], [width, height]);
  });
});

test("the first example of the README runs", async () => {
  const readme = readFileSync("node_modules/aez-image/README.md", "utf8");
  const [, code] = readme.match(/```js\n(.*?)```/s);
  writeFileSync("readme.mjs", `const pixels = new Uint8Array(640 * 427 * 4).fill(200);\n${code}\nexport { picture, text, url };`);
  const { picture, text, url } = await import(`${process.cwd()}/readme.mjs`);
  assert.match(text, /^[\w-]{2,40}$/);
  assert.equal(Math.max(picture.width, picture.height), 96);
  assert.match(url, /^data:image\/png;base64,/);
});

test("bytes and texts are converted", async () => {
  await ready();
  const { data, width, height } = draw(3);
  const text = encodePreview(data.buffer, width, height, { bytes: 21 });
  const bytes = previewToBytes(text);
  assert.ok(bytes.length <= 21);
  assert.equal(bytesToPreview(bytes), text);
  assert.deepEqual(decodePreview(bytes), decodePreview(text));
  assert.deepEqual(decodePreview(Buffer.from(bytes)), decodePreview(text));
});

/** The pixels of a PNG file with 8 bits per channel whose rows have filter 4. */
function decodePng(file) {
  assert.deepEqual([...file.subarray(0, 8)], [0x89, 0x50, 0x4e, 0x47, 13, 10, 26, 10]);
  const [width, height, channels] = [file.readUInt32BE(16), file.readUInt32BE(20), file[25] === 2 ? 3 : 4];
  const rows = inflateSync(file.subarray(41, 41 + file.readUInt32BE(33)));
  const pixels = Buffer.alloc(width * height * 4, 255);
  const at = (x, y, c) => (x < 0 || y < 0 ? 0 : pixels[4 * (y * width + x) + c]);
  for (let y = 0; y < height; y++) {
    assert.equal(rows[y * (1 + width * channels)], 4);
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++) {
        const [a, b, d] = [at(x - 1, y, c), at(x, y - 1, c), at(x - 1, y - 1, c)];
        const [pa, pb, pd] = [a, b, d].map(value => Math.abs(a + b - d - value));
        const guess = pa <= pb && pa <= pd ? a : pb <= pd ? b : d;
        pixels[4 * (y * width + x) + c] = rows[y * (1 + width * channels) + 1 + x * channels + c] + guess;
      }
    }
  }
  return { width, height, data: new Uint8ClampedArray(pixels) };
}

test("PNG files have the pixels of the preview", () => {
  for (let seed = 0; seed < 20; seed++) {
    const { data, width, height } = pictures[seed];
    const text = encodePreview(data, width, height);
    const decoded = decodePreview(text);
    assert.deepEqual(decodePng(Buffer.from(encodePng(decoded))), decoded);
    const url = toDataURL(text);
    const small = decodePng(Buffer.from(url.split(",")[1], "base64"));
    assert.equal(Math.max(small.width, small.height), 32);
    assert.deepEqual(decodePng(Buffer.from(toDataURL(text, { width: 5, height: 4 }).split(",")[1], "base64")),
      decodePreview(text, { width: 5, height: 4 }));
  }
});
