// Instances of WebAssembly modules: calls of their functions, copies of their results, and errors.

/** Names of the kinds of errors, by the number that a function of the instance returns. */
const CODES = ["", "argument", "preview", "format", "unsupported", "model", "limit", "internal"];

/** What a call fails with. `code` says why: see the README. */
export class AezError extends Error {
  /** @param {string} code @param {string} message @param {ErrorOptions} [options] */
  constructor(code, message, options) {
    super(message, options);
    this.name = "AezError";
    this.code = code;
  }
}

/** Suits pages that decode untrusted files. */
export const DEFAULT_LIMITS = Object.freeze({ maxEdge: 16384, maxPixels: 2 ** 24, maxMemory: 2 ** 28 });

/** Inputs that exceed this fail before they are copied. */
const MAX_INPUT = 2 ** 28;

/** Throws unless a value is an integer of a range. */
export function checkInteger(name, value, low, high) {
  if (!Number.isInteger(value) || value < low || value > high) {
    throw new AezError("argument", `${name} is ${String(value)}, not an integer from ${low} to ${high}`);
  }
  return value;
}

/** The bytes of an ArrayBuffer or of any view of one, without a copy. */
export function toBytes(data, name) {
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const tag = Object.prototype.toString.call(data);
  if (tag === "[object ArrayBuffer]" || tag === "[object SharedArrayBuffer]") return new Uint8Array(data);
  throw new AezError("argument", `${name} is neither an ArrayBuffer nor a view of one`);
}

/** The limits with the defaults for those that are missing. */
function completeLimits(limits) {
  const all = { ...DEFAULT_LIMITS, ...limits };
  checkInteger("maxEdge", all.maxEdge, 1, 2 ** 32 - 1);
  checkInteger("maxPixels", all.maxPixels, 1, Number.MAX_SAFE_INTEGER);
  checkInteger("maxMemory", all.maxMemory, 1, 2 ** 31);
  return all;
}

/** A module, compiled and started when it is first needed. */
export class Instance {
  #bytes;
  #module;
  #exports;

  /** Counts instances of the module: what an earlier one knew is lost. */
  generation = 0;

  /** @param {() => Uint8Array} bytes */
  constructor(bytes) {
    this.#bytes = bytes;
  }

  /** Compiles the module without blocking. Calls that follow find it ready. */
  async compile() {
    this.#module ??= await WebAssembly.compile(this.#bytes());
  }

  /** The functions of the module. */
  start() {
    if (this.#exports) return this.#exports;
    try {
      this.#module ??= new WebAssembly.Module(this.#bytes());
      this.#exports = new WebAssembly.Instance(this.#module).exports;
    } catch (cause) {
      const hint = "WebAssembly could not start: the page's policy must allow 'wasm-unsafe-eval', "
        + "and browsers from before 2023 need `await ready()` first";
      throw new AezError("unsupported", `${hint} (${cause?.message ?? cause})`, { cause });
    }
    this.generation += 1;
    return this.#exports;
  }

  /**
   * Calls a function with an input, and returns a copy of its output and its width.
   * @param {string} name @param {Uint8Array} bytes @param {number[]} args @param {object} [limits]
   */
  call(name, bytes, args = [], limits) {
    const { maxEdge, maxPixels, maxMemory } = completeLimits(limits);
    if (bytes.length > MAX_INPUT) {
      throw new AezError("limit", `an input of ${bytes.length} bytes exceeds the limit of ${MAX_INPUT}`);
    }
    const wasm = this.start();
    try {
      wasm.set_limits(maxEdge, maxPixels, maxMemory);
      const address = wasm.input(bytes.length) >>> 0;
      if (address === 0) throw new AezError("limit", "there is not enough memory");
      new Uint8Array(wasm.memory.buffer, address, bytes.length).set(bytes);
      const kind = wasm[name](...args);
      const start = wasm.output() >>> 0;
      const output = new Uint8Array(wasm.memory.buffer, start, wasm.output_length() >>> 0).slice();
      const width = wasm.output_width() >>> 0;
      wasm.clear();
      if (kind !== 0) throw new AezError(CODES[kind] ?? "internal", new TextDecoder().decode(output));
      return { output, width };
    } catch (error) {
      if (error instanceof AezError) throw error;
      // A trap leaves the memory in an unknown state; the next call gets a new instance.
      this.#exports = undefined;
      throw new AezError("internal", `the codec failed: ${error?.message ?? error}`, { cause: error });
    }
  }
}

/** The picture of a call that decodes. */
export function picture({ output, width }) {
  const data = new Uint8ClampedArray(output.buffer, output.byteOffset, output.byteLength);
  return { width, height: width === 0 ? 0 : data.length / 4 / width, data };
}
