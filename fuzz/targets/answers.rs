//! What PostgreSQL, or whoever is in its place, sends.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| plimsoll::properties::answers(bytes));
