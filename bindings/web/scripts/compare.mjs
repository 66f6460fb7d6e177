// Compares previews with other placeholders on the pictures of a folder: `node scripts/compare.mjs FOLDER`, after `npm run build`.
//
// With `npm install --no-save sqip@0.3.3`, the table has SQIP, too; it comes with programs for x86-64 that draw the shapes.
//
// The centre square of each picture is scaled to 96x96 pixels, encoded, and decoded to 96x96 pixels. The table has averages over the
// pictures: PSNR in RGB, SSIM of luma (a Gaussian window of 11x11), and the time of one decode.

import { mkdtempSync, readFileSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

import * as blurhash from "blurhash";
import sharp from "sharp";
import { rgbaToThumbHash, thumbHashToRGBA } from "thumbhash";

import { decodePreview, encodePreview } from "../lib/index.js";

const EDGE = 96;

const raw = image => image.ensureAlpha().raw().toBuffer();
const resized = (pixels, width, height) =>
  raw(sharp(pixels, { raw: { width, height, channels: 4 } }).resize(EDGE, EDGE, { fit: "fill", kernel: "cubic" }));

const preview = bytes => ({
  name: `AEZ, ${bytes} bytes`,
  files: ["core.js", "index.js", "png.js", "deflate.js", "text.js", "wasm.js"].map(name => `../lib/${name}`),
  encode: pixels => encodePreview(pixels, EDGE, EDGE, { bytes }),
  decode: text => decodePreview(text, { width: EDGE, height: EDGE }).data,
  bytes: text => Math.floor(text.length * 3 / 4),
});

const hash = (x, y) => ({
  name: `BlurHash ${x}x${y}`,
  files: ["../node_modules/blurhash/dist/esm/index.js"],
  encode: pixels => blurhash.encode(pixels, EDGE, EDGE, x, y),
  decode: text => blurhash.decode(text, EDGE, EDGE),
  bytes: text => text.length,
});

const thumb = {
  name: "ThumbHash",
  files: ["../node_modules/thumbhash/thumbhash.js"],
  encode: pixels => Buffer.from(rgbaToThumbHash(EDGE, EDGE, pixels)).toString("base64"),
  decode: text => thumbHashToRGBA(Buffer.from(text, "base64")),
  after: ({ w, h, rgba }) => resized(rgba, w, h),
  bytes: text => Buffer.from(text, "base64").length,
};

/** A picture of 16x16 pixels in a data URL, which a browser enlarges. */
const small = (name, mime, write) => ({
  name,
  files: [],
  encode: async pixels => {
    const image = sharp(pixels, { raw: { width: EDGE, height: EDGE, channels: 4 } }).resize(16, 16).removeAlpha();
    return `data:${mime};base64,${(await write(image).toBuffer()).toString("base64")}`;
  },
  decode: url => raw(sharp(Buffer.from(url.split(",")[1], "base64"))),
  after: pixels => resized(pixels, 16, 16),
  bytes: url => Buffer.from(url.split(",")[1], "base64").length,
  isNative: true,
});

/** Shapes as SVG, by default 8, found in a picture of 640x640 pixels and blurred by 12 of them. */
const shapes = (sqip, count) => {
  const filename = `${mkdtempSync(`${tmpdir()}/sqip-`)}/picture.png`;
  return {
    name: `SQIP, ${count} shapes`,
    files: [],
    encode: async pixels => {
      const image = sharp(pixels, { raw: { width: EDGE, height: EDGE, channels: 4 } });
      await image.resize(640, 640, { kernel: "cubic" }).removeAlpha().png().toFile(filename);
      return sqip({ filename, numberOfPrimitives: count, blur: 12 }).final_svg;
    },
    decode: svg => raw(sharp(Buffer.from(svg)).resize(EDGE, EDGE)),
    bytes: svg => gzipSync(svg, { level: 9 }).length,
    isNative: true,
  };
};
const sqip = await import("sqip").then(module => module.default, () => undefined);

const CODECS = [
  ...[16, 21, 25, 30, 60, 100, 200].map(preview),
  hash(3, 3), hash(4, 3), hash(4, 4), hash(6, 6), hash(9, 9),
  thumb,
  small("WebP 16x16, quality 20", "image/webp", image => image.webp({ quality: 20, effort: 6 })),
  small("JPEG 16x16, quality 20", "image/jpeg", image => image.jpeg({ quality: 20, mozjpeg: true })),
  ...(sqip ? [8, 20] : []).map(count => shapes(sqip, count)),
];

function psnr(a, b) {
  let sum = 0;
  for (let at = 0; at < a.length; at++) if (at % 4 < 3) sum += (a[at] - b[at]) ** 2;
  return 10 * Math.log10(255 ** 2 / (sum / (EDGE * EDGE * 3)));
}

const WINDOW = Array.from({ length: 11 }, (_, at) => Math.exp(-((at - 5) ** 2) / (2 * 1.5 ** 2)));
const TOTAL = WINDOW.reduce((sum, weight) => sum + weight, 0);

/** Weighted means of the windows that lie inside, in one direction after the other. */
function blurred(plane) {
  const inside = EDGE - 10;
  const mean = (values, first, step) => WINDOW.reduce((sum, weight, at) => sum + weight * values[first + at * step], 0) / TOTAL;
  const rows = Array.from({ length: EDGE * inside }, (_, at) => mean(plane, Math.floor(at / inside) * EDGE + at % inside, 1));
  return Array.from({ length: inside * inside }, (_, at) => mean(rows, at, inside));
}

function ssim(a, b) {
  const luma = pixels => Array.from({ length: EDGE * EDGE }, (_, at) =>
    0.299 * pixels[4 * at] + 0.587 * pixels[4 * at + 1] + 0.114 * pixels[4 * at + 2]);
  const [x, y] = [luma(a), luma(b)];
  const product = (u, v) => blurred(u.map((value, at) => value * v[at]));
  const [mx, my, xx, yy, xy] = [blurred(x), blurred(y), product(x, x), product(y, y), product(x, y)];
  const [c1, c2] = [(0.01 * 255) ** 2, (0.03 * 255) ** 2];
  const values = mx.map((m, at) => {
    const n = my[at];
    const [vx, vy, covariance] = [xx[at] - m * m, yy[at] - n * n, xy[at] - m * n];
    return (2 * m * n + c1) * (2 * covariance + c2) / ((m * m + n * n + c1) * (vx + vy + c2));
  });
  return mean(values);
}

const mean = values => values.reduce((sum, value) => sum + value, 0) / values.length;

async function measure(codec, pictures) {
  const found = { bytes: [], characters: [], psnr: [], ssim: [], ms: [] };
  for (const pixels of pictures) {
    const text = await codec.encode(pixels);
    const start = performance.now();
    const decoded = await codec.decode(text);
    found.ms.push(performance.now() - start);
    const shown = codec.after ? await codec.after(decoded) : decoded;
    found.bytes.push(codec.bytes(text));
    found.characters.push(text.length);
    found.psnr.push(psnr(pixels, shown));
    found.ssim.push(ssim(pixels, shown));
  }
  const paths = codec.files.map(file => fileURLToPath(new URL(file, import.meta.url)));
  const bytesOfAll = Buffer.concat(paths.map(path => readFileSync(path)));
  const size = bytesOfAll.length && gzipSync(bytesOfAll, { level: 9 }).length;
  return { ...Object.fromEntries(Object.entries(found).map(([name, values]) => [name, mean(values)])), size };
}

async function main(folder) {
  const names = readdirSync(folder).filter(name => /\.(jpe?g|png|webp)$/i.test(name)).sort();
  const read = name => raw(sharp(`${folder}/${name}`).rotate().resize(EDGE, EDGE, { fit: "cover", kernel: "lanczos3" }).toColourspace("srgb"));
  const pictures = [];
  for (const name of names) pictures.push(await read(name));
  console.log(`${pictures.length} pictures of ${EDGE}x${EDGE} pixels\n`);
  console.log("| placeholder | bytes | characters | PSNR dB | SSIM | decoder, gzip | decoding |");
  console.log("| --- | --- | --- | --- | --- | --- | --- |");
  for (const codec of CODECS) {
    const { bytes, characters, psnr, ssim, size, ms } = await measure(codec, pictures);
    const cells = [codec.name, bytes.toFixed(0), characters.toFixed(0), psnr.toFixed(2), ssim.toFixed(3)];
    cells.push(size ? `${(size / 1000).toFixed(1)} kB` : "none", codec.isNative ? "browser" : `${ms.toFixed(1)} ms`);
    console.log(`| ${cells.join(" | ")} |`);
  }
}

if (!process.argv[2]) throw new Error("usage: compare.mjs FOLDER");
await main(process.argv[2]);
