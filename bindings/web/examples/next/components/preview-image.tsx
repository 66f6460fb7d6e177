// A picture with its preview as the background, decoded on the server: the browser needs no script for it.

import { toDataURL } from "aez-image";

interface Props {
  /** The text of the preview, from the database. */
  preview: string;
  src: string;
  alt: string;
  width: number;
  height: number;
}

export function PreviewImage({ preview, src, alt, width, height }: Props) {
  return (
    <img
      src={src}
      alt={alt}
      width={width}
      height={height}
      loading="lazy"
      style={{ maxWidth: "100%", height: "auto", background: `center / 100% 100% no-repeat url(${backgroundOf(preview)})` }}
    />
  );
}

/** A picture must be shown even if its preview is damaged. */
function backgroundOf(preview: string): string {
  try {
    return toDataURL(preview);
  } catch {
    return "data:,";
  }
}
