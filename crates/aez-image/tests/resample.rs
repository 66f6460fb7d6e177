//! The scaling of `aez-core` against that of the `image` crate.

use aez_core::{
    Picture,
    picture::resample::{Filter, scale},
};
use image::imageops::{self, FilterType};

fn noise(width: u32, height: u32) -> Picture {
    let bytes = (0..width * height * 3).map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8);
    Picture::from_rgb(width, height, bytes.collect())
}

#[test]
fn scaling_agrees_with_the_image_crate() {
    for (filter, theirs) in
        [(Filter::Triangle, FilterType::Triangle), (Filter::Lanczos3, FilterType::Lanczos3)]
    {
        for (width, height) in [(23, 31), (60, 20), (7, 90), (96, 96)] {
            let picture = noise(61, 47);
            let image = image::RgbImage::from_raw(61, 47, picture.rgb.clone()).unwrap();
            let expected = imageops::resize(&image, width, height, theirs).into_raw();
            let found = scale(&picture, filter, width, height).rgb;
            let worst = expected.iter().zip(&found).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
            assert!(worst <= 1, "{filter:?} to {width}x{height}: {worst}");
        }
    }
}
