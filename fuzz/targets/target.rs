//! Request targets and hosts, beside their models.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| plimsoll::properties::target(bytes));
