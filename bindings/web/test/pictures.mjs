// Pictures that are drawn by a program, the same in Node and in browsers.

/** A generator of numbers from 0 to 1 (mulberry32). */
export function random(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A gradient with discs; some pictures are gray, some have holes. */
export function draw(seed) {
  const next = random(seed + 1);
  const [width, height] = [1 + Math.floor(next() * 160), 1 + Math.floor(next() * 160)];
  const [isGray, isOpaque] = [next() < 0.1, next() < 0.7];
  const colour = () => [next() * 255, next() * 255, next() * 255];
  const corners = [colour(), colour(), colour()];
  const discs = Array.from({ length: 4 }, () => ({
    x: next() * width, y: next() * height, radius: next() * width / 3, colour: colour(), alpha: next() < 0.5 ? 0 : 255,
  }));
  const data = new Uint8ClampedArray(width * height * 4);
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const [u, v] = [x / width, y / height];
      let pixel = corners[0].map((value, at) => value + u * (corners[1][at] - value) / 2 + v * (corners[2][at] - value) / 2);
      let alpha = 255;
      for (const disc of discs) {
        if ((x - disc.x) ** 2 + (y - disc.y) ** 2 < disc.radius ** 2) [pixel, alpha] = [disc.colour, disc.alpha];
      }
      if (isGray) pixel = [pixel[0], pixel[0], pixel[0]];
      data.set([...pixel.map(Math.round), isOpaque ? 255 : alpha], 4 * (y * width + x));
    }
  }
  return { width, height, data };
}

/** The number of bytes for the preview of a picture. */
export function budget(seed) {
  return [16, 21, 30, 60, 200][seed % 5];
}
