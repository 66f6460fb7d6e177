//! Where the steps of a training run are taken: on the processor, or on a GPU where the weights then stay.

use super::{
    loss::Loss,
    muon,
    optimizer::{BETA1, BETA2, EPSILON, Optimizer, Step, norm},
};
use crate::{
    Result,
    model::{Graph, Parameters},
};
use candle_core::{D, Device, Tensor};

/// Differentiates a loss and takes the steps.
///
/// On the processor the run's own parameters and [`Optimizer`] are changed. On another device they have copies, which are what
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
    averages: Vec<Tensor>,
}

impl Learner {
    /// Copies the state to `device`, unless that is the processor. On a GPU the process computes with TF32 from now on.
    ///
    /// # Errors
    /// [`crate::Error::Network`] when the device has no memory for them.
    pub fn new(parameters: &Parameters, optimizer: &Optimizer, device: &Device) -> Result<Self> {
        if device.is_cpu() {
            return Ok(Self { resident: None });
        }
        candle_core::cuda::set_gemm_reduced_precision_f32(true);
        Ok(Self { resident: Some(Resident::new(parameters, optimizer, device)?) })
    }

    /// The mean squared error of a loss that is computed from the network, and the gradient of its objective.
    ///
    /// # Errors
    /// Those of `loss`, and [`crate::Error::Network`].
    pub fn differentiate(
        &self,
        parameters: &Parameters,
        loss: impl FnOnce(&Graph) -> Result<Loss>,
    ) -> Result<(f64, Gradients)> {
        let at_home;
        let graph = match &self.resident {
            Some(resident) => &resident.graph,
            None => {
                at_home = Graph::new(parameters.config, parameters, &Device::Cpu)?;
                &at_home
            }
        };
        let Loss { objective, mse } = loss(graph)?;
        let gradients = graph.gradients(&objective.backward()?)?;
        let gradients = if self.resident.is_some() {
            Gradients::Resident(gradients)
        } else {
            let home = |gradient: &Tensor| gradient.flatten_all()?.to_vec1();
            Gradients::Home(gradients.iter().map(home).collect::<candle_core::Result<_>>()?)
        };
        Ok((f64::from(mse.to_scalar::<f32>()?), gradients))
    }

    /// Takes a step; see [`Optimizer::update`].
    ///
    /// # Errors
    /// [`crate::Error::Network`] when the device fails.
    pub fn update(
        &mut self,
        parameters: &mut Parameters,
        optimizer: &mut Optimizer,
        gradients: &Gradients,
        step: &Step,
    ) -> Result<()> {
        match (gradients, &mut self.resident) {
            (Gradients::Resident(gradients), Some(resident)) => {
                optimizer.step += 1;
                resident.update(optimizer, gradients, step)
            }
            (Gradients::Home(gradients), _) => optimizer.update(parameters, gradients, step),
            (Gradients::Resident(_), None) => unreachable!("gradients of another learner"),
        }
    }

