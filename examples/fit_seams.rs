//! Finds the weights with which borders between tiles are softened: `cargo run --release --example fit_seams -- PICTURE...`
//!
//! Each tile of each picture goes through a file of its own, at the default quality, so that its borders stay as they are. Of the
//! pixels beside the borders, least squares predict the error from the steps around them, and the result is printed as
//! `src/picture/seams.rs` has it.

use std::{error::Error, path::Path};

use aez::{
    Limits,
    codec::{Decoder, Encoder},
    model::Model,
    picture::{
        self, Grid, Picture,
        seams::{ACTIVITIES, REACH, REGRESSORS, UNIT, crossings, interpolation, regressors, side},
    },
};
use nalgebra::{DMatrix, DVector};

/// Part by which the diagonal of the normal equations is raised: smaller weights, which fit nearly as well, do less harm in pictures
/// unlike these, and to levels that another machine rounds otherwise.
const RIDGE: f64 = 0.05;
/// Weights of one distance from the border.
const UNKNOWNS: usize = ACTIVITIES.len() * REGRESSORS;

fn main() -> Result<(), Box<dyn Error>> {
    let model = Model::builtin()?;
    let mut squares = DMatrix::zeros(UNKNOWNS, UNKNOWNS);
    let mut products = vec![DVector::zeros(UNKNOWNS); REACH];
    for path in std::env::args().skip(1) {
        let picture = picture::read(Path::new(&path), &Limits::default())?;
        let grid = Grid { width: picture.width, height: picture.height, edge: model.tile() as u32 };
        let coded = code_tiles(model, &picture, &grid)?;
        add(&mut squares, &mut products, &picture.rgb, &coded, &grid);
    }
    squares.set_diagonal(&(squares.diagonal() * (1.0 + RIDGE)));
    let squares = squares.cholesky().ok_or("too few pictures of more than one tile")?;
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

/// The picture's bytes after each tile was encoded and decoded alone.
fn code_tiles(model: &Model, picture: &Picture, grid: &Grid) -> aez::Result<Vec<u8>> {
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

/// Adds the pixels beside all borders to the normal equations.
fn add(
    squares: &mut DMatrix<f64>,
    products: &mut [DVector<f64>],
    original: &[u8],
    coded: &[u8],
    grid: &Grid,
) {
    for crossing in crossings(grid).filter(|crossing| crossing.within == (0..2 * REACH)) {
        let steps = crossing.steps(coded);
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
                let at = crossing.pixels[pixel] + channel;
                let error = f64::from(original[at]) - f64::from(coded[at]);
                row.iter().for_each(|&(a, x)| products[side(pixel).1][a] += x * error);
            }
        }
    }
}
