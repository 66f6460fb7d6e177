import type { Model } from "./files.js";

/** The model for photographs. It is loaded once. */
export declare function photoModel(): Promise<Model>;

/** Where its file is. */
export declare const photoModelUrl: URL;
