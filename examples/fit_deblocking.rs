//! Fits the weights of the deblocking filter to pictures: `cargo run --release --example fit_deblocking -- PICTURE...`
//!
//! Each tile of each picture is encoded as a file of its own at the default quality, so that the filter does not change it. For
//! the pixels next to the block boundaries, least squares predict the error from the differences between the pixels around
//! them. The weights are printed in the form of `crates/aez-core/src/tiled/deblock.rs`.

use std::{error::Error, path::Path};

use aez::{Decoder, Encoder, Limits, Model, Picture};
use aez_core::tiled::{
    TileGrid,
    deblock::{ACTIVITIES, REACH, REGRESSORS, UNIT, interpolation, lines, regressors, side},
};
use nalgebra::{DMatrix, DVector};

/// Relative increase of the diagonal of the normal equations (ridge regression). The weights become smaller and fit nearly as
/// well. Small weights are safer for other kinds of pictures, and amplify rounding differences between machines less.
const RIDGE: f64 = 0.05;
/// Number of weights for one distance from the boundary.
const UNKNOWNS: usize = ACTIVITIES.len() * REGRESSORS;

fn main() -> Result<(), Box<dyn Error>> {
    let model = aez::models::tile()?;
    let mut squares = DMatrix::zeros(UNKNOWNS, UNKNOWNS);
    let mut products = vec![DVector::zeros(UNKNOWNS); REACH];
    for path in std::env::args().skip(1) {
        let picture = aez_image::read(Path::new(&path), &Limits::default())?;
        let edge = model.block_edge().ok_or("a model without tiles")?;
        let grid = TileGrid { width: picture.width, height: picture.height, edge };
        let coded = code_tiles(model, &picture, &grid)?;
        add(&mut squares, &mut products, &picture.rgb, &coded, &grid);
    }
    squares.set_diagonal(&(squares.diagonal() * (1.0 + RIDGE)));
    let squares = squares.cholesky().ok_or("too few pictures that are larger than a tile")?;
    let weights: Vec<DVector<f64>> = products.iter().map(|product| squares.solve(product)).collect();
    for (set, activity) in ACTIVITIES.iter().enumerate() {
        println!("// activity {activity}");
        for weights in &weights {
            let weights = weights.rows(set * REGRESSORS, REGRESSORS);
            println!(
                "{:?},",
                weights.iter().map(|weight| (weight * f64::from(UNIT)).round() as i32).collect::<Vec<_>>()
            );
        }
    }
    Ok(())
}

/// The bytes of the picture after each tile was encoded and decoded separately.
fn code_tiles(model: &Model, picture: &Picture, grid: &TileGrid) -> aez::Result<Vec<u8>> {
    let edge = grid.edge as usize;
    let mut coded = vec![0; picture.rgb.len()];
    let mut tile = vec![0.0; edge * edge * 3];
    for index in 0..grid.len() {
        grid.cut(&picture.rgb, index, &mut tile);
        let bytes = tile.iter().map(|value| (value * 255.0).round() as u8).collect();
        let file = Encoder::new(model).encode(&Picture::from_rgb(grid.edge, grid.edge, bytes))?;
        let decoded = Decoder::new(model).decode(&file)?;
        tile.iter_mut().zip(decoded.rgb).for_each(|(value, level)| *value = f32::from(level) / 255.0);
        grid.paste(&tile, index, &mut coded);
    }
    Ok(coded)
}

/// Adds the pixels next to all block boundaries to the normal equations.
fn add(
    squares: &mut DMatrix<f64>,
    products: &mut [DVector<f64>],
    original: &[u8],
    coded: &[u8],
    grid: &TileGrid,
) {
    for line in lines(grid).filter(|line| line.within == (0..2 * REACH)) {
        let steps = line.steps(coded);
        let (set, part) = interpolation(&steps);
        let part = f64::from(part) / f64::from(UNIT);
        let parts = [(set, 1.0 - part), (set + 1, part)];
        for (channel, mirrored) in
            [0, 1, 2].into_iter().flat_map(|channel| [(channel, false), (channel, true)])
        {
            let mut row = [(0, 0.0); 2 * REGRESSORS];
            let values = regressors(&steps, channel, mirrored);
            for (at, entry) in row.iter_mut().enumerate() {
                let ((set, part), i) = (parts[at / REGRESSORS], at % REGRESSORS);
                *entry = (set * REGRESSORS + i, part * f64::from(values[i]));
            }
            for (a, x) in row {
                row.iter().for_each(|&(b, y)| squares[(a, b)] += x * y);
            }
            for pixel in (0..2 * REACH).filter(|&pixel| side(pixel).0 == mirrored) {
                let at = line.pixels[pixel] + channel;
                let error = f64::from(original[at]) - f64::from(coded[at]);
                row.iter().for_each(|&(a, x)| products[side(pixel).1][a] += x * error);
            }
        }
    }
}