    /// Brings the state home.
    ///
    /// # Errors
    /// [`crate::Error::Network`] when the device fails.
    pub fn fetch(&self, parameters: &mut Parameters, optimizer: &mut Optimizer) -> Result<()> {
        let Some(Resident { graph, means, squares, averages }) = &self.resident else { return Ok(()) };
        for (index, (array, variable)) in parameters.arrays.iter_mut().zip(graph.variables()).enumerate() {
            array.values = variable.flatten_all()?.to_vec1()?;
            optimizer.means[index] = means[index].flatten_all()?.to_vec1()?;
            optimizer.squares[index] = squares[index].flatten_all()?.to_vec1()?;
            optimizer.averages[index] = averages[index].flatten_all()?.to_vec1()?;
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
    fn new(parameters: &Parameters, optimizer: &Optimizer, device: &Device) -> Result<Self> {
        let copies = |arrays: &[Vec<f32>]| -> candle_core::Result<_> {
            let shaped = arrays.iter().zip(&parameters.arrays);
            shaped.map(|(values, array)| Tensor::from_slice(values, array.shape.as_slice(), device)).collect()
        };
        let graph = Graph::new(parameters.config, parameters, device)?;
        let Optimizer { means, squares, averages, .. } = optimizer;
        Ok(Self { graph, means: copies(means)?, squares: copies(squares)?, averages: copies(averages)? })
    }

    /// [`Optimizer::update`] in tensors.
    fn update(&mut self, optimizer: &Optimizer, gradients: &[Tensor], step: &Step) -> Result<()> {
        let (first, root) = optimizer.corrections();
        let variables = self.graph.names().iter().zip(self.graph.variables());
        for (index, ((name, variable), gradient)) in variables.zip(gradients).enumerate() {
            let (mean, square) = (&mut self.means[index], &mut self.squares[index]);
            let change = if muon::applies(step, name, variable.dims()) {
                let (new_mean, change) = muon::step(step, step.rate(name), mean, gradient)?;
                *mean = new_mean;
                change
            } else {
                let gradient = (gradient * f64::from(step.scale))?;
                *mean = ((&*mean * f64::from(BETA1))? + (&gradient * f64::from(1.0 - BETA1))?)?;
                *square = ((&*square * f64::from(BETA2))? + (gradient.sqr()? * f64::from(1.0 - BETA2))?)?;
                let divisor = square.sqrt()?.affine(f64::from(root), f64::from(EPSILON))?;
                (mean.div(&divisor)? * (step.rate(name) / first))?
            };
            let value = (variable.as_detached_tensor() - change)?;
            let average = &mut self.averages[index];
            *average = ((&*average * f64::from(step.average))? + (&value * f64::from(1.0 - step.average))?)?;
            variable.set(&value)?;
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
        // Of the convolutions, Muon takes those between wide layers and Adam the others.
        let config = Config { tile: 8, channels: 16, reductions: 1, latents: 3, ..Config::default() };
        let mut parameters = init::xavier(config, 1).unwrap();
        let mut optimizer = Optimizer::new(&parameters);
        let (mut away, mut away_optimizer) = (parameters.clone(), optimizer.clone());
        let mut home = Learner { resident: None };
        let mut resident =
            Learner { resident: Some(Resident::new(&away, &away_optimizer, &Device::Cpu).unwrap()) };
        let tiles =
            Tensor::from_vec((0..384).map(|i| (i % 7) as f32 / 7.0).collect(), (2, 8, 8, 3), &Device::Cpu)
                .unwrap();
        let loss = |graph: &Graph| {
            let decoded = graph.synthesize(&graph.analyse(&tiles, None)?, None)?;
            let mse = candle_nn::loss::mse(&decoded, &tiles)?;
            Ok(Loss { objective: mse.clone(), mse })
        };
        let step = Step { scale: 0.5, rate: 1e-3, linear_rate: 1e-4, muon: true, average: 0.9 };
        for _ in 0..5 {
            let (first, gradients) = home.differentiate(&parameters, loss).unwrap();
            let (second, resident_gradients) = resident.differentiate(&away, loss).unwrap();
            assert!((first - second).abs() < 1e-5 * first);
            let (norm, resident_norm) = (gradients.norm().unwrap(), resident_gradients.norm().unwrap());
            assert!((norm - resident_norm).abs() < 1e-4 * norm);
            home.update(&mut parameters, &mut optimizer, &gradients, &step).unwrap();
            resident.update(&mut away, &mut away_optimizer, &resident_gradients, &step).unwrap();
        }
        assert_ne!(parameters, away);
        resident.fetch(&mut away, &mut away_optimizer).unwrap();
        assert_eq!(optimizer.step, away_optimizer.step);
        let near = |a: &[f32], b: &[f32], name: &str| {
            assert_eq!(a.len(), b.len());
            a.iter().zip(b).for_each(|(x, y)| assert!((x - y).abs() < 1e-4, "{name}: {x} and {y}"));
        };
        for (index, (a, b)) in parameters.arrays.iter().zip(&away.arrays).enumerate() {
            near(&a.values, &b.values, &a.name);
            near(&optimizer.averages[index], &away_optimizer.averages[index], &a.name);
        }
    }
}
