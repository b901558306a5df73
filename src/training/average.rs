// SPDX-License-Identifier: MPL-2.0
//! Exponential moving average of the weights: what is shipped.

use std::collections::HashMap;

use tch::{Tensor, no_grad};

const DECAY: f64 = 0.998;

/// Copies of named variables.
pub fn snapshot(variables: &HashMap<String, Tensor>) -> HashMap<String, Tensor> {
    let copied = |(name, variable): (&String, &Tensor)| (name.clone(), variable.detach().copy());
    variables.iter().map(copied).collect()
}

/// Gives named variables other values.
pub fn assign(variables: &HashMap<String, Tensor>, values: &HashMap<String, Tensor>) {
    no_grad(|| {
        for (name, variable) in variables {
            variable.shallow_clone().copy_(&values[name]);
        }
    });
}

/// The averages of named variables.
pub struct Average {
    averages: HashMap<String, Tensor>,
    updates: u64,
}

impl Average {
    /// Starts at the variables' values.
    pub fn new(variables: &HashMap<String, Tensor>) -> Self {
        Self { averages: snapshot(variables), updates: 0 }
    }

    /// Goes on from averages that have had some updates.
    pub fn resumed(averages: HashMap<String, Tensor>, updates: u64) -> Self {
        Self { averages, updates }
    }

    /// Moves each average towards its variable, faster at first so that the start is forgotten.
    pub fn update(&mut self, variables: &HashMap<String, Tensor>) {
        self.updates += 1;
        let updates = self.updates as f64;
        let weight = 1.0 - DECAY.min((1.0 + updates) / (10.0 + updates));
        no_grad(|| {
            for (name, average) in &mut self.averages {
                let _ = average.lerp_(&variables[name], weight);
            }
        });
    }

    /// Goes back to other averages.
    pub fn go_back(&mut self, to: &HashMap<String, Tensor>) {
        assign(&self.averages, to);
    }

    /// How often [`update`](Self::update) was called.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// The averages, by the variables' names.
    pub fn tensors(&self) -> &HashMap<String, Tensor> {
        &self.averages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_average_follows_and_lags() {
        let variables = |value: f32| HashMap::from([("a".into(), Tensor::from_slice(&[value]))]);
        let mut average = Average::new(&variables(0.0));
        for _ in 0..20_000 {
            average.update(&variables(1.0));
        }
        assert!((average.tensors()["a"].double_value(&[0]) - 1.0).abs() < 1e-3);
        average.update(&variables(0.0));
        assert!((average.tensors()["a"].double_value(&[0]) - DECAY).abs() < 1e-3);
    }
}
