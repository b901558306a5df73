// SPDX-License-Identifier: MPL-2.0
//! Runs of a few steps.

use super::*;
use std::path::Path;

use tch::nn::VarStore;
use tch::{Device, Kind};

use crate::network::hiding::Hiding;
use crate::network::weights::WeightsFile;
use crate::training::modules::Blocks;
use crate::training::preset::Preset;
use crate::training::schedule::Budget;

use indicatif::ProgressBar;

fn config(out: &Path, stage: Stage) -> Config {
    let grids = vec![Grid::new(2, 2).unwrap(), Grid::new(3, 2).unwrap()];
    Config {
        blocks: Blocks { hiding: 2, rescaling: 1 },
        budget: Budget::Steps(20),
        rate: 1e-3,
        patch: 24,
        seed: 3,
        ..Config::of(Preset::Shipped, stage, grids, out)
    }
}

fn photographs(folder: &Path) -> Photographs {
    let value = |x, y| image::Rgb([x * 6, y * 7, x * y % 256].map(|v: u32| v as u8));
    image::RgbImage::from_fn(40, 32, value).save(folder.join("0.png")).unwrap();
    let progress = ProgressBar::hidden();
    Photographs::load(&[folder.into()], 24, Device::Cpu, &progress).unwrap()
}

/// Breaks a run off after some steps.
fn stop_after(steps: u64) -> impl FnMut(Event) -> ControlFlow<()> {
    move |event| match event {
        Event::Step(report) if report.step == steps => ControlFlow::Break(()),
        _ => ControlFlow::Continue(()),
    }
}

#[test]
fn every_parameter_of_every_module_moves() {
    let folder = tempfile::tempdir().unwrap();
    let (photographs, config) = (photographs(folder.path()), config(folder.path(), Stage::Joint));
    let mut trainer = Trainer::new(config, &photographs, &photographs, &[]).unwrap();
    let before = snapshot(&trainer.variables);
    let mut steps = 0;
    trainer
        .run(|event| {
            if let Event::Step(report) = event {
                steps = report.step;
            }
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(steps, 20);
    for (name, variable) in &trainer.variables {
        assert!(*variable != before[name], "{name} stayed");
    }
}

#[test]
fn a_run_broken_off_saves_what_the_next_goes_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let (photographs, config) = (photographs(folder.path()), config(folder.path(), Stage::Joint));
    let mut first = Trainer::new(config.clone(), &photographs, &photographs, &[]).unwrap();
    first.run(stop_after(5)).unwrap();
    let folders = ["nowhere".into(), folder.path().into()];
    let second = Trainer::new(config, &photographs, &photographs, &folders).unwrap();
    for (name, average) in first.average.tensors() {
        let half = average.to_kind(Kind::Half).to_kind(Kind::Float);
        assert_eq!(second.variables[name], half, "{name}");
    }
}

#[test]
fn hiding_alone_sees_the_tiles_of_rescaling_modules_and_leaves_them() {
    let [from, out] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let photographs = photographs(from.path());
    let of = |stage, out: &tempfile::TempDir, resume: &[PathBuf]| {
        Trainer::new(config(out.path(), stage), &photographs, &photographs, resume).unwrap()
    };
    of(Stage::Rescaling, &from, &[]).run(stop_after(3)).unwrap();
    let mut hiding = of(Stage::Hiding, &out, &[from.path().into()]);
    assert_eq!(hiding.modules.rescaling.len(), 2);
    assert!(hiding.variables.keys().all(|name| name.starts_with("hiding")));
    hiding.run(stop_after(1)).unwrap();
    assert!(!out.path().join("rescaling-2x2.safetensors").exists());
    let batch = Batch::random(&hiding.config, &photographs, 0);
    let loss = |trainer: &Trainer| {
        trainer.objective.outcome(&trainer.modules, &batch).loss.double_value(&[])
    };
    let with_tiles = loss(&hiding);
    hiding.modules.rescaling.clear();
    assert_ne!(loss(&hiding), with_tiles);
}

#[test]
fn a_grids_own_hiding_module_starts_from_the_one_for_all() {
    let [from, out] = [(); 2].map(|()| tempfile::tempdir().unwrap());
    let photographs = photographs(from.path());
    let all = config(from.path(), Stage::Hiding);
    let mut own = Config { own_hiding: true, ..config(out.path(), Stage::Hiding) };
    own.grids.truncate(1);
    Trainer::new(all, &photographs, &photographs, &[]).unwrap().run(stop_after(3)).unwrap();
    let folders = [from.path().into()];
    let tuned = Trainer::new(own, &photographs, &photographs, &folders);
    tuned.unwrap().run(stop_after(1)).unwrap();
    let tensors = |folder: &Path, name: &str| {
        let file = WeightsFile::open(&folder.join(name)).unwrap();
        assert!(file.shaper(Device::Cpu).unwrap().is_some(), "{name}");
        let store = VarStore::new(Device::Cpu);
        Hiding::new(&store.root(), file.header.blocks, file.header.clamp);
        file.copy_to(&store.variables()).unwrap();
        store.variables()
    };
    let [all, own] = [(&from, "hiding"), (&out, "hiding-2x2")]
        .map(|(folder, name)| tensors(folder.path(), &format!("{name}.safetensors")));
    // The first step's rate is zero.
    for (name, tensor) in &all {
        assert_eq!(own[name], *tensor, "{name}");
    }
    assert!(all.values().any(|tensor| tensor.abs().max().double_value(&[]) > 0.0));
    assert!(!out.path().join("hiding.safetensors").exists());
}

#[test]
fn losses_without_end_go_back_and_then_give_up() {
    let folder = tempfile::tempdir().unwrap();
    let photographs = photographs(folder.path());
    let mut config = Config { budget: Budget::Steps(200), ..config(folder.path(), Stage::Joint) };
    let mut trainer = Trainer::new(config.clone(), &photographs, &photographs, &[]).unwrap();
    trainer.run(stop_after(3)).unwrap();
    let good = snapshot(&trainer.variables);
    trainer.objective = {
        config.weights.secret = f64::INFINITY;
        Objective::new(&config)
    };
    let mut last = None;
    let error = trainer.run(|event| {
        if let Event::Step(report) = event {
            last = Some(report);
        }
        ControlFlow::Continue(())
    });
    assert!(error.unwrap_err().to_string().contains("5 times: lower --rate"));
    let last = last.unwrap();
    assert_eq!(last.setbacks, 5);
    assert!(last.rate < 2e-3 / 32.0 && last.skipped > 40, "{last:?}");
    for (name, variable) in &trainer.variables {
        assert_eq!(*variable, good[name], "{name}");
    }
    // A rate of the user's own is not halved again.
    let state = State::open(folder.path()).unwrap().unwrap();
    assert_eq!(state.standing().setbacks, 5);
    let (rate, seed) = (config.rate, config.seed);
    for (rate, seed, setbacks) in [(rate, seed, 5), (rate, seed + 1, 5), (rate / 10.0, seed, 0)] {
        let config = Config { rate, seed, ..trainer.config.clone() };
        let mut next = Trainer::new(config, &photographs, &photographs, &[]).unwrap();
        next.restore(&state).unwrap();
        assert_eq!(next.standing.setbacks, setbacks);
    }
}

#[test]
fn each_stage_draws_patches_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let photographs = photographs(folder.path());
    let covers = |stage| Batch::random(&config(folder.path(), stage), &photographs, 0).covers;
    assert_eq!(covers(Stage::Hiding), covers(Stage::Hiding));
    assert_ne!(covers(Stage::Hiding), covers(Stage::Joint));
}

