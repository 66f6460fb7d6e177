import type { Bytes, Limits, Pixels } from "./index.js";

/** The properties of an `.aez` file. */
export interface FileInfo {
  formatVersion: number;
  family: number;
  familyName: string | null;
  width: number;
  height: number;
  gray: boolean;
  modelId: string;
  coder: string;
  quality: number;
  headerBytes: number;
  payloadBytes: number;
  latentsBytes: number;
  alphaBytes: number;
  iccBytes: number;
  exifBytes: number;
  xmpBytes: number;
  unknownBytes: number;
  totalBytes: number;
  bitsPerPixel: number;
}

/** Describes an `.aez` file without decoding it. */
export declare function info(file: Bytes): FileInfo;

/** A model that was read. Keep it for several files. */
export declare class Model {
  /** Reads the bytes of a model file. */
  constructor(bytes: Bytes);
  /** Downloads a model file and reads it. */
  static fetch(url: string | URL, options?: RequestInit): Promise<Model>;
  readonly id: string;
  readonly family: string;
  /** Frees its memory. */
  close(): void;
}

/**
 * Decodes an `.aez` file. Photographs need no `model`: that of this package is loaded when it is first needed. Other files need the URL
 * or the bytes of their model. A model is downloaded once for each URL.
 */
export declare function decode(
  file: Bytes,
  options?: { model?: Model | string | URL | Bytes; limits?: Limits },
): Promise<Pixels>;
