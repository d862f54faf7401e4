//! Means, and how far they may be off.
//!
//! The interval is Student's: mean ± t·s/√n, with t for 95 % and n − 1 degrees of freedom ("Student", "The Probable Error of a Mean",
//! Biometrika 6(1), 1908). It presumes that rounds differ by chance alone; interleaving is what makes that about true.
//!
//! **Invariant:** pure; one reading has a mean and no interval.

use serde::{Deserialize, Serialize};

/// The mean of some readings.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Estimate {
    /// The mean.
    pub(crate) mean: f64,
    /// Half of the interval that holds the true mean in 95 of 100 such sweeps; none where there is one reading.
    pub(crate) half_width: Option<f64>,
}

impl Estimate {
    /// Whether this one and another may well stand the other way round: their intervals overlap by more than the means differ. Where one
    /// has no interval nothing is known of that, and the answer is no.
    pub(crate) fn is_in_doubt_beside(&self, other: &Self) -> bool {
        let (Some(mine), Some(its)) = (self.half_width, other.half_width) else { return false };
        let overlap = (self.mean + mine).min(other.mean + its) - (self.mean - mine).max(other.mean - its);
        overlap > (self.mean - other.mean).abs()
    }
}

/// t for a two-sided 95 % and 1, 2, 3 and so on degrees of freedom.
const T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];
/// The same from so many degrees of freedom on, the next smaller of which counts.
const T_BEYOND: [(usize, f64); 4] = [(120, 1.980), (60, 2.000), (40, 2.021), (31, 2.042)];

/// None where there is no reading.
pub(crate) fn estimate(readings: &[f64]) -> Option<Estimate> {
    #[expect(clippy::cast_precision_loss, reason = "there are at most some thousand rounds")]
    let count = readings.len() as f64;
    let mean = readings.iter().sum::<f64>() / count;
    match readings.len() {
        0 => None,
        1 => Some(Estimate { mean, half_width: None }),
        several => {
            let squares: f64 = readings.iter().map(|reading| (reading - mean).powi(2)).sum();
            let deviation = (squares / (count - 1.0)).sqrt();
            Some(Estimate { mean, half_width: Some(t(several - 1) * deviation / count.sqrt()) })
        }
    }
}

fn t(degrees: usize) -> f64 {
    let beyond = || T_BEYOND.iter().find(|(from, _)| degrees >= *from).map_or(T[29], |(_, t)| *t);
    T.get(degrees - 1).copied().unwrap_or_else(beyond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_readings_have_the_interval_of_two_degrees_of_freedom() {
        let estimate = estimate(&[98.0, 100.0, 102.0]).unwrap();
        assert!((estimate.mean - 100.0).abs() < 1e-9);
        // s = 2, so 4.303 × 2 / √3.
        assert!((estimate.half_width.unwrap() - 4.9687).abs() < 1e-3, "{estimate:?}");
    }

    #[test]
    fn one_reading_has_no_interval_and_equal_ones_have_none_to_speak_of() {
        assert_eq!(estimate(&[7.0]), Some(Estimate { mean: 7.0, half_width: None }));
        assert_eq!(estimate(&[7.0, 7.0]), Some(Estimate { mean: 7.0, half_width: Some(0.0) }));
        assert_eq!(estimate(&[]), None);
    }

    #[test]
    fn two_means_are_in_doubt_where_their_intervals_overlap_by_more_than_they_differ() {
        let one = |mean, half_width| Estimate { mean, half_width };
        let best = one(100.0, Some(2.0));
        assert!(one(99.0, Some(2.0)).is_in_doubt_beside(&best), "3 over a difference of 1");
        assert!(!one(98.0, Some(2.0)).is_in_doubt_beside(&best), "2 over a difference of 2");
        assert!(!one(98.0, Some(0.5)).is_in_doubt_beside(&best), "0.5 over a difference of 2");
        assert!(!one(90.0, Some(2.0)).is_in_doubt_beside(&best), "they do not overlap");
        assert!(!one(99.0, None).is_in_doubt_beside(&best));
    }

    #[test]
    fn t_falls_with_the_degrees_of_freedom() {
        let all: Vec<f64> = (1..200).map(t).collect();
        assert!(all.windows(2).all(|pair| pair[0] >= pair[1]));
        assert!(
            (t(1) - 12.706).abs() < 1e-9 && (t(30) - 2.042).abs() < 1e-9 && (t(5000) - 1.980).abs() < 1e-9
        );
    }
}
