// SPDX-License-Identifier: MPL-2.0
//! The optimizer: gradients, and moments that can be saved; those of tch's optimizers cannot.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use tch::{Tensor, no_grad};

use super::{adam, muon};

/// Gradients by the variables' names; in order, so that sums of them are the same in each run.
pub type Gradients = BTreeMap<String, Tensor>;

/// How variables follow their gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// All by `adam`.
    #[default]
    Adam,
    /// The kernels of convolutions by `muon`, their biases by `adam`.
    Muon,
}

impl Method {
    /// Whether a variable follows `muon`.
    pub fn orthogonalises(self, variable: &Tensor) -> bool {
        self == Self::Muon && variable.dim() == 4
    }
}

/// The optimizer's state, by the names of the variables that have had a gradient.
#[derive(Default)]
pub struct Optimizer {
    /// How the variables move.
    pub method: Method,
    /// Running means of the gradients.
    pub first: HashMap<String, Tensor>,
    /// Running means of their squares, for those that follow `adam`.
    pub second: HashMap<String, Tensor>,
    /// Steps that each variable has taken.
    pub steps: BTreeMap<String, u64>,
}

impl Optimizer {
    /// An optimizer without moments.
    pub fn new(method: Method) -> Self {
        Self { method, ..Self::default() }
    }

    /// Moves each variable that has a gradient, the gradient multiplied by `scale` first. Those of one
    /// shape move together: a GPU would spend longer on starting small operations than on doing them.
    pub fn step(
        &mut self,
        variables: &HashMap<String, Tensor>,
        gradients: &Gradients,
        rate: f64,
        scale: f64,
    ) {
        let mut groups: BTreeMap<_, Vec<&String>> = BTreeMap::new();
        for (name, gradient) in gradients {
            let steps = self.steps.entry(name.clone()).or_default();
            *steps += 1;
            groups.entry((gradient.size(), *steps)).or_default().push(name);
        }
        no_grad(|| {
            for ((_, steps), names) in groups {
                let stacked: Vec<_> = names.iter().map(|&name| &gradients[name]).collect();
                let gradient = Tensor::stack(&stacked, 0) * scale;
                let movements = (self.direction(&names, &gradient, steps) * rate).unbind(0);
                for (name, movement) in names.into_iter().zip(movements) {
                    let _ = variables[name].shallow_clone().subtract_(&movement);
                }
            }
        });
    }

    /// What variables of one shape go against, stacked as their gradients are.
    fn direction(&mut self, names: &[&String], gradient: &Tensor, steps: u64) -> Tensor {
        let mut first = stacked(&self.first, names, gradient);
        if self.method.orthogonalises(&gradient.get(0)) {
            let direction = muon::direction(gradient, &mut first);
            unstack(&mut self.first, names, &first);
            return direction;
        }
        let mut second = stacked(&self.second, names, gradient);
        let direction = adam::direction(gradient, &mut first, &mut second, steps);
        unstack(&mut self.first, names, &first);
        unstack(&mut self.second, names, &second);
        direction
    }
}

/// The moments of some variables; zeros for those that have none yet.
fn stacked(moments: &HashMap<String, Tensor>, names: &[&String], gradient: &Tensor) -> Tensor {
    let fresh = gradient.get(0).zeros_like();
    let own: Vec<_> = names.iter().map(|&name| moments.get(name).unwrap_or(&fresh)).collect();
    Tensor::stack(&own, 0)
}

fn unstack(moments: &mut HashMap<String, Tensor>, names: &[&String], stacked: &Tensor) {
    moments.extend(names.iter().map(|&name| name.clone()).zip(stacked.unbind(0)));
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

    /// A store of one variable of 48 numbers, and a loss of it whose gradient changes from step to
    /// step.
    fn problem(shape: &[i64]) -> (VarStore, impl Fn(&VarStore) -> Tensor + use<>) {
        let store = VarStore::new(Device::Cpu);
        let _ = store.root().var("x", shape, nn::Init::Const(0.5));
        let target = Tensor::linspace(-1.0, 2.0, 48, (Kind::Float, Device::Cpu)).reshape(shape);
        let loss =
            move |store: &VarStore| (&store.variables()["x"] - &target).square().sum(Kind::Float);
        (store, loss)
    }

    fn descend(store: &VarStore, loss: impl Fn(&VarStore) -> Tensor, method: Method, rate: f64) {
        let mut optimizer = Optimizer::new(method);
        for _ in 0..20 {
            let gradients = gradients(&loss(store), &store.variables());
            optimizer.step(&store.variables(), &gradients, rate, 1.0);
        }
    }

    #[test]
    fn adam_moves_as_libtorchs_does() {
        let (theirs, loss) = problem(&[48]);
        let mut optimizer = nn::Adam::default().beta2(adam::BETA2).build(&theirs, 0.05).unwrap();
        for _ in 0..20 {
            optimizer.backward_step(&loss(&theirs));
        }
        let (ours, loss) = problem(&[48]);
        let before = loss(&ours).double_value(&[]);
        descend(&ours, &loss, Method::Adam, 0.05);
        let difference = &theirs.variables()["x"] - &ours.variables()["x"];
        assert!(difference.abs().max().double_value(&[]) < 1e-5);
        assert!(loss(&ours).double_value(&[]) < 0.5 * before);
    }

    #[test]
    fn muon_moves_kernels_and_leaves_biases_to_adam() {
        let (kernel, loss) = problem(&[4, 3, 2, 2]);
        let before = loss(&kernel).double_value(&[]);
        descend(&kernel, &loss, Method::Muon, 0.2);
        assert!(loss(&kernel).double_value(&[]) < 0.5 * before);
        let [(by_muon, loss), (by_adam, _)] = [problem(&[48]), problem(&[48])];
        descend(&by_muon, &loss, Method::Muon, 0.05);
        descend(&by_adam, &loss, Method::Adam, 0.05);
        assert_eq!(by_muon.variables()["x"], by_adam.variables()["x"]);
    }
}
