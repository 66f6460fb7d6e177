// The functions of the package: previews, data URLs, and files.

import { AezError, DEFAULT_LIMITS, Instance, checkInteger, picture, toBytes } from "./core.js";
import { encodePng, pngDataUrl } from "./png.js";
import { bytesToPreview, previewToBytes } from "./text.js";
import { wasmBytes } from "./wasm.js";

export { AezError, DEFAULT_LIMITS, bytesToPreview, encodePng, previewToBytes };

const instance = new Instance(wasmBytes);

export const MIN_BYTES = 16;
export const MAX_BYTES = 200;
export const DEFAULT_BYTES = 30;

/** Compiles the decoder in the background. It is optional: other functions do it when they are first called. */
export function ready() {
  return instance.compile();
}

/** Decodes a preview. */
export function decodePreview(preview, options = {}) {
  const text = typeof preview === "string" ? preview : bytesToPreview(preview);
  const { width, height, limits } = options;
  if ((width === undefined) !== (height === undefined)) {
    throw new AezError("argument", "width and height go together");
  }
  const size = width === undefined ? [0, 0] : [
    checkInteger("width", width, 1, 2 ** 31 - 1),
    checkInteger("height", height, 1, 2 ** 31 - 1),
  ];
  // The text is limited before it is copied; the decoder limits it further.
  const input = new TextEncoder().encode(text.slice(0, 1024));
  return picture(instance.call("decode_preview", input, size, limits));
}

/** Encodes RGBA pixels as the text of a preview. */
export function encodePreview(pixels, width, height, options = {}) {
  const { bytes = DEFAULT_BYTES, limits } = options;
  const input = toBytes(pixels, "pixels");
  const size = [checkInteger("width", width, 1, 2 ** 31 - 1), checkInteger("height", height, 1, 2 ** 31 - 1)];
  checkInteger("bytes", bytes, MIN_BYTES, MAX_BYTES);
  return new TextDecoder().decode(instance.call("encode_preview", input, [...size, bytes], limits).output);
}

/** Longer side of the pictures in data URLs, in pixels, where no size is given. */
const URL_EDGE = 32;

/** Decodes a preview to the URL of a PNG file. */
export function toDataURL(preview, options = {}) {
  if (options.width !== undefined || options.height !== undefined) {
    return pngDataUrl(decodePreview(preview, options));
  }
  // The default size says what the aspect ratio is.
  const { width, height } = decodePreview(preview, options);
  const scale = URL_EDGE / Math.max(width, height);
  const size = [width, height].map(side => Math.max(1, Math.round(side * scale)));
  return pngDataUrl(decodePreview(preview, { ...options, width: size[0], height: size[1] }));
}
