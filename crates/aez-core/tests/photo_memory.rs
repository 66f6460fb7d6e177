//! Decoding a photograph allocates no more than the bound that is checked before.

use std::alloc::System;

use aez_core::{
    Limits,
    photo::{Config, IntegerNetwork, Level, Network},
};

#[global_allocator]
static ALLOCATOR: cap::Cap<System> = cap::Cap::new(System, usize::MAX);

/// The factor of the steps of a network at its own quality.
const UNCHANGED: u32 = 1 << 12;

/// Latents of which few are not 0.
fn latents(config: &Config, height: u32, width: u32) -> Vec<Vec<i32>> {
    let level = |(level, sizes): (usize, &Level)| {
        let positions = height.div_ceil(1 << level) as usize * width.div_ceil(1 << level) as usize;
        (0..positions * sizes.channels).map(|i| i32::from(i % 97 == 0)).collect()
    };
    config.levels.iter().enumerate().map(level).collect()
}

#[test]
fn decoding_succeeds_with_as_much_memory_as_its_bound() {
    let mut config = Config::default();
    config.levels[0].guides = 2;
    for (height, width, directions) in
        [(16, 16, 0), (16, 16, 16), (40, 700, 0), (40, 700, 1), (301, 450, 0), (500, 701, 6)]
    {
        config.directions = directions;
        let network = IntegerNetwork::new(&Network::new(config.clone(), 0.01, 1).unwrap()).unwrap();
        let (latents, coefficients) = (latents(&config, height, width), vec![9; directions]);
        let (bytes, shown) = network.encode(height, width, UNCHANGED, &latents, &coefficients).unwrap();
        let bound = network.memory(height, width);
        let decode =
            |limit| network.decode(height, width, UNCHANGED, &bytes, &Limits::NONE.with_max_memory(limit));
        assert!(decode(bound - 1).is_err());
        // Beyond the limit, the allocator aborts the program.
        ALLOCATOR.set_limit(ALLOCATOR.allocated() + bound as usize).unwrap();
        let decoded = decode(bound);
        ALLOCATOR.set_limit(usize::MAX).unwrap();
        assert_eq!(decoded.unwrap(), shown, "{height} x {width}");
    }
}
