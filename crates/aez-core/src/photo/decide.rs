//! Rate-distortion optimized rounding. Optimization leaves some latents near the middle between two integers. Each of these takes the
//! integer that costs less, while the others are as they are.

use super::{fit::nearest, network::Network, objective::Costs, scratch::Scratch, target::Target};

/// Latents are in doubt where they are nearer than this to the middle between two integers.
const DOUBT: f32 = 0.12;
/// Number of levels, the finest ones, whose latents are decided. Those of the coarser ones cost little.
const LEVELS: usize = 5;
/// Positions from a latent to the end of the area whose costs are compared. Beyond it, another integer changes little.
const REACH: usize = 3;
/// Latents that are decided in the same pass are further apart than this. Their areas may overlap a little; to keep them apart takes
/// more passes and saves no more.
const SPACING: usize = 4;
/// When a pass over a level saves less than this part of all costs, the next level follows.
const LEAST_SAVING: f64 = 1e-4;

/// A latent, by its place in its level, and the other integer that it could be.
#[derive(Clone, Copy)]
struct Candidate {
    place: usize,
    other: f32,
}

/// Rounds latents, in up to `passes` passes over each level. In a pass, latents that are far from each other are decided. It takes at
/// most as long as an optimization step. The cost is not higher than that of the nearest integers.
pub(super) fn decide(
    network: &Network,
    target: &Target,
    latents: &[Vec<f32>],
    passes: usize,
) -> Vec<Vec<f32>> {
    let mut rounded = nearest(latents);
    if passes == 0 {
        return rounded;
    }
    let scratch = Scratch::default();
    let mut costs = Costs::new(network, target, &rounded, &scratch);
    for level in (0..LEVELS.min(latents.len())).rev() {
        let mut candidates = in_doubt(&latents[level]);
        for _ in 0..passes {
            let chosen = take_apart(&mut candidates, costs.sizes[level]);
            if chosen.is_empty() {
                break;
            }
            let before = costs.total();
            costs = decide_some(network, target, &mut rounded, costs, level, chosen, &scratch);
            if before - costs.total() < LEAST_SAVING * before {
                break;
            }
        }
    }
    rounded
}

/// Decides some latents of a level, and returns the costs afterwards.
fn decide_some(
    network: &Network,
    target: &Target,
    rounded: &mut [Vec<f32>],
    costs: Costs,
    level: usize,
    mut chosen: Vec<Candidate>,
    scratch: &Scratch,
) -> Costs {
    exchange(&mut rounded[level], &mut chosen);
    let tried = costs.changed(network, target, rounded, level, scratch);
    let is_worse = |candidate: &Candidate| change(&costs, &tried, level, candidate.place) >= 0.0;
    let (mut worse, mut better): (Vec<_>, Vec<_>) = chosen.into_iter().partition(is_worse);
    exchange(&mut rounded[level], &mut worse);
    let now = if worse.is_empty() { tried } else { costs.changed(network, target, rounded, level, scratch) };
    if now.total() < costs.total() {
        return now;
    }
    exchange(&mut rounded[level], &mut better);
    costs
}

/// Exchanges the integers of candidates for the other ones.
fn exchange(rounded: &mut [f32], candidates: &mut [Candidate]) {
    candidates.iter_mut().for_each(|one| std::mem::swap(&mut rounded[one.place], &mut one.other));
}

/// Latents in doubt, the most doubtful first.
fn in_doubt(latents: &[f32]) -> Vec<Candidate> {
    let doubt = |latent: f32| (latent - latent.floor() - 0.5).abs();
    let mut places: Vec<usize> = (0..latents.len()).filter(|&place| doubt(latents[place]) < DOUBT).collect();
    places.sort_by(|&a, &b| doubt(latents[a]).total_cmp(&doubt(latents[b])));
    let other = |latent: f32| 2.0 * latent.floor() + 1.0 - latent.round();
    places.into_iter().map(|place| Candidate { place, other: other(latents[place]) }).collect()
}

/// Takes candidates that are far enough from each other out of a list.
fn take_apart(candidates: &mut Vec<Candidate>, (rows, columns): (usize, usize)) -> Vec<Candidate> {
    let mut is_near = vec![false; rows * columns];
    let mut taken = Vec::new();
    candidates.retain(|candidate| {
        let position = candidate.place % (rows * columns);
        if is_near[position] {
            return true;
        }
        taken.push(*candidate);
        let near = |at: usize, size: usize| at.saturating_sub(SPACING)..(at + SPACING + 1).min(size);
        for row in near(position / columns, rows) {
            is_near[row * columns..][near(position % columns, columns)].fill(true);
        }
        false
    });
    taken
}

/// By how much the costs around a latent have changed.
fn change(old: &Costs, new: &Costs, level: usize, place: usize) -> f64 {
    let (rows, columns) = old.sizes[level];
    let position = place % (rows * columns);
    let (y, x) = (position / columns, position % columns);
    // The area in the map of a finer level, which has `scale` times as many rows.
    let area = |(old, new): (&[f32], &[f32]), (rows, columns): (usize, usize), scale: usize| {
        let range = |at: usize, size: usize| {
            (at.saturating_sub(REACH) * scale).min(size)..((at + REACH + 1) * scale).min(size)
        };
        let mut sum = 0.0;
        for row in range(y, rows) {
            let part = row * columns..(row + 1) * columns;
            let part = |map: &[f32]| map[part.clone()][range(x, columns)].iter().sum::<f32>();
            sum += f64::from(part(new)) - f64::from(part(old));
        }
        sum
    };
    let bits =
        |finer: usize| area((&old.bits[finer], &new.bits[finer]), old.sizes[finer], 1 << (level - finer));
    area((&old.errors, &new.errors), old.sizes[0], 1 << level) + (0..=level).map(bits).sum::<f64>()
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
            let latents =
                optimize(&network, &target, initial(&network, &target), Schedule::LONG, 20, &|_| true)
                    .latents;
            let loss = |latents: &[Vec<f32>]| {
                objective::measure(&network, &target, latents).0.loss(network.lambda())
            };
            assert_eq!(decide(&network, &target, &latents, 0), nearest(&latents));
            let (plain, decided) = (loss(&nearest(&latents)), loss(&decide(&network, &target, &latents, 4)));
            assert!(decided <= plain + 1e-3, "{plain} {decided}");
            assert!(width < 64 || decided < 0.999 * plain, "{plain} {decided}");
        }
    }

    #[test]
    fn maps_have_the_costs_of_the_objective_also_after_changes() {
        let plain = Network::new(Config::default(), 0.01, 1).unwrap();
        for network in [trained(), plain] {
            let target = Target::new(&picture(21, 18)).unwrap();
            let mut latents = nearest(&initial(&network, &target).latents);
            let scratch = Scratch::default();
            let mut costs = Costs::new(&network, &target, &latents, &scratch);
            for level in (0..latents.len()).rev() {
                let middle = latents[level].len() / 2;
                latents[level][middle] += 1.0;
                costs = costs.changed(&network, &target, &latents, level, &scratch);
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
