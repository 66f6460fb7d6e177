//! A test image, a lake at sunset: a function from a point to a colour, which is sampled several times per pixel.
//!
//! The unit of length is the height of the image: x is in 0..1.5 from the left, y is in 0..1 from the top.

/// Samples per pixel along each axis.
const SAMPLES: u32 = 4;

/// y of the far shore, where the lake begins.
const SHORE: f32 = 0.6;
const SUN: Point = (1.0, 0.325);
/// The middle of the boat at the waterline.
const BOAT: Point = (0.62, 0.755);

pub type Point = (f32, f32);
type Colour = [f32; 3];

/// Draws a part of the image: `corner` is its upper left corner, and `scale` the number of pixels per unit of length. Returns
/// `width * height * 3` bytes: rows from the top, red, green, blue.
pub fn draw(width: u32, height: u32, corner: Point, scale: f32) -> Vec<u8> {
    (0..width * height).flat_map(|index| pixel(index % width, index / width, corner, scale)).collect()
}

/// The average colour of the samples of a pixel.
fn pixel(column: u32, row: u32, corner: Point, scale: f32) -> [u8; 3] {
    let mut sum = [0.0; 3];
    for sample in 0..SAMPLES * SAMPLES {
        let at = |start: f32, pixel: u32, step: u32| {
            start + (pixel as f32 + (step as f32 + 0.5) / SAMPLES as f32) / scale
        };
        let colour = scene((at(corner.0, column, sample % SAMPLES), at(corner.1, row, sample / SAMPLES)));
        sum = std::array::from_fn(|i| sum[i] + colour[i]);
    }
    sum.map(|s| (255.0 * s / (SAMPLES * SAMPLES) as f32).round().clamp(0.0, 255.0) as u8)
}

/// The objects from the nearest to the farthest: reeds, boat, lake, land, sky.
fn scene(p: Point) -> Colour {
    reeds(p).or_else(|| boat(p)).unwrap_or_else(|| if p.1 > SHORE { lake(p) } else { above_shore(p) })
}

fn above_shore(p: Point) -> Colour {
    house(p).or_else(|| land(p)).unwrap_or_else(|| sky(p))
}

fn sky((x, y): Point) -> Colour {
    const STOPS: [(f32, u32); 5] =
        [(0.0, 0x28366b), (0.2, 0x5f5193), (0.36, 0xb8638c), (0.48, 0xf08a62), (0.6, 0xffc978)];
    let mut colour = rgb(STOPS[0].1);
    for pair in STOPS.windows(2) {
        colour = mix(colour, rgb(pair[1].1), smoothstep(pair[0].0, pair[1].0, y));
    }
    let streaks = fractal_noise(x * 2.2 + 5.0, y * 11.0) - 0.18 * (y - 0.3).abs();
    let cloud = smoothstep(0.52, 0.78, streaks) * smoothstep(0.55, 0.4, y);
    colour = mix(colour, mix(rgb(0x8a5a94), rgb(0xffb38a), smoothstep(0.05, 0.4, y)), 0.75 * cloud);
    let distance = (x - SUN.0).hypot(y - SUN.1);
    colour = mix(colour, rgb(0xffdf9e), 0.75 * (-distance * 4.5).exp());
    mix(colour, rgb(0xfff6d8), smoothstep(0.071, 0.066, distance))
}

/// The headland with the house, and three ridges behind it, paler with distance.
fn land((x, y): Point) -> Option<Colour> {
    let headland = SHORE + 0.01 - 0.075 * smoothstep(0.52, 0.1, x) - pine_height(x);
    if y > headland {
        return Some(mix(rgb(0x1d2740), rgb(0x2e3350), smoothstep(0.5, 0.6, y)));
    }
    let ridge =
        |base: f32, height: f32, scale: f32, seed: f32| base - height * fractal_noise(x * scale + seed, seed);
    [
        (ridge(0.61, 0.10, 2.6, 31.0), 0x4a3f68, 0x6a4c70),
        (ridge(0.60, 0.19, 2.0, 17.0), 0x6f5383, 0x9c6580),
        (ridge(0.575, 0.30, 1.4, 3.0), 0x94658f, 0xd58a80),
    ]
    .into_iter()
    .find(|&(top, ..)| y > top)
    .map(|(top, crest, foot)| mix(rgb(crest), rgb(foot), smoothstep(top, SHORE, y)))
}

/// Height of the pines above the ground of the headland.
fn pine_height(x: f32) -> f32 {
    let pine = |middle: f32, height: f32| {
        let reach = 1.0 - (x - middle).abs() / (0.22 * height);
        let boughs = 0.012 * (reach * 22.0).sin() * smoothstep(0.0, 0.3, reach) * smoothstep(1.0, 0.8, reach);
        if reach > 0.0 { height * reach + boughs } else { 0.0 }
    };
    [(0.02, 0.2), (0.065, 0.26), (0.115, 0.17), (0.355, 0.13), (0.4, 0.09)]
        .into_iter()
        .map(|(middle, height)| pine(middle, height))
        .fold(0.0, f32::max)
}

fn house((x, y): Point) -> Option<Colour> {
    let (x, y) = (x - 0.235, y - 0.555);
    let inside =
        |left: f32, right: f32, top: f32, bottom: f32| x > left && x < right && y > top && y < bottom;
    if inside(-0.034, -0.014, -0.045, -0.022) || inside(0.014, 0.034, -0.045, -0.022) {
        Some(rgb(0xffdc7a))
    } else if inside(-0.05, 0.05, -0.06, 0.0) {
        Some(mix(rgb(0x7d4a55), rgb(0xb8705c), smoothstep(-0.05, 0.05, x)))
    } else if inside(-0.065, 0.065, -0.115, -0.06) && x.abs() < 0.065 + 1.05 * (y + 0.06) * 0.75 {
        Some(rgb(0x3a2740))
    } else if inside(0.02, 0.035, -0.125, -0.06) {
        Some(rgb(0x4a3048))
    } else {
        None
    }
}

