// SPDX-License-Identifier: MPL-2.0
//! Exponential moving average of the weights: what is shipped.

use std::collections::HashMap;

use tch::{Tensor, no_grad};

const DECAY: f64 = 0.998;

/// The averages of named variables.
pub struct Average {
    averages: HashMap<String, Tensor>,
    updates: u64,
}

impl Average {
    /// Starts at the variables' values.
    pub fn new(variables: &HashMap<String, Tensor>) -> Self {
        let copied =
            |(name, variable): (&String, &Tensor)| (name.clone(), variable.detach().copy());
        Self { averages: variables.iter().map(copied).collect(), updates: 0 }
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

    /// The averages, by the variables' names.
    pub fn tensors(&self) -> &HashMap<String, Tensor> {
        &self.averages
    }
}
