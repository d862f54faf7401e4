//! Addresses: of PostgreSQL, of a server to measure, of our control group.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| plimsoll::properties::address(bytes));
