import { encodePreview } from "aez-image";

export interface Picture {
  src: string;
  alt: string;
  width: number;
  height: number;
  preview: string;
}

/** What a database would answer. A real site encodes a preview once, when the picture is uploaded. */
export async function pictures(): Promise<Picture[]> {
  const [width, height] = [640, 400];
  return ["sunrise", "noon", "dusk"].map((alt, hour) => ({
    src: `/${alt}.jpg`,
    alt,
    width,
    height,
    preview: encodePreview(sky(width, height, hour), width, height),
  }));
}

function sky(width: number, height: number, hour: number): Uint8Array {
  const pixels = new Uint8Array(width * height * 4);
  for (let at = 0; at < width * height; at++) {
    const y = Math.floor(at / width) / height;
    pixels.set([80 + 150 * y, 110 + 60 * y - 30 * hour, 220 - 70 * hour * y, 255], 4 * at);
  }
  return pixels;
}
