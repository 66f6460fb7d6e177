// The element `<aez-img>`.

import { decodePreview } from "./index.js";
import { enqueue } from "./queue.js";

/** Servers have no elements. The module can be imported there, and does nothing. */
const Base = globalThis.HTMLElement ?? class {};

const FADE_MS = 300;

/** Attributes that are those of the image inside. */
const FORWARDED = ["src", "srcset", "sizes", "alt", "crossorigin", "referrerpolicy", "fetchpriority", "decoding", "loading"];

const STYLE = `
:host { display: inline-block; position: relative; overflow: hidden; max-width: 100%; vertical-align: bottom; }
:host([hidden]) { display: none; }
canvas, img { position: absolute; inset: 0; width: 100%; height: 100%; object-fit: cover; }
img { opacity: 0; }
:host([state=loaded]) img { opacity: 1; }
.fade img, .fade.transparent canvas { transition: opacity ${FADE_MS}ms ease-out; }
:host([state=loaded]) .transparent canvas { opacity: 0; }
.done canvas { display: none; }
@media (prefers-reduced-motion: reduce) { .fade img, .fade.transparent canvas { transition: none; } }
`;

/** Style sheets made by a script are not subject to a page's Content-Security-Policy. */
function sheet(text) {
  const result = new CSSStyleSheet();
  result.replaceSync(text);
  return result;
}

let common;

export class AezImageElement extends Base {
  static observedAttributes = ["preview", "width", "height", ...FORWARDED];

  #box = document.createElement("div");
  #canvas = document.createElement("canvas");
  #image = document.createElement("img");
  #size = sheet("");
  #shown = null;
  #timer;

  constructor() {
    super();
    this.#canvas.setAttribute("aria-hidden", "true");
    this.#canvas.setAttribute("part", "preview");
    this.#image.setAttribute("part", "image");
    this.#image.addEventListener("load", () => this.#loaded());
    this.#image.addEventListener("error", () => this.#failed());
    this.#canvas.hidden = true;
    this.#box.append(this.#canvas, this.#image);
    const root = this.attachShadow({ mode: "open" });
    common ??= sheet(STYLE);
    root.adoptedStyleSheets = [common, this.#size];
    root.append(this.#box);
  }

  get state() {
    return this.getAttribute("state") ?? "preview";
  }

  connectedCallback() {
    // Before `src`: an image that is not lazy is requested at once.
    if (!this.hasAttribute("loading")) this.#image.loading = "lazy";
    for (const name of FORWARDED) if (name !== "loading") this.#forward(name);
    this.#lay();
    this.#schedulePreview();
  }

  attributeChangedCallback(name, before, after) {
    if (!this.isConnected || before === after) return;
    if (name === "preview") {
      this.#schedulePreview();
    } else if (name === "width" || name === "height") {
      this.#lay();
    } else {
      if (name === "src" || name === "srcset") this.#reset();
      this.#forward(name);
    }
  }

  #forward(name) {
    const value = this.getAttribute(name);
    if (value === this.#image.getAttribute(name)) return;
    if (value === null) this.#image.removeAttribute(name);
    else this.#image.setAttribute(name, value);
  }

  /** Shows the preview until another picture has loaded. */
  #reset() {
    clearTimeout(this.#timer);
    this.removeAttribute("state");
    this.#box.classList.remove("fade", "done");
  }

  /** Width, height and aspect ratio, as those attributes of an image; what is missing comes from the preview. */
  #lay(natural) {
    const [width, height] = ["width", "height"].map(name => Number.parseFloat(this.getAttribute(name)));
    const ratio = width > 0 && height > 0 ? width / height : (natural ?? this.#ratio());
    const rules = [];
    if (ratio) rules.push(`aspect-ratio: ${ratio}`);
    if (width > 0) rules.push(`width: ${width}px`);
    else if (height > 0) rules.push(`height: ${height}px`);
    else rules.push("width: 100%");
    this.#size.replaceSync(`:host { ${rules.join("; ")} }`);
  }

  #hasSize() {
    return this.hasAttribute("width") && this.hasAttribute("height");
  }

  #ratio() {
    return this.#shown ? this.#canvas.width / this.#canvas.height : undefined;
  }

  /** Many previews must not block the page. Without a size, the layout must not wait. */
  #schedulePreview() {
    if (this.#hasSize()) enqueue(() => this.#showPreview());
    else this.#showPreview();
  }

  #showPreview() {
    const text = this.getAttribute("preview");
    if (!this.isConnected || text === this.#shown) return;
    this.#canvas.hidden = true;
    this.#shown = null;
    // Not needed any more.
    if (!text || (this.state === "loaded" && this.#hasSize())) return;
    try {
      const { width, height, data } = decodePreview(text);
      Object.assign(this.#canvas, { width, height });
      this.#canvas.getContext("2d").putImageData(new ImageData(data, width, height), 0, 0);
      this.#box.classList.toggle("transparent", data.some((value, at) => at % 4 === 3 && value < 255));
      this.#shown = text;
      this.#canvas.hidden = false;
    } catch (error) {
      // A picture without a preview is better than none.
      console.warn(`aez-img: ${error.message}`);
    }
    if (!this.#hasSize()) this.#lay();
  }

  async #loaded() {
    const source = this.#image.currentSrc;
    // So that the fade does not begin with half of a picture. What cannot be decoded has loaded nevertheless.
    await this.#image.decode?.().catch(() => {});
    if (source !== this.#image.currentSrc) return;
    if (!this.#hasSize() && !this.#shown) this.#lay(this.#image.naturalWidth / this.#image.naturalHeight);
    this.#box.classList.toggle("fade", !this.#canvas.hidden);
    this.setAttribute("state", "loaded");
    const isStill = this.#canvas.hidden || matchMedia("(prefers-reduced-motion: reduce)").matches;
    // A preview below a transparent picture would be visible.
    this.#timer = setTimeout(() => this.#box.classList.add("done"), isStill ? 0 : FADE_MS);
    this.dispatchEvent(new Event("load"));
  }

  #failed() {
    this.setAttribute("state", "failed");
    this.dispatchEvent(new Event("error"));
  }
}

for (const name of ["preview", "src", "srcset", "sizes", "alt"]) {
  Object.defineProperty(AezImageElement.prototype, name, {
    configurable: true,
    enumerable: true,
    get() {
      return this.getAttribute(name);
    },
    set(value) {
      if (value === null || value === undefined) this.removeAttribute(name);
      else this.setAttribute(name, value);
    },
  });
}

export function defineAezImage(name = "aez-img") {
  const registry = globalThis.customElements;
  if (!registry || registry.get(name)) return;
  // A constructor can have one name only.
  registry.define(name, name === "aez-img" ? AezImageElement : class extends AezImageElement {});
}

defineAezImage();
