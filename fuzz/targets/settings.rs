//! A settings file, or the words of a command line.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| plimsoll::properties::settings(bytes));
