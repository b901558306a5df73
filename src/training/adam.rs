// SPDX-License-Identifier: MPL-2.0
//! Adam (Kingma and Ba, 2015) with moments that can be saved; those of tch's optimizer cannot.

use std::collections::{BTreeMap, HashMap};

use tch::{Tensor, no_grad};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.99;
const EPSILON: f64 = 1e-8;

/// Gradients by the variables' names; in order, so that sums of them are the same in each run.
pub type Gradients = BTreeMap<String, Tensor>;

/// The optimizer's state: for each variable that has had a gradient its moments and its steps.
#[derive(Default)]
pub struct Adam {
    /// Running means of the gradients, by the variables' names.
    pub first: HashMap<String, Tensor>,
    /// Running means of their squares.
    pub second: HashMap<String, Tensor>,
    /// Steps that each variable has taken.
    pub steps: BTreeMap<String, u64>,
}

impl Adam {
    /// Moves each variable that has a gradient, the gradient multiplied by `scale` first.
    pub fn step(
        &mut self,
        variables: &HashMap<String, Tensor>,
        gradients: &Gradients,
        rate: f64,
        scale: f64,
    ) {
        no_grad(|| {
            for (name, gradient) in gradients {
                self.move_one(name, &variables[name], &(gradient * scale), rate);
            }
        });
    }

    fn move_one(&mut self, name: &str, variable: &Tensor, gradient: &Tensor, rate: f64) {
        let fresh = || gradient.zeros_like();
        let first = self.first.entry(name.into()).or_insert_with(fresh);
        let second = self.second.entry(name.into()).or_insert_with(fresh);
        let steps = self.steps.entry(name.into()).or_default();
        *steps += 1;
        let _ = first.lerp_(gradient, 1.0 - BETA1);
        let _ = second.lerp_(&gradient.square(), 1.0 - BETA2);
        // The moments start at zero: both are divided by the weight that gradients have had so far.
        let weight = |beta: f64| 1.0 - beta.powf(*steps as f64);
        let deviation = second.sqrt() / weight(BETA2).sqrt() + EPSILON;
        let movement = &*first / deviation * (rate / weight(BETA1));
        let _ = variable.shallow_clone().subtract_(&movement);
    }
}

/// The gradients of a loss, for the variables that it depends on.
pub fn gradients(loss: &Tensor, variables: &HashMap<String, Tensor>) -> Gradients {
    let variables: BTreeMap<_, _> = variables.iter().collect();
    let inputs: Vec<_> = variables.values().copied().collect();
    let gradients = Tensor::run_backward(&[loss], &inputs, false, false);
    let named = variables.into_keys().cloned().zip(gradients);
    named.filter(|(_, gradient)| gradient.defined()).collect()
}

/// The norm of all gradients together.
pub fn norm(gradients: &Gradients) -> f64 {
    let norms: Vec<_> = gradients.values().map(Tensor::norm).collect();
    Tensor::stack(&norms, 0).norm().double_value(&[])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::nn::{self, OptimizerConfig, VarStore};
    use tch::{Device, Kind};

    /// A store of one variable, and a loss of it whose gradient changes from step to step.
    fn problem() -> (VarStore, impl Fn(&VarStore) -> Tensor) {
        let store = VarStore::new(Device::Cpu);
        let _ = store.root().var("x", &[50], nn::Init::Const(0.5));
        let target = Tensor::linspace(-1.0, 2.0, 50, (Kind::Float, Device::Cpu));
        let loss =
            move |store: &VarStore| (&store.variables()["x"] - &target).square().sum(Kind::Float);
        (store, loss)
    }

    #[test]
    fn it_moves_as_libtorchs_does() {
        let (theirs, loss) = problem();
        let mut optimizer = nn::Adam::default().beta2(BETA2).build(&theirs, 0.05).unwrap();
        let (ours, _) = problem();
        let mut adam = Adam::default();
        for _ in 0..20 {
            optimizer.backward_step(&loss(&theirs));
            let gradients = gradients(&loss(&ours), &ours.variables());
            adam.step(&ours.variables(), &gradients, 0.05, 1.0);
        }
        let difference = &theirs.variables()["x"] - &ours.variables()["x"];
        assert!(difference.abs().max().double_value(&[]) < 1e-5);
        assert!(loss(&ours).double_value(&[]) < 0.5 * loss(&problem().0).double_value(&[]));
    }
}
