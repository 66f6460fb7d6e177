// Previews as text and as bytes: base64url without padding.

import { AezError, toBytes } from "./core.js";

/** The bytes of a preview, three for four characters. Whether they are a preview is not checked. */
export function previewToBytes(text) {
  if (typeof text !== "string" || !/^[\w-]+$/.test(text) || text.length % 4 === 1) {
    throw new AezError("preview", "not a valid preview: it is not base64url without padding");
  }
  const binary = atob(text.replace(/-/g, "+").replace(/_/g, "/"));
  return Uint8Array.from(binary, character => character.charCodeAt(0));
}

/** The text of the bytes of a preview. */
export function bytesToPreview(bytes) {
  return base64(toBytes(bytes, "preview")).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
}

/** Base64 with padding. */
export function base64(bytes) {
  let binary = "";
  // More arguments at once could exceed the stack.
  for (let at = 0; at < bytes.length; at += 4096) {
    binary += String.fromCharCode(...bytes.subarray(at, at + 4096));
  }
  return btoa(binary);
}
