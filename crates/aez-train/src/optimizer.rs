//! How a step of the optimizer is taken, and the state that the optimizer keeps between steps.

use aez_core::tiled::Parameters;

/// How a step is taken: Adam (Kingma and Ba, 2015), or Muon for the weights of the wide convolutions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// Learning rate of the convolutions.
    pub rate: f64,
    /// Learning rate of the linear layers.
    pub linear_rate: f64,
    /// Whether the weights of the wide convolutions are updated by Muon.
    pub muon: bool,
    /// Decay of the moving average of the weights, if there is one: 0 to less than 1.
    pub average: f32,
}

impl Step {
    /// A step of Adam along the gradients, without a moving average.
    #[must_use]
    pub fn adam(rate: f64) -> Self {
        Self { rate, linear_rate: rate, muon: false, average: 0.0 }
    }

    /// The learning rate of a parameter array.
    pub(crate) fn rate_of(&self, name: &str) -> f64 {
        if name.contains("linear") { self.linear_rate } else { self.rate }
    }
}

/// The state of the optimizer in host memory. Each field holds one vector for each parameter array.
#[derive(Debug, Clone, PartialEq)]
pub struct OptimizerState {
    /// Number of steps taken.
    pub steps: u64,
    /// Moving averages of the gradients.
    pub means: Vec<Vec<f32>>,
    /// Moving averages of the squared gradients; zeros for arrays that are updated by Muon.
    pub squares: Vec<Vec<f32>>,
    /// Moving averages of the weights, if the recipe has them.
    pub averages: Option<Vec<Vec<f32>>>,
}

impl OptimizerState {
    /// The state before the first step. `average` says whether a moving average of the weights is kept.
    #[must_use]
    pub fn new(parameters: &Parameters, average: bool) -> Self {
        let zeros = || parameters.arrays.iter().map(|array| vec![0.0; array.values.len()]).collect();
        let averages = average.then(|| parameters.arrays.iter().map(|array| array.values.clone()).collect());
        Self { steps: 0, means: zeros(), squares: zeros(), averages }
    }

    /// The averaged weights, or `parameters` if there is no average.
    ///
    /// # Panics
    /// If `parameters` belong to another network.
    #[must_use]
    pub fn averaged(&self, mut parameters: Parameters) -> Parameters {
        for (array, average) in parameters.arrays.iter_mut().zip(self.averages.iter().flatten()) {
            array.values.copy_from_slice(average);
        }
        parameters
    }
}
