/** `<aez-img>`: shows a preview at once, and fades the picture in when it has loaded. */
export declare class AezImageElement extends HTMLElement {
  preview: string | null;
  src: string | null;
  srcset: string | null;
  sizes: string | null;
  alt: string | null;
  /** `preview` until the picture is shown, then `loaded`; `failed` if it cannot be loaded. Also an attribute, for CSS. */
  readonly state: "preview" | "loaded" | "failed";
}

/** Defines the element, under another name if given. Importing the module defines `aez-img` already where there is a document. */
export declare function defineAezImage(name?: string): void;

declare global {
  interface HTMLElementTagNameMap {
    "aez-img": AezImageElement;
  }
}
