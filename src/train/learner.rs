//! Where the steps of a training run are taken: on the processor, or on a GPU where the weights then stay.

use super::optimizer::{Adam, BETA1, BETA2, EPSILON, norm};
use crate::{
    Result,
    model::{Graph, Parameters},
};
use candle_core::{D, Device, Tensor};

/// Differentiates a loss and takes the steps.
///
/// On the processor the run's own parameters and [`Adam`] are changed. On another device they have copies, which are what
/// counts until [`Learner::fetch`] brings them home.
pub struct Learner {
    resident: Option<Resident>,
}

/// The gradient of each parameter array, where it was computed.
pub enum Gradients {
    Home(Vec<Vec<f32>>),
    Resident(Vec<Tensor>),
}

struct Resident {
    graph: Graph,
    means: Vec<Tensor>,
    squares: Vec<Tensor>,
}

impl Learner {
    /// Copies the state to `device`, unless that is the processor. On a GPU the process computes with TF32 from now on.
    ///
    /// # Errors
    /// [`crate::Error::Network`] when the device has no memory for them.
    pub fn new(parameters: &Parameters, adam: &Adam, device: &Device) -> Result<Self> {
        if device.is_cpu() {
            return Ok(Self { resident: None });
        }
        candle_core::cuda::set_gemm_reduced_precision_f32(true);
        Ok(Self { resident: Some(Resident::new(parameters, adam, device)?) })
    }

    /// The value of a loss that is computed from the network, and its gradient.
    ///
    /// # Errors
    /// Those of `loss`, and [`crate::Error::Network`].
    pub fn differentiate(
        &self,
        parameters: &Parameters,
        loss: impl FnOnce(&Graph) -> Result<Tensor>,
    ) -> Result<(f64, Gradients)> {
        let at_home;
        let graph = match &self.resident {
            Some(resident) => &resident.graph,
            None => {
                at_home = Graph::new(parameters.config, parameters, &Device::Cpu)?;
                &at_home
            }
        };
        let loss = loss(graph)?;
        let gradients = graph.gradients(&loss.backward()?)?;
        let gradients = if self.resident.is_some() {
            Gradients::Resident(gradients)
        } else {
            let home = |gradient: &Tensor| gradient.flatten_all()?.to_vec1();
            Gradients::Home(gradients.iter().map(home).collect::<candle_core::Result<_>>()?)
        };
        Ok((f64::from(loss.to_scalar::<f32>()?), gradients))
    }

    /// Takes a step of Adam; see [`Adam::update`].
    ///
    /// # Errors
    /// [`crate::Error::Network`] when the device fails.
    pub fn update(
        &mut self,
        parameters: &mut Parameters,
        adam: &mut Adam,
        gradients: &Gradients,
        scale: f32,
        rate: impl Fn(&str) -> f64,
    ) -> Result<()> {
        match (gradients, &mut self.resident) {
            (Gradients::Resident(gradients), Some(resident)) => {
                adam.step += 1;
                resident.update(adam, gradients, scale, rate)
            }
            (Gradients::Home(gradients), _) => {
                adam.update(parameters, gradients, scale, rate);
                Ok(())
            }
            (Gradients::Resident(_), None) => unreachable!("gradients of another learner"),
        }
    }

    /// Brings the state home.
    ///
    /// # Errors
    /// [`crate::Error::Network`] when the device fails.
    pub fn fetch(&self, parameters: &mut Parameters, adam: &mut Adam) -> Result<()> {
        let Some(Resident { graph, means, squares }) = &self.resident else { return Ok(()) };
        for (index, (array, variable)) in parameters.arrays.iter_mut().zip(graph.variables()).enumerate() {
            array.values = variable.flatten_all()?.to_vec1()?;
            adam.means[index] = means[index].to_vec1()?;
            adam.squares[index] = squares[index].to_vec1()?;
        }
        Ok(())
    }
}

