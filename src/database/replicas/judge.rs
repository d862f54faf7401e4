//! Whether a host may be read from, by what it answered and how far it is behind.
//!
//! **Invariant:** pure. A host that is too far behind is left out at the limit and taken back at half of it, so that one that is about
//! at the limit does not come and go.

use std::time::Duration;

use super::super::standing::Standing;
use super::ask::Answer;
use super::lag::Lag;
use crate::config::duration::display;

/// What a host has to be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Terms {
    /// How far behind it may be.
    pub(super) max_lag: Duration,
    /// Which kind of server.
    pub(super) standing: Standing,
}

/// Why a host is left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Left {
    /// For people.
    pub(super) why: String,
    /// Whether it does not answer, so that what is asked of it will not be answered either.
    pub(super) is_gone: bool,
}

impl Left {
    pub(super) fn gone(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_gone: true }
    }

    pub(super) fn unfit(why: impl Into<String>) -> Self {
        Self { why: why.into(), is_gone: false }
    }
}

impl Terms {
    /// Judges a host that answered.
    pub(super) fn judge(self, answer: &Answer, lag: Lag, was_fit: bool) -> Result<(), Left> {
        if let Some(otherwise) = self.is_of_another_kind(answer) {
            let word = self.standing.word();
            return Err(Left::unfit(format!(
                "it {otherwise}, and target_session_attrs={word} asks for another"
            )));
        }
        // Also one that takes writes: the primary is within a sample of itself, and one that was replaced and does not know it is not.
        let max = display(self.max_lag);
        let most = if was_fit { self.max_lag } else { self.max_lag / 2 };
        match lag {
            Lag::Known(lag) if lag <= most => Ok(()),
            Lag::Known(lag) => Err(Left::unfit(format!(
                "it is {:.1} s behind the primary, and --max-replica-lag is {max}",
                lag.as_secs_f64()
            ))),
            Lag::AtLeast(lag) if was_fit && lag <= most => Ok(()),
            Lag::AtLeast(_) => Err(Left::unfit(format!(
                "it is further behind the primary than is remembered, and --max-replica-lag is {max}"
            ))),
            Lag::Diverged => Err(Left::unfit(
                "it holds what the primary has not written: it follows another server, or needs pg_rewind",
            )),
            // There is nobody to compare it with, and reads are to go on while a primary is being replaced.
            Lag::Unknown => Ok(()),
        }
    }

    fn is_of_another_kind(self, answer: &Answer) -> Option<&'static str> {
        match self.standing {
            Standing::ReadOnly if !answer.is_read_only => Some("takes writes"),
            Standing::Standby if !answer.is_standby => Some("is no standby"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lag::Position;
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn answer(is_standby: bool) -> Answer {
        Answer { is_standby, is_read_only: is_standby, position: Some(Position(1)) }
    }

    fn judge(standing: Standing, is_standby: bool, lag: Lag, was_fit: bool) -> Result<(), String> {
        let terms = Terms { max_lag: 10 * SECOND, standing };
        terms.judge(&answer(is_standby), lag, was_fit).map_err(|left| left.why)
    }

    #[test]
    fn a_replica_is_left_out_past_the_limit_and_taken_back_at_half_of_it() {
        let of = |seconds, was_fit| judge(Standing::Any, true, Lag::Known(seconds * SECOND), was_fit);
        assert_eq!(of(10, true), Ok(()));
        assert!(
            of(11, true).unwrap_err().contains("11.0 s behind the primary, and --max-replica-lag is 10s")
        );
        assert!(of(6, false).is_err());
        assert_eq!(of(5, false), Ok(()));
    }

    #[test]
    fn what_is_further_behind_than_is_remembered_is_not_taken_in() {
        assert!(judge(Standing::Any, true, Lag::AtLeast(Duration::ZERO), false).is_err());
        assert_eq!(judge(Standing::Any, true, Lag::AtLeast(SECOND), true), Ok(()));
        assert!(judge(Standing::Any, true, Lag::AtLeast(11 * SECOND), true).is_err());
        assert!(judge(Standing::Any, true, Lag::Diverged, true).is_err());
        assert_eq!(judge(Standing::Any, true, Lag::Unknown, false), Ok(()));
    }

    #[test]
    fn a_primary_that_was_replaced_is_left_out_as_any_host_that_is_behind() {
        let of = |lag| judge(Standing::Any, false, lag, true);
        assert_eq!(of(Lag::Known(SECOND / 4)), Ok(()), "itself, asked a sample earlier");
        assert!(of(Lag::Known(60 * SECOND)).is_err());
        assert!(of(Lag::AtLeast(60 * SECOND)).is_err());
        assert!(of(Lag::Diverged).is_err());
    }

    #[test]
    fn the_primary_is_left_out_where_a_standby_was_asked_for() {
        assert_eq!(judge(Standing::PreferStandby, false, Lag::Unknown, false), Ok(()));
        assert!(judge(Standing::Standby, false, Lag::Unknown, true).unwrap_err().contains("is no standby"));
        assert!(judge(Standing::ReadOnly, false, Lag::Unknown, true).unwrap_err().contains("takes writes"));
        assert_eq!(judge(Standing::ReadOnly, true, Lag::Known(Duration::ZERO), false), Ok(()));
    }
}
