//! How inputs are drawn for a property test.
//!
//! **Invariant:** an input that failed once is kept in `tests/regressions`, to be committed, and tried first from then on.

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, FileFailurePersistence, TestRunner};

/// Inputs for each test: some hundredths of a second's.
const CASES: u32 = 512;

/// Draws inputs and checks each; the smallest that fails is named. `regressions` is the file that keeps it.
pub(crate) fn hold<S: Strategy>(regressions: &'static str, inputs: S, check: impl Fn(S::Value)) {
    hold_for(CASES, regressions, inputs, check);
}

/// The same with so many inputs.
pub(crate) fn hold_for<S: Strategy>(
    cases: u32,
    regressions: &'static str,
    inputs: S,
    check: impl Fn(S::Value),
) {
    let kept = FileFailurePersistence::Direct(regressions);
    let config = Config { cases, failure_persistence: Some(Box::new(kept)), ..Config::default() };
    let outcome = TestRunner::new(config).run(&inputs, |input| {
        check(input);
        Ok(())
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}
