/** What a call fails with. */
export declare class AezError extends Error {
  readonly name: "AezError";
  readonly code: AezErrorCode;
}

/**
 * - `argument`: the call asks for something impossible
 * - `preview`: the text is not a preview of the built-in model
 * - `format`: the bytes are not an `.aez` file, or a damaged one
 * - `unsupported`: the file needs a newer version, or the browser cannot run the decoder
 * - `model`: a model is missing, unusable, or not that of the file
 * - `limit`: a limit would be exceeded
 * - `internal`: a defect of this package; later calls work
 */
export type AezErrorCode = "argument" | "preview" | "format" | "unsupported" | "model" | "limit" | "internal";

/** Upper bounds, checked before memory is allocated. */
export interface Limits {
  /** Maximum width and height in pixels. Default 16,384. */
  maxEdge?: number;
  /** Maximum number of pixels. Default 2^24. */
  maxPixels?: number;
  /** Maximum number of bytes that one call may hold at once, without the model. Default 2^28. */
  maxMemory?: number;
}

export declare const DEFAULT_LIMITS: Readonly<Required<Limits>>;

/** Rows of RGBA pixels from the top, not premultiplied, as in `ImageData`. */
export interface Pixels {
  width: number;
  height: number;
  data: Uint8ClampedArray<ArrayBuffer>;
}

/** Bytes: an `ArrayBuffer` or any view of one, such as `Uint8Array` or Node's `Buffer`. */
export type Bytes = ArrayBufferLike | ArrayBufferView;

export declare const MIN_BYTES: 16;
export declare const MAX_BYTES: 200;
export declare const DEFAULT_BYTES: 30;

/** Width and height, both or neither. Without them, the longer side has 96 pixels. */
export type SizeOptions =
  | { width: number; height: number; limits?: Limits }
  | { width?: undefined; height?: undefined; limits?: Limits };

/** Compiles the decoder without blocking. Optional: other functions do it when they are first called. */
export declare function ready(): Promise<void>;

/** Decodes a preview: its text, or the bytes of `previewToBytes`. */
export declare function decodePreview(preview: string | Bytes, options?: SizeOptions): Pixels;

/** Encodes RGBA pixels, `width * height * 4` bytes, as the text of a preview of at most `bytes` bytes (16 to 200, default 30). */
export declare function encodePreview(
  pixels: Bytes,
  width: number,
  height: number,
  options?: { bytes?: number; limits?: Limits },
): string;

/** Decodes a preview to the `data:` URL of a PNG file. Without a size, the longer side has 32 pixels. */
export declare function toDataURL(preview: string | Bytes, options?: SizeOptions): string;

/** The bytes of a preview, three for four characters. */
export declare function previewToBytes(text: string): Uint8Array<ArrayBuffer>;

/** The text of the bytes of a preview. */
export declare function bytesToPreview(bytes: Bytes): string;

/** The bytes of a PNG file. */
export declare function encodePng(picture: { width: number; height: number; data: Bytes }): Uint8Array<ArrayBuffer>;
