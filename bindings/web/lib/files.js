// `.aez` files and the models that they need.

import { AezError, Instance, picture, toBytes } from "./core.js";
import { wasmBytes } from "./files-wasm.js";

/** The module that decodes files, which pages without files do not load. */
const instance = new Instance(wasmBytes);

/** A model that was read. */
export class Model {
  #bytes;
  #slot;
  #generation;

  /** Reads the bytes of a model file. */
  constructor(bytes) {
    this.#bytes = toBytes(bytes, "model").slice();
    this.#load();
  }

  #load() {
    const { output, width } = instance.call("load_model", this.#bytes);
    const { id, family } = JSON.parse(new TextDecoder().decode(output));
    this.id = id;
    this.family = family;
    this.#slot = width;
    this.#generation = instance.generation;
  }

  /** The number of the model in the present instance. */
  get slot() {
    if (!this.#bytes) throw new AezError("model", "this model was closed");
    if (this.#generation !== instance.generation) this.#load();
    return this.#slot;
  }

  /** Frees the memory of the model. */
  close() {
    if (this.#bytes && this.#generation === instance.generation) instance.start().drop_model(this.#slot);
    this.#bytes = undefined;
  }

  /** Downloads a model file and reads it. */
  static async fetch(url, options) {
    const response = await fetch(url, options);
    if (!response.ok) throw new AezError("model", `the model at ${url} could not be loaded: ${response.status}`);
    return new Model(await response.arrayBuffer());
  }
}

/** The properties of a file. */
export function info(bytes) {
  return fileInfo(toBytes(bytes, "file"));
}

function fileInfo(bytes) {
  const json = JSON.parse(new TextDecoder().decode(instance.call("info", bytes).output));
  const camel = name => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase());
  return Object.fromEntries(Object.entries(json).map(([name, value]) => [camel(name), value]));
}

/** Number of the family of photographs in a file's header. */
const PHOTO_FAMILY = 3;

/** Models that were downloaded, by their URL. */
const fetched = new Map();

function fetchOnce(url) {
  const key = String(url);
  let model = fetched.get(key);
  if (!model) {
    model = Model.fetch(url);
    fetched.set(key, model);
    // A download that failed is tried again.
    model.catch(() => fetched.delete(key));
  }
  return model;
}

/** The model of a call, and whether nothing else uses it. */
async function modelFor(file, model) {
  if (model instanceof Model) return [model, false];
  if (typeof model === "string" || model instanceof URL) return [await fetchOnce(model), false];
  if (model !== undefined) return [new Model(model), true];
  const { family, modelId } = fileInfo(file);
  if (family !== PHOTO_FAMILY) {
    throw new AezError("model", `the file needs model ${modelId}: give its URL or its bytes as \`model\``);
  }
  const { photoModel } = await import("./photo.js");
  return [await photoModel(), false];
}

/** Decodes a file. */
export async function decode(bytes, { model, limits } = {}) {
  // The caller may change the bytes while a model is loaded.
  const file = toBytes(bytes, "file").slice();
  const [loaded, isOurs] = await modelFor(file, model);
  try {
    return picture(instance.call("decode", file, [loaded.slot], limits));
  } finally {
    if (isOurs) loaded.close();
  }
}
