//! What holds of any input, whatever the bytes: each function here takes some and panics where the code breaks its word.
//!
//! Property tests hold these with inputs drawn by a shape (`tests.rs`), the targets of `fuzz/` with inputs found by coverage, and the
//! tests here once more with every input of `fuzz/seeds`. The parts that judge lie beside the code that they judge.
//!
//! **Invariant:** nothing of the program names this module, which is built for tests and with the feature `fuzzing` only.

mod address;
mod settings;

#[cfg(test)]
pub(crate) mod draw;
#[cfg(test)]
mod tests;

/// A property, and where it is checked.
pub type Property = (&'static str, fn(&[u8]));

/// All of them, by the names of their fuzz targets.
pub const ALL: [Property; 6] = [
    ("address", address),
    ("answers", answers),
    ("heads", heads),
    ("responses", responses),
    ("settings", settings),
    ("target", target),
];

/// Addresses: of PostgreSQL, of a server to measure, of our control group.
pub fn address(bytes: &[u8]) {
    address::check(bytes);
}

/// What PostgreSQL, or whoever is in its place, sends on a connection that driver and pipeline share.
pub fn answers(bytes: &[u8]) {
    crate::database::check_answers(bytes);
}

/// What a client sends: where heads end, and what is refused, however the bytes are cut.
pub fn heads(bytes: &[u8]) {
    crate::server::check_heads(bytes);
}

/// What a server that is measured sends.
pub fn responses(bytes: &[u8]) {
    crate::load::properties::check_responses(bytes);
}

/// Settings: a file, or words.
pub fn settings(bytes: &[u8]) {
    settings::check(bytes);
}

/// Request targets and hosts.
pub fn target(bytes: &[u8]) {
    crate::http::properties::check_target(bytes);
}
