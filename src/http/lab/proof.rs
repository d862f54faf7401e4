//! A proof of work: a nonce for which SHA-256 of challenge and nonce begins with so many zero bits.
//!
//! Both are hashed as text, the challenge in hexadecimal and the nonce in decimal, so that anybody can check an answer:
//! `printf '%s%s' CHALLENGE NONCE | sha256sum`.
//!
//! **Invariant:** a search ends: found, no longer wanted, or after so many tries that finding nothing is next to impossible.

use std::fmt::Write as _;

use rand::RngExt as _;
use rand::rngs::SmallRng;
use serde::Serialize;
use sha2::{Digest as _, Sha256};

/// Tries for each that is expected; all in vain once in e⁶⁴ searches.
const TRIES_EACH: u64 = 64;
/// Tries between two looks whether the proof is still wanted: well under a millisecond's.
const TRIES_BETWEEN_LOOKS: u64 = 1024;

/// What is asked for.
#[derive(Debug)]
pub(super) struct Task {
    challenge: String,
    bits: u32,
}

/// What was found.
#[derive(Debug, Serialize)]
pub(super) struct Proof {
    challenge: String,
    nonce: u64,
    hash: String,
    bits: u32,
    tries: u64,
}

impl Task {
    /// A task with a challenge that nobody has searched for.
    pub(super) fn draw(bits: u32) -> Self {
        let challenge = rand::make_rng::<SmallRng>().random::<u128>();
        Self { challenge: format!("{challenge:032x}"), bits }
    }

    /// Searches from 0 up, for as long as it is `wanted`.
    pub(super) fn search(self, wanted: impl Fn() -> bool) -> Option<Proof> {
        let begun = Sha256::new().chain_update(&self.challenge);
        let mut digits = String::new();
        for nonce in 0..TRIES_EACH << self.bits {
            if nonce % TRIES_BETWEEN_LOOKS == 0 && !wanted() {
                return None;
            }
            digits.clear();
            // Writing to a String cannot fail.
            let _ = write!(digits, "{nonce}");
            let hash = begun.clone().chain_update(&digits).finalize();
            if leading_zeros(&hash) >= self.bits {
                let hash = hash.iter().fold(String::new(), |mut text, byte| {
                    let _ = write!(text, "{byte:02x}");
                    text
                });
                let Self { challenge, bits } = self;
                return Some(Proof { challenge, nonce, hash, bits, tries: nonce + 1 });
            }
        }
        None
    }
}

/// Zero bits before the first one.
fn leading_zeros(hash: &[u8]) -> u32 {
    let mut zeros = 0;
    for byte in hash {
        zeros += byte.leading_zeros();
        if *byte != 0 {
            break;
        }
    }
    zeros
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leading_zeros_go_over_the_ends_of_bytes() {
        assert_eq!(leading_zeros(&[0xff, 0]), 0);
        assert_eq!(leading_zeros(&[0x10, 0]), 3);
        assert_eq!(leading_zeros(&[0, 0, 0x40]), 17);
        assert_eq!(leading_zeros(&[0, 0]), 16);
    }

    #[test]
    fn a_known_challenge_has_its_known_first_nonce() {
        // `for n in $(seq 0 2999); do printf 'plimsoll%s' $n | sha256sum | grep -q ^00 && echo $n; done`, first line.
        let proof = Task { challenge: "plimsoll".into(), bits: 8 }.search(|| true).unwrap();
        assert_eq!((proof.nonce, proof.tries), (122, 123));
        assert!(proof.hash.starts_with("00") && proof.hash.len() == 64, "{proof:?}");
    }

    #[test]
    fn a_search_that_nobody_wants_ends() {
        assert!(Task::draw(24).search(|| false).is_none());
    }

    #[test]
    fn no_two_challenges_are_alike() {
        assert_ne!(Task::draw(0).challenge, Task::draw(0).challenge);
        assert_eq!(Task::draw(0).search(|| true).map(|proof| proof.tries), Some(1));
    }
}
