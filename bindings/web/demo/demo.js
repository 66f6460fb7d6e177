// The page: draws what was chosen, and what AEZ, BlurHash and ThumbHash make of it.

import { decodePreview, encodePreview, previewToBytes, ready } from "aez-image";
import * as blurhash from "blurhash";
import { rgbaToThumbHash, thumbHashToRGBA } from "thumbhash";

import { samples } from "./samples.js";

/** Longer side of the pictures that are compared, in pixels. */
const EDGE = 256;

const element = id => document.getElementById(id);
let source;

/** The best components of BlurHash for a number of bytes as text: three bytes are four characters. */
function components(bytes, width, height) {
  const characters = Math.ceil(bytes * 4 / 3);
  let best = [1, 1];
  for (let x = 1; x <= 9; x++) {
    for (let y = 1; y <= 9; y++) {
      const isWide = width >= height ? x >= y : y >= x;
      if (isWide && 4 + 2 * x * y <= characters && x * y > best[0] * best[1]) best = [x, y];
    }
  }
  return best;
}

const CODECS = [
  {
    name: "AEZ",
    encode: ({ data, width, height }, bytes) => encodePreview(data, width, height, { bytes }),
    decode: (text, width, height) => decodePreview(text, { width, height }).data,
    bytes: text => previewToBytes(text).length,
  },
  {
    name: "BlurHash",
    encode: ({ data, width, height }, bytes) => blurhash.encode(data, width, height, ...components(bytes, width, height)),
    decode: (text, width, height) => blurhash.decode(text, width, height),
    bytes: text => text.length,
  },
  {
    name: "ThumbHash",
    encode: picture => {
      const { width, height, data } = scaled(picture, 100);
      return btoa(String.fromCharCode(...rgbaToThumbHash(width, height, data)));
    },
    decode: (text, width, height) => {
      const small = thumbHashToRGBA(Uint8Array.from(atob(text), letter => letter.charCodeAt(0)));
      return scaledTo({ width: small.w, height: small.h, data: new Uint8ClampedArray(small.rgba) }, width, height).data;
    },
    bytes: text => atob(text).length,
  },
];

function canvasOf({ width, height, data }) {
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
  return canvas;
}

/** The pixels of anything that a canvas can draw. */
function scaledTo(image, width, height) {
  const drawable = image.data ? canvasOf(image) : image;
  const canvas = Object.assign(document.createElement("canvas"), { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.imageSmoothingQuality = "high";
  context.drawImage(drawable, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

function scaled(image, edge) {
  const [width, height] = [image.naturalWidth ?? image.width, image.naturalHeight ?? image.height];
  const scale = Math.min(1, edge / Math.max(width, height));
  return scaledTo(image, Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale)));
}

/** Peak signal-to-noise ratio of two pictures on white. */
function psnr(a, b) {
  let sum = 0;
  for (let at = 0; at < a.length; at += 4) {
    for (let c = 0; c < 3; c++) {
      const on = pixels => 255 + (pixels[at + c] - 255) * pixels[at + 3] / 255;
      sum += (on(a) - on(b)) ** 2;
    }
  }
  return 10 * Math.log10(255 ** 2 / (sum / (a.length / 4 * 3)));
}

function timed(work) {
  const start = performance.now();
  return [work(), performance.now() - start];
}

function card(name, picture, rows) {
  const figure = document.createElement("figure");
  const frame = Object.assign(document.createElement("div"), { className: "frame" });
  const canvas = canvasOf(picture);
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", name);
  frame.append(canvas);
  const caption = document.createElement("figcaption");
  caption.append(Object.assign(document.createElement("h2"), { textContent: name }));
  const list = document.createElement("dl");
  for (const [term, value] of rows) {
    list.append(
      Object.assign(document.createElement("dt"), { textContent: term }),
      Object.assign(document.createElement("dd"), { textContent: value }),
    );
  }
  caption.append(list);
  figure.append(frame, caption);
  return figure;
}

function compare(codec, bytes) {
  const { width, height } = source;
  const [text, encoding] = timed(() => codec.encode(source, bytes));
  const [data, decoding] = timed(() => codec.decode(text, width, height));
  const rows = [
    ["bytes", codec.bytes(text)],
    ["characters", text.length],
    ["PSNR", `${psnr(source.data, data).toFixed(1)} dB`],
    ["decoding", `${decoding.toFixed(1)} ms`],
    ["encoding", `${encoding.toFixed(0)} ms`],
  ];
  return { text, card: card(codec.name, { width, height, data: new Uint8ClampedArray(data) }, rows) };
}

function update() {
  const bytes = Number(element("budget").value);
  element("bytes").textContent = bytes;
  const results = CODECS.map(codec => compare(codec, bytes));
  const { width, height } = source;
  const original = card("Picture", source, [["size", `${width} × ${height}`], ["as shown here", "scaled"]]);
  element("results").replaceChildren(original, ...results.map(result => result.card));
  element("text").value = results[0].text;
  element("message").textContent = "";
}

function show(image) {
  source = scaled(image, EDGE);
  update();
}

async function open(file) {
  if (!file) return;
  try {
    show(await createImageBitmap(file));
  } catch {
    element("message").textContent = `${file.name} is no picture that this browser can read.`;
  }
}

/** Shows the preview of a text that was pasted. */
function fromText() {
  try {
    const text = element("text").value.trim();
    const picture = decodePreview(text);
    element("results").replaceChildren(card("Decoded", picture, [["bytes", previewToBytes(text).length], ["characters", text.length]]));
    element("message").textContent = "";
  } catch (error) {
    element("message").textContent = error.message;
  }
}

function connect() {
  const drop = element("drop");
  element("file").addEventListener("change", event => open(event.target.files[0]));
  for (const name of ["dragover", "dragleave", "drop"]) {
    drop.addEventListener(name, event => {
      event.preventDefault();
      drop.classList.toggle("over", name === "dragover");
      if (name === "drop") open(event.dataTransfer.files[0]);
    });
  }
  let frame;
  element("budget").addEventListener("input", () => {
    cancelAnimationFrame(frame);
    frame = requestAnimationFrame(update);
  });
  element("text").addEventListener("input", fromText);
  for (const { name, draw } of samples) {
    const canvas = draw();
    const button = Object.assign(document.createElement("button"), { type: "button", title: name });
    button.setAttribute("aria-label", name);
    button.append(canvas);
    button.addEventListener("click", () => show(canvas));
    element("samples").append(button);
  }
}

connect();
await ready();
show(samples[0].draw());