impl Gradients {
    /// The Euclidean norm of all of them together.
    ///
    /// # Errors
    /// [`crate::Error::Network`] when the device fails.
    pub fn norm(&self) -> Result<f64> {
        match self {
            Self::Home(gradients) => Ok(norm(gradients)),
            Self::Resident(gradients) => {
                // Rows first: a GPU adds many short sums much faster than one long one.
                let square = |gradient: &Tensor| gradient.sqr()?.sum(D::Minus1)?.sum_all();
                let squares = gradients.iter().map(square).collect::<candle_core::Result<Vec<_>>>()?;
                Ok(f64::from(Tensor::stack(&squares, 0)?.sum_all()?.to_scalar::<f32>()?).sqrt())
            }
        }
    }
}

impl Resident {
    fn new(parameters: &Parameters, adam: &Adam, device: &Device) -> Result<Self> {
        let copies = |arrays: &[Vec<f32>]| -> candle_core::Result<_> {
            arrays.iter().map(|values| Tensor::from_slice(values, values.len(), device)).collect()
        };
        let graph = Graph::new(parameters.config, parameters, device)?;
        Ok(Self { graph, means: copies(&adam.means)?, squares: copies(&adam.squares)? })
    }

    /// [`Adam::update`] in tensors.
    fn update(
        &mut self,
        adam: &Adam,
        gradients: &[Tensor],
        scale: f32,
        rate: impl Fn(&str) -> f64,
    ) -> Result<()> {
        let (first, root) = adam.corrections();
        let state = self.means.iter_mut().zip(&mut self.squares);
        let variables = self.graph.names().iter().zip(self.graph.variables());
        for (((name, variable), gradient), (mean, square)) in variables.zip(gradients).zip(state) {
            let gradient = (gradient.flatten_all()? * f64::from(scale))?;
            *mean = ((&*mean * f64::from(BETA1))? + (&gradient * f64::from(1.0 - BETA1))?)?;
            *square = ((&*square * f64::from(BETA2))? + (gradient.sqr()? * f64::from(1.0 - BETA2))?)?;
            let scale = square.sqrt()?.affine(f64::from(root), f64::from(EPSILON))?;
            let step = (mean.div(&scale)? * (rate(name) / first))?;
            let value = variable.as_detached_tensor();
            variable.set(&(&value - step.reshape(value.shape())?)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Config, init};

    /// The steps in tensors, here on the processor's tensors, against the steps at home.
    #[test]
    fn both_ways_to_take_a_step_agree() {
        let config = Config { tile: 8, channels: 2, reductions: 1, latents: 3, ..Config::default() };
        let mut parameters = init::xavier(config, 1).unwrap();
        let mut adam = Adam::new(&parameters);
        let (mut away, mut away_adam) = (parameters.clone(), adam.clone());
        let mut home = Learner { resident: None };
        let mut resident =
            Learner { resident: Some(Resident::new(&away, &away_adam, &Device::Cpu).unwrap()) };
        let tiles =
            Tensor::from_vec((0..384).map(|i| (i % 7) as f32 / 7.0).collect(), (2, 8, 8, 3), &Device::Cpu)
                .unwrap();
        let loss = |graph: &Graph| {
            let decoded = graph.synthesize(&graph.analyse(&tiles, None)?, None)?;
            Ok(candle_nn::loss::mse(&decoded, &tiles)?)
        };
        let rate = |name: &str| if name.contains("linear") { 1e-3 } else { 1e-2 };
        for _ in 0..5 {
            let (first, gradients) = home.differentiate(&parameters, loss).unwrap();
            let (second, resident_gradients) = resident.differentiate(&away, loss).unwrap();
            assert!((first - second).abs() < 1e-5 * first);
            let (norm, resident_norm) = (gradients.norm().unwrap(), resident_gradients.norm().unwrap());
            assert!((norm - resident_norm).abs() < 1e-4 * norm);
            home.update(&mut parameters, &mut adam, &gradients, 0.5, rate).unwrap();
            resident.update(&mut away, &mut away_adam, &resident_gradients, 0.5, rate).unwrap();
        }
        assert_ne!(parameters, away);
        resident.fetch(&mut away, &mut away_adam).unwrap();
        assert_eq!(adam.step, away_adam.step);
        for (index, (a, b)) in parameters.arrays.iter().zip(&away.arrays).enumerate() {
            for (x, y) in a.values.iter().zip(&b.values) {
                assert!((x - y).abs() < 1e-4, "{}: {x} and {y}", a.name);
            }
            assert_eq!(adam.means[index].len(), away_adam.means[index].len());
        }
    }
}