/// The mirror image of the land and the sky, distorted by waves that grow with the distance from the shore, and reflections of the sun.
fn lake((x, y): Point) -> Colour {
    let depth = (y - SHORE) / (1.0 - SHORE);
    let wave = fractal_noise(x * (14.0 - 8.0 * depth), 26.0 * (depth + 0.05).ln()) - 0.5;
    let mirrored =
        (x + 0.05 * depth * wave, (SHORE - 0.85 * (y - SHORE) + 0.1 * depth.sqrt() * wave).min(SHORE));
    let water = mix(above_shore(mirrored), rgb(0x27305a), 0.2 + 0.4 * depth);
    let column = (-((x - SUN.0) / (0.05 + 0.1 * depth)).powi(2)).exp();
    let glitter = column * smoothstep(0.0, 0.22, wave + 0.08) * (1.0 - 0.6 * depth);
    mix(water, rgb(0xffdb9a), 0.85 * glitter)
}

/// The sailing boat, and below the waterline its darker, distorted mirror image.
fn boat((x, y): Point) -> Option<Colour> {
    let (x, y) = (x - BOAT.0, BOAT.1 - y);
    if y >= 0.0 {
        return boat_side(x, y);
    }
    let shaken = x + 0.012 * (y * 260.0).sin() * smoothstep(0.0, -0.05, y);
    boat_side(shaken, -1.3 * y).map(|colour| mix(colour, rgb(0x4a3f68), 0.55))
}

/// The boat without its mirror image. `x` is the distance from the mast to the right, `y` the height above the water.
fn boat_side(x: f32, y: f32) -> Option<Colour> {
    let along = (y - 0.04) / 0.21;
    if y < 0.033 {
        (x > -0.085 - 0.7 * y && x < 0.075 + 0.9 * y).then(|| mix(rgb(0x2b1e35), rgb(0x7d3b3f), y / 0.033))
    } else if x.abs() < 0.003 && y < 0.27 {
        Some(rgb(0x3a2740))
    } else if along < 0.0 {
        None
    } else if x > 0.0 && x < 0.095 * (1.0 - along) * (1.0 + 0.5 * along) {
        Some(mix(rgb(0xffe9c4), rgb(0xf0a878), x / 0.095))
    } else if x < -0.006 && x > -0.075 * (1.0 - along / 0.85) {
        Some(mix(rgb(0xf3c09a), rgb(0xc97f78), -x / 0.075))
    } else {
        None
    }
}

/// Bent blades and two cattails in the lower right corner.
fn reeds((x, y): Point) -> Option<Colour> {
    let up = 1.0 - y;
    (0..26)
        .any(|blade| {
            let [root, height, bend] = [1.0, 2.0, 3.0].map(|k| hash(blade, k as i32));
            let height = 0.12 + 0.24 * height * (0.4 + 0.6 * root);
            let along = up / height;
            let middle = 1.16 + 0.36 * root.sqrt() - (0.02 + 0.09 * bend) * along * along;
            let tail = blade % 9 == 0 && along > 0.8;
            along < 1.0 && (x - middle).abs() < if tail { 0.0075 } else { 0.0055 * (1.0 - along * along) }
        })
        .then(|| mix(rgb(0x161a30), rgb(0x3b3350), up / 0.3))
}

/// Five octaves of interpolated lattice noise, in 0..1.
fn fractal_noise(x: f32, y: f32) -> f32 {
    let octave = |n: i32| {
        let scale = (1 << n) as f32;
        lattice_noise(x * scale + 7.3 * n as f32, y * scale) / scale
    };
    (0..5).map(octave).sum::<f32>() / 1.9375
}

fn lattice_noise(x: f32, y: f32) -> f32 {
    let (column, row) = (x.floor(), y.floor());
    let (across, down) = (smoothstep(0.0, 1.0, x - column), smoothstep(0.0, 1.0, y - row));
    let corner = |dx: i32, dy: i32| hash(column as i32 + dx, row as i32 + dy);
    let blend = |a: f32, b: f32, t: f32| a + (b - a) * t;
    blend(blend(corner(0, 0), corner(1, 0), across), blend(corner(0, 1), corner(1, 1), across), down)
}

/// A pseudorandom number in 0..1 that depends on both integers.
fn hash(a: i32, b: i32) -> f32 {
    let mut bits = (a as u32).wrapping_mul(0x9e37_79b1) ^ (b as u32).wrapping_mul(0x85eb_ca6b);
    bits = (bits ^ (bits >> 15)).wrapping_mul(0x2c1b_3c6d);
    bits = (bits ^ (bits >> 12)).wrapping_mul(0x297a_2d39);
    ((bits ^ (bits >> 15)) >> 8) as f32 / (1 << 24) as f32
}

/// 0 before `from`, 1 after `to`, and smooth in between. `to` may be less than `from`.
fn smoothstep(from: f32, to: f32, x: f32) -> f32 {
    let t = ((x - from) / (to - from)).clamp(0.0, 1.0);
    t * t * (3.0 - 2.0 * t)
}

fn mix(from: Colour, to: Colour, t: f32) -> Colour {
    std::array::from_fn(|i| from[i] + (to[i] - from[i]) * t.clamp(0.0, 1.0))
}

fn rgb(hex: u32) -> Colour {
    [16, 8, 0].map(|shift| ((hex >> shift) & 255) as f32 / 255.0)
}
