// Compiled, not run: the types of the package as a strict program sees them.

import {
  AezError, DEFAULT_BYTES, MAX_BYTES, bytesToPreview, decodePreview, encodePng, encodePreview, previewToBytes, ready,
  toDataURL, type Pixels,
} from "aez-image";
import { Model, decode, info, type FileInfo } from "aez-image/files";
import { AezImageElement, defineAezImage } from "aez-image/element";
import { photoModel } from "aez-image/photo";

await ready();
const text: string = encodePreview(new Uint8ClampedArray(16), 2, 2, { bytes: Math.min(DEFAULT_BYTES, MAX_BYTES) });
const picture: Pixels = decodePreview(text, { width: 20, height: 20, limits: { maxPixels: 1000 } });
export const shown = new ImageData(picture.data, picture.width, picture.height);
export const url: string = toDataURL(previewToBytes(text));
export const png: Uint8Array = encodePng(picture);
export const again: string = bytesToPreview(new ArrayBuffer(16));
// @ts-expect-error: width and height go together
decodePreview(text, { width: 20 });
// @ts-expect-error: a text has no number
decodePreview(5);

const file = new Uint8Array(100);
const properties: FileInfo = info(file);
export const size = properties.width * properties.height;
const model = await Model.fetch(new URL("https://example.org/tile.safetensors"));
export const pictures: Pixels[] = [await decode(file), await decode(file, { model }), await decode(file, { model: await photoModel() })];
model.close();
try {
  decodePreview("");
} catch (error) {
  if (error instanceof AezError && error.code === "preview") console.log(error.message);
}

const element: AezImageElement = document.createElement("aez-img");
element.preview = text;
export const isLoaded: boolean = element.state === "loaded";
defineAezImage("my-image");
