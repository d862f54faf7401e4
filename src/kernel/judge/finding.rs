//! What is said of one limit.
//!
//! **Invariant:** a setting that the running kernel does not have is never suggested, and no value is ever lowered.

use crate::kernel::facts::Facts;
use crate::kernel::sysctl::{Sysctl, write_values};

/// One limit, held against what the connections need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The limit's exact name.
    pub limit: &'static str,
    /// What its numbers count.
    pub unit: &'static str,
    /// What it is; none where it is not known.
    pub is: Option<Vec<u64>>,
    /// What is needed of it; none where nothing is.
    pub needs: Option<Vec<u64>>,
    /// How the two compare.
    pub state: State,
    /// Why it is needed, in one sentence.
    pub why: String,
    /// Where that is written: a page of the kernel's Documentation, or a manual page.
    pub source: &'static str,
    /// The most connections that it allows; none where it stops none.
    pub holds_connections: Option<u64>,
    /// For a setting of the kernel: the values that are enough, at or above those in force.
    pub(super) setting: Option<(Sysctl, Vec<u64>)>,
    /// For every other limit: what to do.
    pub(super) advice: Option<String>,
}

/// How a limit stands to what is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// It is enough.
    Holds,
    /// Connections are held, but something is slower or is lost in a burst.
    Short,
    /// Fewer connections than asked for.
    Stops,
    /// It could not be read, or the running kernel has no such limit.
    NotKnown,
}

impl State {
    /// Whether there is something to do.
    pub fn wants_mending(self) -> bool {
        matches!(self, Self::Short | Self::Stops)
    }
}

/// What mends a limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mend {
    /// A command for root, which `--apply` runs in its own way.
    Setting(String),
    /// Something that `--apply` cannot do.
    Advice(String),
}

impl Finding {
    /// A limit that is not known yet, with why it matters.
    pub(super) fn new(
        limit: &'static str,
        unit: &'static str,
        source: &'static str,
        why: impl Into<String>,
    ) -> Self {
        Self {
            limit,
            unit,
            is: None,
            needs: None,
            state: State::NotKnown,
            why: why.into(),
            source,
            holds_connections: None,
            setting: None,
            advice: None,
        }
    }

    /// A setting of the kernel, with its values as they are.
    pub(super) fn of(
        facts: &Facts,
        sysctl: Sysctl,
        unit: &'static str,
        source: &'static str,
        why: impl Into<String>,
    ) -> Self {
        let is = facts.sysctls.get(&sysctl).cloned();
        let state = if is.is_some() { State::Holds } else { State::NotKnown };
        Self { is, state, ..Self::new(sysctl.key(), unit, source, why) }
    }

    /// Asks at least `needs` of the setting, number by number; what falls short is in the state `short`.
    pub(super) fn at_least(mut self, sysctl: Sysctl, needs: Vec<u64>, short: State) -> Self {
        if let Some(is) = &self.is {
            let pairs =
                || needs.iter().enumerate().map(|(at, need)| (is.get(at).copied().unwrap_or(0), *need));
            self.state = if pairs().all(|(is, need)| is >= need) { State::Holds } else { short };
            self.setting = Some((sysctl, pairs().map(|(is, need)| is.max(need)).collect()));
        }
        self.needs = Some(needs);
        self
    }

    /// Gives the most connections that the limit allows.
    pub(super) fn holding(mut self, connections: impl FnOnce(&[u64]) -> u64) -> Self {
        self.holds_connections = self.is.as_deref().map(connections);
        self
    }

    /// What mends it; none where nothing needs mending.
    pub fn mend(&self) -> Option<Mend> {
        if !self.state.wants_mending() {
            return None;
        }
        if let Some((sysctl, values)) = &self.setting {
            let values = write_values(values);
            let quote = if values.contains(' ') { "'" } else { "" };
            return Some(Mend::Setting(format!("sysctl -w {}={quote}{values}{quote}", sysctl.key())));
        }
        self.advice.clone().map(Mend::Advice)
    }
}
