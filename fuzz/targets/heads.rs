//! What a client sends, cut anywhere, beside hyper's parser.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| plimsoll::properties::heads(bytes));
