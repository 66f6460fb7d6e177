//! Rate-distortion optimized rounding. Optimization leaves some latents near the middle between two integers. Each of these takes the
//! integer that costs less, while the others are as they are.

use std::ops::Range;

use super::{
    fit::nearest,
    network::Network,
    objective::{CostMap, Costs},
    scratch::Scratch,
    target::Target,
};

/// Latents are in doubt where they are nearer than this to the middle between two integers.
const DOUBT: f32 = 0.12;
/// Number of levels, the finest ones, whose latents are decided. Those of the coarser ones cost little.
const LEVELS: usize = 5;
/// When a pass over a level saves less than this part of all costs, the next level follows.
const LEAST_SAVING: f64 = 1e-4;

/// How far a latent reaches, in positions.
#[derive(Debug, Clone, Copy)]
struct Reach {
    /// From a latent to the end of the area whose costs are compared. Beyond it, another integer changes little.
    area: usize,
    /// Latents that are decided in the same pass are further apart than this. Their areas may overlap a little; to keep them apart takes
    /// more passes and saves no more.
    spacing: usize,
}

impl Reach {
    /// With few passes, it is better to decide more latents in each.
    fn new(passes: usize) -> Self {
        if passes < 4 { Self { area: 2, spacing: 3 } } else { Self { area: 3, spacing: 4 } }
    }
}

/// A latent, by its place in its level, the nearest integer, and the other one that it could be.
#[derive(Clone, Copy)]
struct Candidate {
    place: usize,
    nearest: f32,
    other: f32,
}

/// Rounds latents, in up to `passes` passes over each level. In a pass, latents that are far from each other take their other integers,
/// and those around which the costs rise take them back. A pass takes less time than an optimization step. The cost is not
/// higher than that of the nearest integers.
pub(super) fn decide(
    network: &Network,
    target: &Target,
    latents: &[Vec<f32>],
    passes: usize,
    scratch: &Scratch,
) -> Vec<Vec<f32>> {
    let mut rounded = nearest(latents);
    if passes == 0 {
        return rounded;
    }
    let reach = Reach::new(passes);
    let mut costs = Costs::new(network, target, &rounded, scratch);
    let mut tried = costs.clone();
    let first = costs.total();
    let mut total = first;
    for level in (0..LEVELS.min(latents.len())).rev() {
        let mut candidates = in_doubt(&latents[level]);
        let levels = Costs::changed(network, level);
        for _ in 0..passes {
            let chosen = take_apart(&mut candidates, costs.sizes[level], reach.spacing);
            if chosen.is_empty() {
                break;
            }
            chosen.iter().for_each(|one| rounded[level][one.place] = one.other);
            tried.compute(network, target, &rounded, levels.clone(), scratch);
            take_back(&mut rounded[level], &costs, &mut tried, &levels, &chosen, reach.area);
            costs.exchange(&mut tried, levels.clone());
            let before = std::mem::replace(&mut total, costs.total());
            if before - total < LEAST_SAVING * before {
                break;
            }
        }
    }
    // Where latents were taken back, the costs are not exact.
    costs.compute(network, target, &rounded, 0..latents.len(), scratch);
    if costs.total() < first { rounded } else { nearest(latents) }
}

/// Takes those of the chosen latents back around which the costs have risen, and gives `new` the old costs there. `levels` are those whose
/// bits change; the last one is that of the latents.
fn take_back(
    rounded: &mut [f32],
    old: &Costs,
    new: &mut Costs,
    levels: &Range<usize>,
    chosen: &[Candidate],
    reach: usize,
) {
    let is_worse = |one: &&Candidate| change(old, new, levels, one.place, reach) >= 0.0;
    let worse: Vec<&Candidate> = chosen.iter().filter(is_worse).collect();
    for one in worse {
        rounded[one.place] = one.nearest;
        for (map, row) in areas(old, levels, one.place, reach) {
            new.map_mut(map)[row.clone()].copy_from_slice(&old.map(map)[row]);
        }
    }
}

/// Latents in doubt, the most doubtful first.
fn in_doubt(latents: &[f32]) -> Vec<Candidate> {
    let doubt = |latent: f32| (latent - latent.floor() - 0.5).abs();
    let mut places: Vec<usize> = (0..latents.len()).filter(|&place| doubt(latents[place]) < DOUBT).collect();
    places.sort_by(|&a, &b| doubt(latents[a]).total_cmp(&doubt(latents[b])));
    let candidate = |place: usize| {
        let nearest = latents[place].round();
        Candidate { place, nearest, other: 2.0 * latents[place].floor() + 1.0 - nearest }
    };
    places.into_iter().map(candidate).collect()
}

