// SPDX-License-Identifier: MPL-2.0
//! Several elements of both kinds at once: they share a model, and each gives what it gives alone.

mod common;

use std::collections::HashSet;
use std::time::Duration;

use common::pipeline::{small_weights, within};
use common::stream::samples;

const PIPELINES: usize = 4;
const LIMIT: Duration = Duration::from_secs(120);

/// Two conceals, one within the other's stego, and the reveals that undo both.
fn nested() -> String {
    let weights = format!("model-location={}", small_weights().display());
    let source = |pattern: &str, pad: &str| {
        format!(
            "videotestsrc pattern={pattern} num-buffers=6 ! video/x-raw,width=64,height=48 ! {pad} "
        )
    };
    let secrets = |element: &str, patterns: [&str; 4]| -> String {
        let numbered = patterns.iter().enumerate();
        numbered.map(|(u, pattern)| source(pattern, &format!("{element}.secret_{u}"))).collect()
    };
    format!(
        "invmihconceal {weights} name=inner ! queue ! outer.sink \
         invmihconceal {weights} name=outer ! queue ! invmihreveal {weights} ! queue \
         ! invmihreveal {weights} ! fakesink name=end {} {} {}",
        source("gradient", "inner.sink"),
        secrets("inner", ["ball", "bar", "smpte75", "pinwheel"]),
        secrets("outer", ["smpte", "circular", "checkers-8", "colors"]),
    )
}

#[test]
fn pipelines_side_by_side_give_what_one_gives() {
    within(LIMIT, || {
        tch::set_num_threads(1);
        let alone = samples(&nested(), "end", "sink");
        assert_eq!(alone.len(), 6 * 4 * 4);
        // Of pictures that are all alike one could take another's place.
        let pictures: HashSet<_> = alone.iter().map(|(_, picture)| picture).collect();
        assert!(pictures.len() >= 4 * 4, "{} pictures", pictures.len());
        let run = || std::thread::spawn(|| samples(&nested(), "end", "sink"));
        let together: Vec<_> = (0..PIPELINES).map(|_| run()).collect();
        for pipeline in together {
            assert!(pipeline.join().unwrap() == alone);
        }
    });
}
