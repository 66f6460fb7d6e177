//! Steps of training on a device.

use crate::{
    Result,
    adam::{Adam, norm, update_average},
    graph::Graph,
    loss::Loss,
    muon,
    optimizer::{OptimizerState, Step},
};
use aez_core::tiled::Parameters;
use candle_core::{DType, Device, Tensor, Var};

/// A network in training: its weights and the state of the optimizer, on a device.
///
/// ```no_run
/// # use aez_train::{learner::Learner, loss::loss, optimizer::{OptimizerState, Step}, recipe::Recipe};
/// # use candle_core::{Device, Tensor};
/// # use rand::SeedableRng;
/// # fn main() -> aez_train::Result<()> {
/// # let config = aez_core::tiled::Config::default();
/// # let tiles = Tensor::zeros((64, 96, 96, 3), candle_core::DType::F32, &Device::Cpu)?;
/// let parameters = aez_core::tiled::init::xavier(config, 1)?;
/// let mut learner = Learner::new(&parameters, &OptimizerState::new(&parameters, false), &Device::Cpu)?;
/// let (recipe, mut rng) = (Recipe::paper(), rand_chacha::ChaCha8Rng::seed_from_u64(1));
/// for _ in 0..100 {
///     let (_, gradients) = learner.differentiate(|graph| loss(graph, &tiles, &recipe, None, &mut rng))?;
///     learner.update(&gradients, &Step::adam(recipe.rate))?;
/// }
/// let parameters = learner.download_weights()?;
/// # Ok(())
/// # }
/// ```
pub struct Learner {
    graph: Graph,
    /// In the order of the graph's variables.
    states: Vec<ArrayState>,
    steps: u64,
}

/// The state of the optimizer for one parameter array; see [`OptimizerState`].
struct ArrayState {
    mean: Tensor,
    square: Tensor,
    average: Option<Tensor>,
}

/// The gradient of each parameter array, on the device of the learner.
pub struct Gradients {
    arrays: Vec<Tensor>,
    /// Factor on all of them.
    scale: f32,
}

impl Learner {
    /// Copies the weights and the state of the optimizer to `device`. On a GPU, this enables TF32 arithmetic for the whole
    /// process.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) if the device has too little memory, or if a vector of `optimizer` has another
    /// length than its parameter array.
    ///
    /// # Panics
    /// If `optimizer` has fewer vectors than there are parameter arrays.
    pub fn new(parameters: &Parameters, optimizer: &OptimizerState, device: &Device) -> Result<Self> {
        if device.is_cuda() {
            candle_core::cuda::set_gemm_reduced_precision_f32(true);
        }
        let upload = |index: usize, values: &[f32]| {
            Tensor::from_slice(values, parameters.arrays[index].shape.as_slice(), device)
        };
        let OptimizerState { steps, means, squares, averages } = optimizer;
        let state = |index: usize| {
            Ok(ArrayState {
                mean: upload(index, &means[index])?,
                square: upload(index, &squares[index])?,
                average: averages.as_ref().map(|averages| upload(index, &averages[index])).transpose()?,
            })
        };
        let states = (0..parameters.arrays.len()).map(state).collect::<candle_core::Result<_>>()?;
        Ok(Self { graph: Graph::new(parameters, device)?, states, steps: *steps })
    }

    /// Number of steps taken.
    #[must_use]
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The device that holds the weights.
    #[must_use]
    pub fn device(&self) -> &Device {
        self.graph.device()
    }

    /// Computes a loss from the network. Returns its mean squared error, a scalar on the device, and the gradient of its objective. A GPU
    /// may still be computing both.
    ///
    /// # Errors
    /// The errors of `loss`, and [`Error::Tensor`](crate::Error::Tensor).
    pub fn differentiate(&self, loss: impl FnOnce(&Graph) -> Result<Loss>) -> Result<(Tensor, Gradients)> {
        let Loss { objective, mse } = loss(&self.graph)?;
        let arrays = self.graph.gradients(&objective.backward()?)?;
        Ok((mse, Gradients { arrays, scale: 1.0 }))
    }