#[test]
fn who_gives_up_leaves_the_last_good_values() {
    let folder = tempfile::tempdir().unwrap();
    let (photographs, config) = (photographs(folder.path()), config(folder.path(), Stage::Hiding));
    let mut trainer = Trainer::new(config, &photographs, &photographs, &[]).unwrap();
    let mut good = Good::new(trainer.snapshot());
    let bad = trainer.variables.iter().map(|(name, tensor)| (name.clone(), tensor.ones_like()));
    let bad: HashMap<_, _> = bad.collect();
    assign(&trainer.variables, &bad);
    trainer.average.go_back(&bad);
    trainer.checkpoint().unwrap();
    trainer.standing.setbacks = MOST_SETBACKS;
    let mut schedule = trainer.schedule();
    let error = trainer.go_back(&mut schedule, &mut good).unwrap_err();
    assert!(matches!(error, Error::Diverged(MOST_SETBACKS)), "{error}");
    let state = State::open(folder.path()).unwrap().unwrap();
    for (kind, expected) in [("variable", &good.older.variables), ("average", &good.older.averages)]
    {
        let saved = state.complete(kind, &trainer.variables, Device::Cpu).unwrap();
        assert!(expected.iter().all(|(name, tensor)| saved[name] == *tensor), "{kind}");
    }
}

#[test]
fn a_hiding_module_that_would_lose_to_a_grids_own_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("hiding-3x2.safetensors");
    std::fs::write(&own, "").unwrap();
    let check = |stage, change: fn(&mut Config)| {
        let mut config = config(folder.path(), stage);
        change(&mut config);
        Trainer::check(&config, &[])
    };
    let text = check(Stage::Joint, |_| ()).unwrap_err().to_string();
    assert!(text.contains("hiding-3x2") && text.contains("--own-hiding"), "{text}");
    check(Stage::Rescaling, |_| ()).unwrap();
    check(Stage::Joint, |config| config.grids.truncate(1)).unwrap();
}

#[test]
fn a_state_of_another_run_does_not_fit() {
    let folder = tempfile::tempdir().unwrap();
    let (photographs, config) = (photographs(folder.path()), config(folder.path(), Stage::Hiding));
    let mut trainer = Trainer::new(config.clone(), &photographs, &photographs, &[]).unwrap();
    trainer.run(stop_after(1)).unwrap();
    let state = State::open(folder.path()).unwrap().unwrap();
    let other = |change: fn(&mut Config)| {
        let mut other = config.clone();
        change(&mut other);
        other
    };
    let faster = other(|config| config.rate = 1.0);
    assert!(state.fits(&faster));
    assert_eq!(state.changes(&faster), ["--rate 1, so far 0.001"]);
    assert!(state.changes(&config).is_empty());
    assert!(!state.fits(&other(|config| config.blocks.hiding = 3)));
    assert!(!state.fits(&other(|config| config.grids.truncate(1))));
    assert!(!state.fits(&other(|config| config.stages.push(Stage::Joint))));
    // As a state that has lost some of its tensors.
    let deeper = other(|config| config.blocks.hiding = 3);
    let mut trainer = Trainer::new(deeper, &photographs, &photographs, &[]).unwrap();
    let text = trainer.restore(&state).unwrap_err().to_string();
    assert!(
        text.contains("run.state' cannot be used: it has no tensor 'average.hiding."),
        "{text}"
    );
    State::remove(folder.path()).unwrap();
    assert!(State::open(folder.path()).unwrap().is_none());
}
