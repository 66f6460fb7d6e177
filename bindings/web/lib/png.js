// PNG files, written without a canvas, so that servers can make them. Previews are smooth: differences of neighbours with a Huffman
// code are most of what compression can gain.

import { AezError, toBytes } from "./core.js";
import { huffmanZlib } from "./deflate.js";
import { base64 } from "./text.js";

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];

/** The bytes of a PNG file of RGBA pixels. */
export function encodePng({ width, height, data }) {
  const pixels = toBytes(data, "data");
  if (!(pixels.length > 0 && pixels.length === width * height * 4)) {
    throw new AezError("argument", `${pixels.length} bytes are no RGBA picture of ${width}x${height} pixels`);
  }
  const isOpaque = opaque(pixels);
  const channels = isOpaque ? 3 : 4;
  const header = [...bigEndian(width), ...bigEndian(height), 8, isOpaque ? 2 : 6, 0, 0, 0];
  const parts = [
    Uint8Array.from(SIGNATURE),
    chunk("IHDR", Uint8Array.from(header)),
    chunk("IDAT", huffmanZlib(filtered(pixels, width, height, channels))),
    chunk("IEND", new Uint8Array(0)),
  ];
  const file = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    file.set(part, at);
    at += part.length;
  }
  return file;
}

/** A PNG file as a data URL. */
export function pngDataUrl(picture) {
  return `data:image/png;base64,${base64(encodePng(picture))}`;
}

function opaque(pixels) {
  for (let at = 3; at < pixels.length; at += 4) if (pixels[at] !== 255) return false;
  return true;
}

/** Rows, each with the number of its filter, Paeth, and the differences to its predictions. */
function filtered(pixels, width, height, channels) {
  const rows = new Uint8Array(height * (1 + width * channels));
  const at = (x, y, channel) => (x < 0 || y < 0 ? 0 : pixels[4 * (y * width + x) + channel]);
  let place = 0;
  for (let y = 0; y < height; y++) {
    rows[place++] = 4;
    for (let x = 0; x < width; x++) {
      for (let channel = 0; channel < channels; channel++) {
        const guess = paeth(at(x - 1, y, channel), at(x, y - 1, channel), at(x - 1, y - 1, channel));
        rows[place++] = at(x, y, channel) - guess;
      }
    }
  }
  return rows;
}

function paeth(left, up, corner) {
  const [a, b, c] = [Math.abs(up - corner), Math.abs(left - corner), Math.abs(left + up - 2 * corner)];
  if (a <= b && a <= c) return left;
  return b <= c ? up : corner;
}

function bigEndian(value) {
  return [value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255];
}

function chunk(name, data) {
  const bytes = new Uint8Array(12 + data.length);
  bytes.set(bigEndian(data.length));
  bytes.set([...name].map(letter => letter.charCodeAt(0)), 4);
  bytes.set(data, 8);
  bytes.set(bigEndian(crc32(bytes.subarray(4, 8 + data.length))), 8 + data.length);
  return bytes;
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