    /// Takes a step along `gradients`.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) if the device fails.
    pub fn update(&mut self, gradients: &Gradients, step: &Step) -> Result<()> {
        self.steps += 1;
        for (((name, variable), state), gradient) in
            self.graph.variables().zip(&mut self.states).zip(&gradients.arrays)
        {
            state.update(name, variable, (gradient, gradients.scale), self.steps, step)?;
        }
        Ok(())
    }

    /// Copies the weights to host memory: the moving average if the learner keeps one, otherwise the current weights.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) if the device fails.
    pub fn download_weights(&self) -> Result<Parameters> {
        let variables = self.graph.variables().map(|(_, variable)| variable.as_tensor());
        let averages = self.states.iter().map(|state| state.average.as_ref());
        self.parameters(variables.zip(averages).map(|(current, average)| average.unwrap_or(current)))
    }

    /// Copies the current weights and the state of the optimizer to host memory, for a checkpoint.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) if the device fails.
    pub fn download(&self) -> Result<(Parameters, OptimizerState)> {
        let all = |part: fn(&ArrayState) -> Option<&Tensor>| {
            self.states.iter().filter_map(part).map(download).collect::<Result<Vec<_>>>()
        };
        let averages = all(|state| state.average.as_ref())?;
        let optimizer = OptimizerState {
            steps: self.steps,
            means: all(|state| Some(&state.mean))?,
            squares: all(|state| Some(&state.square))?,
            averages: (!averages.is_empty()).then_some(averages),
        };
        Ok((self.parameters(self.graph.variables().map(|(_, variable)| variable.as_tensor()))?, optimizer))
    }

    fn parameters<'a>(&self, mut tensors: impl Iterator<Item = &'a Tensor>) -> Result<Parameters> {
        let next = |_: &str, _: &[usize]| Ok(download(tensors.next().expect("a tensor for each array"))?);
        Ok(Parameters::from_fn(*self.graph.config(), next)?)
    }
}

impl ArrayState {
    fn update(
        &mut self,
        name: &str,
        variable: &Var,
        (gradient, scale): (&Tensor, f32),
        number: u64,
        step: &Step,
    ) -> Result<()> {
        let rate = step.rate_of(name);
        if muon::applies(step, name, variable.dims()) {
            muon::update(variable, gradient, &mut self.mean, rate, scale)?;
        } else {
            let adam = Adam::new(number, rate, scale);
            adam.update(variable, gradient, &self.mean, &self.square)?;
        }
        if let Some(average) = &self.average {
            update_average(average, variable, step.average)?;
        }
        Ok(())
    }
}

impl Gradients {
    /// The Euclidean norm of all gradients together, without a factor: a 64-bit float on the device.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) if the device fails.
    pub fn norm(&self) -> Result<Tensor> {
        Ok(norm(&self.arrays)?)
    }

    /// Scales the gradients, whose norm is given, to at most the norm `max`.
    ///
    /// # Errors
    /// [`Error::Tensor`](crate::Error::Tensor) if the device fails.
    pub fn clip(&mut self, norm: &Tensor, max: f64) -> Result<()> {
        if norm.device().is_cpu() {
            self.scale = (max / norm.to_scalar::<f64>()?.max(1e-12)).min(1.0) as f32;
            return Ok(());
        }
        self.clip_on_device(norm, max)
    }

    /// As [`Gradients::clip`], where the host does not know the norm: it does not wait for a GPU.
    fn clip_on_device(&mut self, norm: &Tensor, max: f64) -> Result<()> {
        let factor = (norm.maximum(1e-12)?.recip()? * max)?.minimum(1.0)?.to_dtype(DType::F32)?;
        for gradient in &mut self.arrays {
            *gradient = gradient.broadcast_mul(&factor)?;
        }
        Ok(())
    }
}

