// The results of the native program `test/native.rs`, whose path AEZ_NATIVE has.

import { spawnSync } from "node:child_process";

/** The results of tasks, in their order. */
export function native(tasks) {
  const input = tasks.map(task => JSON.stringify(task)).join("\n");
  const run = spawnSync(process.env.AEZ_NATIVE, { input, encoding: "utf8", maxBuffer: 2 ** 30 });
  if (run.status !== 0) throw new Error(run.stderr || String(run.error));
  return run.stdout.trim().split("\n").map(line => JSON.parse(line));
}

export const encodeTask = ({ width, height, data }, bytes) => ({ encode: toText(data), width, height, bytes });
export const decodeTask = (text, width = 0, height = 0) => ({ decode: text, width, height });

export const toText = data => Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("base64");
export const fromText = text => new Uint8Array(Buffer.from(text, "base64"));
