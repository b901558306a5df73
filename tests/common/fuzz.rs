// SPDX-License-Identifier: MPL-2.0
//! How the property tests run: the same cases each time, within some seconds. `PROPTEST_CASES` sets
//! another number of them, `PROPTEST_RNG_SEED` other ones.

use proptest::prelude::ProptestConfig;
use proptest::test_runner::RngSeed;

/// A run of `cases` cases, unless the environment has a say.
pub fn config(cases: u32) -> ProptestConfig {
    let environment = ProptestConfig::default();
    let cases =
        if std::env::var_os("PROPTEST_CASES").is_some() { environment.cases } else { cases };
    let rng_seed = match environment.rng_seed {
        RngSeed::Random => RngSeed::Fixed(1),
        seed => seed,
    };
    ProptestConfig { cases, rng_seed, failure_persistence: None, ..environment }
}