fn download(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.flatten_all()?.to_vec1()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use aez_core::tiled::{Config, init};

    // Of the convolutions, Muon updates those with 16 channels or more on both sides, and Adam the others.
    const CONFIG: Config =
        Config { tile: 8, channels: 16, reductions: 1, latents: 3, normalize: false, dropout: 0.0 };
    const STEP: Step = Step { rate: 1e-3, linear_rate: 1e-4, muon: true, average: 0.9 };

    fn learner(average: bool) -> Learner {
        let parameters = init::xavier(CONFIG, 1).unwrap();
        Learner::new(&parameters, &OptimizerState::new(&parameters, average), &Device::Cpu).unwrap()
    }

    /// The mean squared error of some tiles and its gradient.
    fn gradients(learner: &Learner) -> (Tensor, Gradients) {
        let values = (0..384).map(|i| (i % 7) as f32 / 7.0).collect();
        let tiles = Tensor::from_vec(values, (2, 8, 8, 3), &Device::Cpu).unwrap();
        let loss = |graph: &Graph| {
            let decoded = graph.synthesize(&graph.analyse(&tiles, None)?, None)?;
            let mse = (decoded - &tiles)?.sqr()?.mean_all()?;
            Ok(Loss { objective: mse.clone(), mse })
        };
        learner.differentiate(loss).unwrap()
    }

    /// Takes a step, and returns the mean squared error before it.
    fn step(learner: &mut Learner) -> f64 {
        let (mse, mut gradients) = gradients(learner);
        let norm = gradients.norm().unwrap();
        gradients.clip(&norm, 0.5 * norm.to_scalar::<f64>().unwrap()).unwrap();
        assert_eq!(gradients.scale, 0.5);
        learner.update(&gradients, &STEP).unwrap();
        f64::from(mse.to_scalar::<f32>().unwrap())
    }

    #[test]
    fn clipped_gradients_have_the_given_norm_and_hold_no_other_tensors() {
        let norm = |gradients: &Gradients| gradients.norm().unwrap().to_scalar::<f64>().unwrap();
        for (max, expected) in [(1e-3, 1e-3), (1e9, norm(&gradients(&learner(false)).1))] {
            let (_, mut gradients) = gradients(&learner(false));
            assert!(gradients.arrays.iter().all(|gradient| !gradient.track_op()));
            gradients.clip_on_device(&gradients.norm().unwrap(), max).unwrap();
            assert!((norm(&gradients) / expected - 1.0).abs() < 1e-6);
            assert!(gradients.arrays.iter().all(|gradient| !gradient.track_op()));
        }
    }

    #[test]
    fn a_restored_learner_continues_exactly() {
        let mut learner = learner(true);
        let first = step(&mut learner);
        let (parameters, optimizer) = learner.download().unwrap();
        let mut restored = Learner::new(&parameters, &optimizer, &Device::Cpu).unwrap();
        for _ in 0..4 {
            assert_eq!(step(&mut learner), step(&mut restored));
        }
        assert_eq!((learner.steps(), restored.steps()), (5, 5));
        assert_eq!(learner.download().unwrap(), restored.download().unwrap());
        assert!(step(&mut learner) < first);
    }

    #[test]
    fn averages_lag_behind_the_weights() {
        let [mut with, mut without] = [true, false].map(learner);
        let start = with.download_weights().unwrap();
        for _ in 0..3 {
            assert_eq!(step(&mut with), step(&mut without));
        }
        let (current, optimizer) = with.download().unwrap();
        let averaged = with.download_weights().unwrap();
        assert_eq!(optimizer.averaged(current.clone()), averaged);
        for ((start, current), averaged) in start.arrays.iter().zip(&current.arrays).zip(&averaged.arrays) {
            let distance = |a: &[f32]| a.iter().zip(&start.values).map(|(a, b)| (a - b).abs()).sum::<f32>();
            assert!(distance(&averaged.values) < 0.5 * distance(&current.values), "{}", start.name);
        }
        let (plain, optimizer) = without.download().unwrap();
        assert_eq!((optimizer.averages, &plain), (None, &current));
        assert_eq!(without.download_weights().unwrap(), current);
    }

    #[test]
    fn muon_updates_only_the_wide_convolutions() {
        let mut learner = learner(false);
        step(&mut learner);
        let (parameters, optimizer) = learner.download().unwrap();
        for (array, squares) in parameters.arrays.iter().zip(&optimizer.squares) {
            let wide = matches!(array.shape[..], [_, _, inputs, outputs] if inputs >= 16 && outputs >= 16);
            assert_eq!(squares.iter().all(|&square| square == 0.0), wide, "{}", array.name);
        }
    }
}
