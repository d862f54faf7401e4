//! How inputs are drawn for a property test.
//!
//! **Invariant:** an input that failed once is kept in `tests/regressions`, to be committed, and tried first from then on.

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

/// Draws `cases` inputs and checks each; the smallest that fails is named. `regressions` is the file that keeps it.
pub(crate) fn hold<S: Strategy>(cases: u32, regressions: &'static str, inputs: S, check: impl Fn(S::Value)) {
    let kept = FileFailurePersistence::Direct(regressions);
    // Each step towards the smallest one asks a service again, hence a limit to them.
    let config = Config {
        cases,
        max_shrink_iters: 4 * cases,
        failure_persistence: Some(Box::new(kept)),
        ..Config::default()
    };
    let outcome = TestRunner::new(config).run(&inputs, |input| {
        check(input);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
