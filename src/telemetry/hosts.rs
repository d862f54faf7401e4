//! The servers behind a service, as they are shown: one that takes writes, and those that are read from.
//!
//! **Invariant:** plain facts that can be sent to another process; what several processes say of one server is one line.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Servers whose requests are remembered for processes that have ended, at the most: names that lead to ever other addresses must not
/// make it grow for good.
const MOST_REMEMBERED: usize = 256;

/// What a server is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Side {
    /// It is written to, and read from where there is no other.
    Writes,
    /// It is read from.
    Reads,
}

/// What a server is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It follows no other.
    Primary,
    /// It follows another.
    Standby,
}

/// One server, as one process or all of them see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// What it is for.
    pub side: Side,
    /// Host and port, or the path of a socket.
    pub at: String,
    /// What it said it is, if it ever said anything.
    pub role: Option<Role>,
    /// How far it is behind the primary, in milliseconds, where that is known.
    pub lag_ms: Option<u64>,
    /// Whether it is used now.
    pub in_use: bool,
    /// Why not, where it is not.
    pub left_out: Option<String>,
    /// Sessions that are open there.
    pub open: u32,
    /// Requests that were sent there, since the process began; not counted for writes.
    pub served: Option<u64>,
}

impl Side {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Writes => "writes",
            Self::Reads => "reads",
        }
    }
}

impl Role {
    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Primary => "primary",
            Self::Standby => "standby",
        }
    }
}

/// What processes that have ended had sent to each server that is read from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended(BTreeMap<String, u64>);

impl Ended {
    /// A process ended that had these, and the ones that go on know those.
    pub fn add<'a>(&mut self, had: &[Host], known: impl Iterator<Item = &'a Host>) {
        for host in had.iter().filter(|host| host.side == Side::Reads) {
            *self.0.entry(host.at.clone()).or_default() += host.served.unwrap_or_default();
        }
        if self.0.len() > MOST_REMEMBERED {
            let known: Vec<&str> = known.map(|host| host.at.as_str()).collect();
            self.0.retain(|at, _| known.contains(&at.as_str()));
        }
    }
}

/// What a process says of the servers.
#[derive(Debug, Clone, Copy)]
pub struct Word<'a> {
    /// The servers.
    pub hosts: &'a [Host],
    /// Whether it did not answer in time, and this is what it said last.
    pub is_old: bool,
}

/// What several processes see, each server once: sessions and requests are added up, the greatest lag counts, and a server that one of
/// them leaves out is shown as left out, with that one's reason. What a silent process said last counts in the sums, and decides nothing
/// of a server of which another speaks.
pub fn sum<'a>(words: impl Iterator<Item = Word<'a>>, ended: &Ended) -> Vec<Host> {
    let (old, new): (Vec<Word<'_>>, Vec<Word<'_>>) = words.partition(|word| word.is_old);
    let mut all: Vec<Host> = Vec::new();
    add(&mut all, &new, 0);
    let spoken_of = all.len();
    add(&mut all, &old, spoken_of);
    for host in all.iter_mut().filter(|host| host.side == Side::Reads) {
        let before = ended.0.get(&host.at).copied().unwrap_or_default();
        host.served = host.served.map(|served| served + before);
    }
    // Where the processes do not agree yet on who takes writes, there are several such lines; they come first all the same.
    all.sort_by_key(|host| host.side == Side::Reads);
    all
}

/// Takes words in, which decide of the servers from this place on, and of others count in the sums alone.
fn add(all: &mut Vec<Host>, words: &[Word<'_>], decide_from: usize) {
    for host in words.iter().flat_map(|word| word.hosts) {
        match all.iter().position(|known| known.side == host.side && known.at == host.at) {
            Some(at) => join(&mut all[at], host, at >= decide_from),
            None => all.push(host.clone()),
        }
    }
}

/// Takes another process's word for a server in, where it counts not only in the sums.
fn join(known: &mut Host, host: &Host, decides: bool) {
    known.open += host.open;
    known.served = match (known.served, host.served) {
        (Some(ours), Some(theirs)) => Some(ours + theirs),
        (ours, theirs) => ours.or(theirs),
    };
    if decides {
        known.role = known.role.or(host.role);
        known.lag_ms = known.lag_ms.max(host.lag_ms);
        known.in_use &= host.in_use;
        known.left_out = known.left_out.take().or_else(|| host.left_out.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(at: &str, lag_ms: u64, left_out: Option<&str>) -> Host {
        Host {
            side: Side::Reads,
            at: at.into(),
            role: Some(Role::Standby),
            lag_ms: Some(lag_ms),
            in_use: left_out.is_none(),
            left_out: left_out.map(str::to_owned),
            open: 2,
            served: Some(5),
        }
    }

    fn sum_of(words: &[(&[Host], bool)]) -> Vec<Host> {
        sum(words.iter().map(|(hosts, is_old)| Word { hosts, is_old: *is_old }), &Ended::default())
    }

    #[test]
    fn what_several_processes_see_is_one_line_for_each_server() {
        let (one, other) = ([host("a:1", 3, None), host("b:1", 0, None)], [host("a:1", 7, Some("late"))]);
        let all = sum_of(&[(&one, false), (&other, false)]);
        assert_eq!(all.len(), 2);
        let expected = Host { open: 4, served: Some(10), ..host("a:1", 7, Some("late")) };
        assert_eq!(all, [expected, host("b:1", 0, None)]);
    }

    #[test]
    fn what_a_silent_process_said_last_counts_in_the_sums_and_decides_nothing_that_another_speaks_of() {
        let (one, silent) = ([host("a:1", 3, None)], [host("a:1", 9, Some("late")), host("b:1", 1, None)]);
        let all = sum_of(&[(&silent, true), (&one, false)]);
        let expected = Host { open: 4, served: Some(10), ..host("a:1", 3, None) };
        assert_eq!(all, [expected, host("b:1", 1, None)]);
        assert_eq!(sum_of(&[(&silent, true)]), silent, "nobody else speaks");
        let both = sum_of(&[(&one, true), (&silent, true)]);
        assert_eq!((both[0].in_use, both[0].lag_ms), (false, Some(9)), "nobody else speaks of either");
    }

    #[test]
    fn those_that_take_writes_come_first_also_where_processes_do_not_agree_on_who_does() {
        let writes = |at: &str| Host { side: Side::Writes, lag_ms: None, served: None, ..host(at, 0, None) };
        let (one, other) = ([writes("a:1"), host("c:1", 0, None)], [writes("b:1"), host("c:1", 0, None)]);
        let all = sum_of(&[(&one, false), (&other, false)]);
        let names: Vec<&str> = all.iter().map(|host| host.at.as_str()).collect();
        assert_eq!(names, ["a:1", "b:1", "c:1"]);
    }

    #[test]
    fn requests_of_processes_that_have_ended_stay_in_the_sum_and_names_nobody_knows_are_forgotten() {
        let (now, mut ended) = ([host("a:1", 0, None)], Ended::default());
        ended.add(&[host("a:1", 0, None)], now.iter());
        ended.add(&[host("a:1", 0, None), host("gone:1", 0, None)], now.iter());
        let word = Word { hosts: &now, is_old: false };
        assert_eq!(sum(std::iter::once(word), &ended)[0].served, Some(15));
        for number in 0..MOST_REMEMBERED {
            ended.add(&[host(&format!("other:{number}"), 0, None)], now.iter());
        }
        assert!(ended.0.len() <= MOST_REMEMBERED && ended.0["a:1"] == 10, "{}", ended.0.len());
    }
}
