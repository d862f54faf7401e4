//! How many requests, and how many database connections, must be in flight: Little's law on what was measured.
//!
//! L = λW: what is on the way, on average, is what arrives in a second times the seconds that each is on the way (J. D. C. Little,
//! "A Proof for the Queuing Formula: L = λW", Operations Research 9(3), 1961). A request that works for C and waits for W keeps a core
//! busy for C of every C + W; so many as 1 + W/C of them in flight keep it busy all the time (B. Goetz et al., "Java Concurrency in
//! Practice", section 8.2: threads = cores × utilisation × (1 + wait/compute)). Where each holds a database connection of its own, that is
//! a pool of 1 + W/C for each core, and "3 to 6 times the cores when a database is involved" presumes that W/C lies between 2 and 5.
//!
//! **Invariant:** pure, and stands for averages of a steady state: more in flight than this waits in queues, and is not served sooner.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What was measured, over all requests, whether they asked the database or not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measured {
    /// Requests a second that were answered.
    pub rate: f64,
    /// Processor time that each takes in this service.
    pub work: Duration,
    /// The time for which each waits on PostgreSQL, holding its place there; the mean over all of them.
    pub wait: Duration,
    /// Cores that the service may use.
    pub cores: u32,
}

/// What follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Implied {
    /// Requests in flight at this rate: λ(C + W).
    pub in_flight: f64,
    /// Requests that wait on PostgreSQL at this rate: λW. With a connection for each request, the connections in use.
    pub waiting: f64,
    /// W/C.
    pub wait_to_work: f64,
    /// Requests in flight that keep a core busy: 1 + W/C.
    pub multiplier: f64,
    /// Database connections that keep all cores busy where each request has one to itself: the multiplier times the cores, rounded up.
    pub connections: u32,
    /// The most requests a second that the cores can work on: cores / C.
    pub most_rate: f64,
}

/// How the implied multiplier stands to the rule of 3 to 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// Fewer than 3 for each core are enough.
    Below,
    /// The rule fits.
    Within,
    /// More than 6 for each core are needed.
    Above,
}

/// Applies the law; nothing follows where nothing was measured.
pub fn imply(measured: Measured) -> Option<Implied> {
    let Measured { rate, work, wait, cores } = measured;
    let (work, wait) = (work.as_secs_f64(), wait.as_secs_f64());
    if !(rate.is_finite() && rate > 0.0 && work > 0.0 && cores > 0) {
        return None;
    }
    let wait_to_work = wait / work;
    let multiplier = 1.0 + wait_to_work;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a cast from a float saturates"
    )]
    let connections = (multiplier * f64::from(cores)).ceil() as u32;
    Some(Implied {
        in_flight: rate * (work + wait),
        waiting: rate * wait,
        wait_to_work,
        multiplier,
        connections,
        most_rate: f64::from(cores) / work,
    })
}

impl Implied {
    /// How the multiplier stands to the rule.
    pub fn rule(&self) -> Rule {
        match self.multiplier {
            multiplier if multiplier < 3.0 => Rule::Below,
            multiplier if multiplier <= 6.0 => Rule::Within,
            _ => Rule::Above,
        }
    }
}

impl Rule {
    /// What to make of it, in a sentence.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Below => {
                "below 3: a request waits for less than twice the time it works, and a smaller pool keeps the cores busy"
            }
            Self::Within => {
                "within 3 to 6: a request waits for two to five times the time it works, as the rule presumes"
            }
            Self::Above => {
                "above 6: a request waits for more than five times the time it works; with a connection for each request, 3 to 6 \
                 for each core leave the cores idle"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn implied(rate: f64, work_us: u64, wait_us: u64, cores: u32) -> Implied {
        let (work, wait) = (Duration::from_micros(work_us), Duration::from_micros(wait_us));
        imply(Measured { rate, work, wait, cores }).unwrap()
    }

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-9 * right.abs().max(1.0)
    }

    #[test]
    fn a_request_of_1_ms_work_and_3_ms_wait_keeps_a_core_busy_in_fours() {
        let implied = implied(2_000.0, 1_000, 3_000, 2);
        assert!(close(implied.multiplier, 4.0) && close(implied.wait_to_work, 3.0), "{implied:?}");
        assert_eq!((implied.connections, implied.rule()), (8, Rule::Within));
        assert!(close(implied.in_flight, 8.0) && close(implied.waiting, 6.0), "{implied:?}");
        assert!(close(implied.most_rate, 2_000.0), "at this rate two cores have nothing left");
    }

    #[test]
    fn a_local_database_needs_fewer_and_one_far_away_more_than_the_rule() {
        let near = implied(50_000.0, 20, 30, 2);
        assert_eq!((near.connections, near.rule()), (5, Rule::Below));
        let far = implied(10_000.0, 20, 1_000, 2);
        assert_eq!((far.connections, far.rule()), (102, Rule::Above));
        assert!(close(far.waiting, 10.0), "at a tenth of what the cores could do, ten are enough");
    }

    #[test]
    fn the_bounds_of_the_rule_belong_to_it() {
        assert_eq!(implied(1.0, 10, 20, 1).rule(), Rule::Within);
        assert_eq!(implied(1.0, 10, 50, 1).rule(), Rule::Within);
        assert_eq!(implied(1.0, 10, 51, 1).rule(), Rule::Above);
        assert_eq!(implied(1.0, 10, 0, 1).rule(), Rule::Below);
    }

    #[test]
    fn nothing_follows_from_nothing() {
        let nothing = Measured { rate: 0.0, work: Duration::ZERO, wait: Duration::ZERO, cores: 2 };
        assert_eq!(imply(nothing), None);
        assert_eq!(imply(Measured { rate: 5.0, ..nothing }), None, "no work was measured");
        assert_eq!(imply(Measured { rate: f64::NAN, work: Duration::from_micros(1), ..nothing }), None);
    }
}
