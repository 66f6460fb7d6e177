// The model for photographs, a file of this package.

import { AezError } from "./core.js";
import { Model } from "./files.js";

/** Where the model is. Bundlers recognize this form, and copy the file. */
export const photoModelUrl = new URL("./photo.safetensors", import.meta.url);

let loading;

/** Loads the model, once. */
export function photoModel() {
  loading ??= load().catch(error => {
    loading = undefined;
    throw error;
  });
  return loading;
}

async function load() {
  if (photoModelUrl.protocol !== "file:") return Model.fetch(photoModelUrl);
  // Node does not fetch files. The name is not a literal, so that bundlers for browsers do not look for it.
  const name = "node:fs/promises";
  try {
    const { readFile } = await import(/* webpackIgnore: true */ /* @vite-ignore */ name);
    return new Model(await readFile(photoModelUrl));
  } catch (cause) {
    throw new AezError("model", `the model for photographs could not be read: ${cause?.message ?? cause}`, { cause });
  }
}
