//! The order in which the values of an array are packed.

use crate::{parallel::*, tiled::Config};

/// An array seen as rows of `edge * edge` places with `channels` values each. A row is what belongs to one latent, or to one channel
/// of a convolution's high side; its places are those of the smallest picture, or of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    pub rows: usize,
    pub edge: usize,
    pub channels: usize,
    layout: Layout,
}

/// Where the array has the value of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// `[row][place][channel]`
    Rows,
    /// `[place][channel][row]`
    Columns,
    /// `[place][row][channel]`
    Windows,
}

impl Grid {
    /// The grid of an array that can be packed.
    pub fn of(config: &Config, name: &str, shape: &[usize]) -> Option<Self> {
        let (edge, channels) = (config.bottom_edge(), config.channels << config.reductions);
        let linear = |rows, layout| Self { rows, edge, channels, layout };
        match (name, shape) {
            ("encoder.linear.weight", _) => Some(linear(config.latents, Layout::Columns)),
            ("decoder.linear.weight", _) => Some(linear(config.latents, Layout::Rows)),
            ("decoder.linear.bias", _) => Some(linear(1, Layout::Rows)),
            (_, &[edge, _, rows, channels]) => Some(Self { rows, edge, channels, layout: Layout::Windows }),
            _ => None,
        }
    }

    /// Number of values of a row.
    pub fn row_len(&self) -> usize {
        self.edge * self.edge * self.channels
    }

    /// Number of values of the array.
    pub fn len(&self) -> usize {
        self.rows * self.row_len()
    }

    /// Whether the rows are smooth over their places, so that their cosine transform is stored.
    pub fn is_smooth(&self) -> bool {
        self.layout != Layout::Windows
    }

    /// The values of an array in the order of the rows.
    pub fn to_rows(self, array: &[f32]) -> Vec<f32> {
        let mut values = vec![0.0; array.len()];
        values.par_chunks_exact_mut(self.row_len()).enumerate().for_each(|(row, values)| {
            values.iter_mut().enumerate().for_each(|(index, value)| *value = array[self.place(row, index)]);
        });
        values
    }

    /// The array of all rows.
    pub fn to_array(self, rows: &[&[f32]]) -> Vec<f32> {
        /// Values of a row that are moved together, so that they are in the cache.
        const TOGETHER: usize = 64;
        match self.layout {
            Layout::Rows => rows.concat(),
            Layout::Columns => {
                let mut array = vec![0.0; self.len()];
                let parts = array.par_chunks_mut(TOGETHER * self.rows).enumerate();
                parts.for_each(|(part, columns)| {
                    for (row, values) in rows.iter().enumerate() {
                        let column = columns[row..].iter_mut().step_by(self.rows);
                        column.zip(&values[part * TOGETHER..]).for_each(|(to, from)| *to = *from);
                    }
                });
                array
            }
            Layout::Windows => {
                let mut array = vec![0.0; self.len()];
                for (row, values) in rows.iter().enumerate() {
                    for (place, values) in values.chunks_exact(self.channels).enumerate() {
                        let start = self.place(row, place * self.channels);
                        array[start..start + self.channels].copy_from_slice(values);
                    }
                }
                array
            }
        }
    }

    /// The index in the array of value `index` of a row.
    fn place(&self, row: usize, index: usize) -> usize {
        match self.layout {
            Layout::Rows => row * self.row_len() + index,
            Layout::Columns => index * self.rows + row,
            Layout::Windows => {
                (index / self.channels * self.rows + row) * self.channels + index % self.channels
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arrays_of_all_layouts_survive_a_round_trip() {
        let config = Config { tile: 16, channels: 12, reductions: 2, latents: 5, ..Config::default() };
        let mut grids = 0;
        for (name, shape) in config.parameters() {
            let Some(grid) = Grid::of(&config, &name, &shape) else { continue };
            let array: Vec<f32> = (0..shape.iter().product()).map(|i| i as f32).collect();
            assert_eq!(grid.len(), array.len(), "{name}");
            let rows = grid.to_rows(&array);
            assert!(grid.rows == 1 || grid.layout == Layout::Rows || rows != array, "{name}");
            let rows: Vec<&[f32]> = rows.chunks_exact(grid.row_len()).collect();
            assert_eq!(grid.to_array(&rows), array, "{name}");
            grids += 1;
        }
        assert_eq!(grids, 2 * 6 + 3);
    }
}
