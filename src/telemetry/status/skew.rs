//! How evenly something is spread: the highest over the mean, and Jain's index.
//!
//! Jain's fairness index of n values is (Σx)² / (n Σx²): 1 where all are equal, 1/n where one has all (R. Jain, D. Chiu, W. Hawe, "A
//! Quantitative Measure of Fairness and Discrimination for Resource Allocation in Shared Computer Systems", DEC-TR-301, 1984).
//!
//! **Invariant:** pure.

use serde::{Deserialize, Serialize};

/// How connections came to the workers since the start.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AcceptSkew {
    /// The most that one worker took, over the mean; none before the first.
    pub highest_over_mean: Option<f64>,
    /// Jain's index; none before the first.
    pub jain: Option<f64>,
    /// What that means under the way of accepting in force.
    pub meaning: String,
}

/// Below this many connections for each worker the spread is chance.
const FEW_EACH: u64 = 16;
/// Jain's index from which a spread is called even.
const EVEN: f64 = 0.95;

/// Measures the spread of what each worker accepted.
pub fn measure(accepted: &[u64], accept: &str) -> AcceptSkew {
    let total: u64 = accepted.iter().sum();
    if total == 0 {
        let meaning = "no connection has come yet".into();
        return AcceptSkew { highest_over_mean: None, jain: None, meaning };
    }
    #[expect(clippy::cast_precision_loss, reason = "counts of connections stay far below 2^52")]
    let (values, count) = (accepted.iter().map(|one| *one as f64).collect::<Vec<_>>(), accepted.len() as f64);
    let sum: f64 = values.iter().sum();
    let squares: f64 = values.iter().map(|one| one * one).sum();
    let highest = values.iter().copied().fold(0.0, f64::max);
    let jain = sum * sum / (count * squares);
    let meaning = describe(jain, total / accepted.len() as u64, accepted.len(), accept);
    AcceptSkew { highest_over_mean: Some(highest * count / sum), jain: Some(jain), meaning }
}

fn describe(jain: f64, each: u64, workers: usize, accept: &str) -> String {
    if workers == 1 {
        return "there is one worker".into();
    }
    if each < FEW_EACH {
        return format!("with fewer than {FEW_EACH} connections for each worker the spread is chance");
    }
    let spread = if jain >= EVEN { "even" } else { "uneven" };
    let why = match (accept, jain >= EVEN) {
        ("reuseport", true) => "the kernel hashes each connection to a worker's own listener",
        ("reuseport", false) => {
            "the kernel hashes each connection to a worker's own listener, and does not see which worker is busy: \
             clients that come from few ports fall together; `--accept handoff` counts"
        }
        ("shared", true) => "whoever is free takes the next, and all are about as free",
        ("shared", false) => {
            "whoever is free takes the next: those that wake first take most, which is even work only while \
             connections are short; with connections that stay, `--accept handoff` or `reuseport` spread better"
        }
        (_, true) => "the acceptor gives each to the worker with the fewest",
        (_, false) => {
            "each acceptor knows the workers of its own process only, and the kernel chose the process; or connections \
             ended unevenly, and the new ones make up for it"
        }
    };
    format!("{spread}: {why}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(accepted: &[u64]) -> (f64, f64) {
        let skew = measure(accepted, "shared");
        (skew.highest_over_mean.unwrap(), skew.jain.unwrap())
    }

    #[test]
    fn all_equal_is_one_and_one_that_has_all_is_the_nth_part() {
        assert_eq!(numbers(&[50, 50, 50, 50]), (1.0, 1.0));
        assert_eq!(numbers(&[200, 0, 0, 0]), (4.0, 0.25));
        assert_eq!(numbers(&[3, 1]), (1.5, 0.8));
    }

    #[test]
    fn the_sentence_says_whether_it_is_chance_even_or_uneven() {
        let said = |accepted: &[u64], accept| measure(accepted, accept).meaning;
        assert!(said(&[], "shared").contains("no connection"));
        assert!(said(&[900], "shared").contains("one worker"));
        assert!(said(&[10, 1], "shared").contains("chance"));
        assert!(said(&[500, 490], "reuseport").starts_with("even: the kernel hashes"));
        assert!(said(&[900, 100], "shared").starts_with("uneven: whoever is free"));
        assert!(said(&[900, 100], "handoff").starts_with("uneven: each acceptor"));
    }
}