/// Takes candidates that are far enough from each other out of a list.
fn take_apart(
    candidates: &mut Vec<Candidate>,
    (rows, columns): (usize, usize),
    spacing: usize,
) -> Vec<Candidate> {
    let mut is_near = vec![false; rows * columns];
    let mut taken = Vec::new();
    candidates.retain(|candidate| {
        let position = candidate.place % (rows * columns);
        if is_near[position] {
            return true;
        }
        taken.push(*candidate);
        let near = |at: usize, size: usize| at.saturating_sub(spacing)..(at + spacing + 1).min(size);
        for row in near(position / columns, rows) {
            is_near[row * columns..][near(position % columns, columns)].fill(true);
        }
        false
    });
    taken
}

/// By how much the costs around a latent have changed.
fn change(old: &Costs, new: &Costs, levels: &Range<usize>, place: usize, reach: usize) -> f64 {
    let sum = |part: &[f32]| f64::from(part.iter().sum::<f32>());
    let changes = areas(old, levels, place, reach)
        .map(|(map, row)| sum(&new.map(map)[row.clone()]) - sum(&old.map(map)[row]));
    changes.sum()
}

/// The places around a latent, row by row, in each map of costs that it changes.
fn areas(
    costs: &Costs,
    levels: &Range<usize>,
    place: usize,
    reach: usize,
) -> impl Iterator<Item = (CostMap, Range<usize>)> {
    let level = levels.end - 1;
    let (rows, columns) = costs.sizes[level];
    let position = place % (rows * columns);
    let (y, x) = (position / columns, position % columns);
    let of_map = move |map: CostMap| {
        let finer = map.level();
        let ((rows, columns), scale) = (costs.sizes[finer], 1 << (level - finer));
        let range = move |at: usize, size: usize| {
            (at.saturating_sub(reach) * scale).min(size)..((at + reach + 1) * scale).min(size)
        };
        let Range { start, end } = range(x, columns);
        range(y, rows).map(move |row| (map, row * columns + start..row * columns + end))
    };
    std::iter::once(CostMap::Errors).chain(levels.clone().map(CostMap::Bits)).flat_map(of_map)
}

#[cfg(test)]
mod tests {
    use super::super::{
        config::Config,
        fit::{initial, optimize},
        integer::tests::trained,
        objective,
        schedule::Schedule,
        tests::picture,
    };
    use super::*;

    #[test]
    fn decided_latents_cost_less_than_the_nearest_integers() {
        let network = trained();
        for (width, height) in [(64, 48), (33, 7), (1, 1)] {
            let target = Target::new(&picture(width, height)).unwrap();
            let scratch = Scratch::default();
            let latents = optimize(
                &network,
                &target,
                initial(&network, &target, network.lambda()),
                Schedule::LONG,
                20,
                &|_| true,
                &scratch,
            )
            .latents;
            let loss = |latents: &[Vec<f32>]| {
                objective::measure(&network, &target, latents).0.loss(network.lambda())
            };
            let decided = |passes| decide(&network, &target, &latents, passes, &scratch);
            assert_eq!(decided(0), nearest(&latents));
            let (plain, decided) = (loss(&nearest(&latents)), loss(&decided(4)));
            assert!(decided <= plain + 1e-3, "{plain} {decided}");
            assert!(width < 64 || decided < 0.999 * plain, "{plain} {decided}");
        }
    }

    #[test]
    fn maps_have_the_costs_of_the_objective_also_after_changes() {
        let plain = Network::new(Config::default(), 0.01, 1).unwrap();
        for network in [trained(), plain] {
            let target = Target::new(&picture(21, 18)).unwrap();
            let mut latents = nearest(&initial(&network, &target, network.lambda()).latents);
            let scratch = Scratch::default();
            let mut costs = Costs::new(&network, &target, &latents, &scratch);
            let mut other = costs.clone();
            for level in (0..latents.len()).rev() {
                let middle = latents[level].len() / 2;
                latents[level][middle] += 1.0;
                let levels = Costs::changed(&network, level);
                other.compute(&network, &target, &latents, levels.clone(), &scratch);
                costs.exchange(&mut other, levels);
                let (cost, _) = objective::gradient(&network, &target, &latents, None, &scratch);
                let expected = cost.loss(network.lambda()) * cost.pixels as f64;
                assert!(
                    (costs.total() / expected - 1.0).abs() < 1e-4,
                    "{level}: {} {expected}",
                    costs.total()
                );
            }
        }
    }
}
