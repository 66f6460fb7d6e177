// Sample pictures, drawn by this page.

function canvas(width, height, draw) {
  return () => {
    const result = Object.assign(document.createElement("canvas"), { width, height });
    draw(result.getContext("2d"), width, height);
    return result;
  };
}

function gradient(context, height, ...colours) {
  const result = context.createLinearGradient(0, 0, 0, height);
  colours.forEach((colour, at) => result.addColorStop(at / (colours.length - 1), colour));
  return result;
}

function disc(context, x, y, radius, fill) {
  context.beginPath();
  context.arc(x, y, radius, 0, 2 * Math.PI);
  context.fillStyle = fill;
  context.fill();
}

function polygon(context, fill, ...points) {
  context.beginPath();
  for (const [x, y] of points) context.lineTo(x, y);
  context.fillStyle = fill;
  context.fill();
}

function landscape(context, width, height) {
  context.fillStyle = gradient(context, height, "#3c6fb0", "#9cc3e6", "#f6d9a8");
  context.fillRect(0, 0, width, height);
  disc(context, width * 0.72, height * 0.34, height * 0.09, "#fff4cf");
  polygon(context, "#5b6b86", [0, 0.72 * height], [0.22 * width, 0.32 * height], [0.46 * width, 0.72 * height]);
  polygon(context, "#42516b", [0.2 * width, 0.74 * height], [0.5 * width, 0.42 * height], [0.85 * width, 0.74 * height]);
  context.fillStyle = gradient(context, height, "#3f7a3a", "#2c5a2b", "#183818");
  context.fillRect(0, 0.7 * height, width, 0.3 * height);
}

function fruit(context, width, height) {
  context.fillStyle = gradient(context, height, "#ece4d8", "#cdbfa9");
  context.fillRect(0, 0, width, height);
  for (const [x, y, radius, light, dark] of [[0.34, 0.55, 0.24, "#f7b24a", "#b9580c"], [0.64, 0.6, 0.2, "#c4d85a", "#4e7a1d"]]) {
    const shade = context.createRadialGradient(
      (x - 0.08) * width, (y - 0.12) * height, 0, x * width, y * height, radius * height * 1.1);
    shade.addColorStop(0, light);
    shade.addColorStop(1, dark);
    disc(context, x * width, y * height, radius * height, shade);
  }
}

function logo(context, width, height) {
  disc(context, width / 2, height / 2, height * 0.42, "#d5374f");
  disc(context, width / 2, height / 2, height * 0.24, "#ffd25e");
}

function portrait(context, width, height) {
  context.fillStyle = gradient(context, height, "#27343d", "#54707a");
  context.fillRect(0, 0, width, height);
  disc(context, width / 2, height * 1.02, width * 0.42, "#8a3d4c");
  disc(context, width / 2, height * 0.42, width * 0.27, "#3a2620");
  disc(context, width / 2, height * 0.46, width * 0.22, "#d9a584");
}

export const samples = [
  { name: "Landscape", draw: canvas(640, 427, landscape) },
  { name: "Fruit", draw: canvas(600, 450, fruit) },
  { name: "Transparent logo", draw: canvas(400, 400, logo) },
  { name: "Portrait", draw: canvas(400, 560, portrait) },
];
