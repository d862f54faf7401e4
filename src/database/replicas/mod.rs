//! Read replicas: which servers rows are read from, as far as all workers of a process share it.
//!
//! [`mod@watch`] asks each server, and the primary, what it is and where it stands ([`ask`]); how far behind it is follows from that ([`lag`]),
//! and so does whether it is read from ([`judge`]). Workers choose among those that are in use when they open a session, and give
//! sessions up at those that are left out. docs/replicas.md is for whoever runs it, docs/decisions/0019 says why it is so.
//!
//! **Invariant:** a request that goes well asks here for one number, and nothing is ever written by way of it.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use rand::seq::SliceRandom as _;
use tokio::sync::watch as channel;
use tokio_postgres::config::LoadBalanceHosts;

use super::config::Config;
use super::hosts::Silent;
use super::reach::{Part, Reach, proclaim_part};
use super::standing::Standing;
use crate::telemetry::hosts::{Host, Role, Side};

mod ask;
mod find;
mod host;
mod judge;
mod lag;
mod open;
mod single;
mod watch;

use host::Change;
pub(super) use host::{ReadHost, Seat};
pub(crate) use single::each;
pub(crate) use watch::watch;

use judge::{Left, Terms};

/// Servers that are known at the most; a name may lead to any number.
const MOST_HOSTS: usize = 64;

/// The servers that are read from.
#[derive(Debug)]
pub(crate) struct Fleet {
    /// Where they are, all of them.
    config: Config,
    /// Where the primary is.
    primary: Config,
    terms: Terms,
    is_for_replicas_only: bool,
    hosts: RwLock<Vec<Arc<ReadHost>>>,
    /// How many are in use.
    in_use: AtomicU32,
    /// Told whenever another set of them is in use.
    changes: channel::Sender<()>,
    /// Whether all have been asked once.
    begun: channel::Sender<bool>,
    /// Where the primary is, and why it was not asked when that was tried last.
    seen: Mutex<(Option<String>, Option<String>)>,
    /// How the workers' sessions there do: apart from what is said of the database, which is the primary.
    reach: Arc<Reach>,
}

impl Fleet {
    /// Those that this address names, for a primary; nobody is asked yet.
    pub(crate) fn new(
        config: Config,
        primary: Config,
        max_lag: Duration,
        is_for_replicas_only: bool,
    ) -> Arc<Self> {
        let terms = Terms { max_lag, standing: config.standing() };
        Arc::new(Self {
            config,
            primary,
            terms,
            is_for_replicas_only,
            hosts: RwLock::default(),
            in_use: AtomicU32::new(0),
            changes: channel::Sender::new(()),
            begun: channel::Sender::new(false),
            seen: Mutex::default(),
            reach: Arc::default(),
        })
    }

    /// Whether any is in use.
    pub(super) fn is_in_use(&self) -> bool {
        self.in_use.load(Ordering::Relaxed) > 0
    }

    /// Whether reads are refused while none is in use.
    pub(super) fn is_for_replicas_only(&self) -> bool {
        self.is_for_replicas_only
    }

    /// The address that names them.
    pub(super) fn config(&self) -> &Config {
        &self.config
    }

    /// Where the workers' sessions there are counted.
    pub(super) fn reach(&self) -> &Arc<Reach> {
        &self.reach
    }

    /// Sessions that this process has there.
    pub(crate) fn open(&self) -> u32 {
        self.reach.open()
    }

    /// Whether requests that read are served by them, as far as is known.
    pub(crate) fn serves(&self) -> bool {
        self.is_in_use() && self.reach.tell().0
    }

    /// Why requests that only read are refused; none where they are not.
    pub(crate) fn refusal(&self) -> Option<String> {
        if !self.is_for_replicas_only || self.serves() {
            return None;
        }
        let why = self.trouble().unwrap_or_else(|| "no host of --database-read-url is in use".into());
        Some(format!("reads are refused: {why}, and --reads replica-only keeps them from the primary"))
    }

    /// What keeps the workers from having all sessions that they want at hosts that are in use.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.reach.tell().1.filter(|_| self.is_in_use())
    }

    /// Logs how the workers' sessions do for as long as it is polled. Why a host is left out is said by whoever leaves it out.
    pub(crate) async fn proclaim(self: Arc<Self>) {
        let reach = Arc::clone(&self.reach);
        let without = if self.is_for_replicas_only { "reads answer 503" } else { "reads go to the primary" };
        let part = Part { name: "reads: ", without };
        proclaim_part(part, reach, None, move || self.is_in_use()).await;
    }

    /// Tells whenever another set of them is in use.
    pub(super) fn changes(&self) -> channel::Receiver<()> {
        self.changes.subscribe()
    }

    /// Waits until all have been asked once, but no longer than this.
    pub(crate) async fn until_begun(&self, limit: Duration) {
        let mut begun = self.begun.subscribe();
        // A watch that has ended asks nobody any more.
        let _ = tokio::time::timeout(limit, begun.wait_for(|begun| *begun)).await;
    }

    fn hosts(&self) -> Vec<Arc<ReadHost>> {
        self.hosts.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Those in use, in the order in which a new session is to try them: with `load_balance_hosts=random` the one that has fewest
    /// sessions of this process first, drawn among equals, else as the address names them; those that were silent last.
    fn in_order(&self, silent: &Silent) -> Vec<Arc<ReadHost>> {
        let mut hosts = self.hosts();
        hosts.retain(|host| host.is_in_use());
        if self.config.get_load_balance_hosts() == LoadBalanceHosts::Random {
            hosts.shuffle(&mut rand::rng());
            hosts.sort_by_key(|host| host.open());
        }
        hosts.sort_by_cached_key(|host| silent.has(&host.config));
        hosts
    }

    /// Decides anew which are in use, says each change, and tells the workers.
    fn settle(&self) {
        let hosts = self.hosts();
        let prefers_standbys = self.terms.standing == Standing::PreferStandby;
        let is_fit = |host: &Arc<ReadHost>| {
            let known = host.known();
            (known.left.is_none() && !known.is_dismissed).then_some(known.role).flatten()
        };
        let has_standby = hosts.iter().any(|host| is_fit(host) == Some(Role::Standby));
        let mut is_changed = false;
        for host in &hosts {
            let mut known = host.known();
            let is_second_choice = prefers_standbys && has_standby && known.role == Some(Role::Primary);
            let left = if known.is_dismissed {
                // It may answer all the same: what runs there is finished.
                let is_gone = known.left.as_ref().is_some_and(|left| left.is_gone);
                Some(Left { is_gone, ..Left::unfit("its name does not lead there any more") })
            } else if known.left.is_none() && is_second_choice {
                Some(Left::unfit("it is the primary, and there are standbys"))
            } else {
                known.left.clone()
            };
            known.shown.clone_from(&left);
            drop(known);
            let change = host.put(left.as_ref());
            is_changed |= change != Change::None;
            if change == Change::Use {
                say(host, left.as_ref());
            }
        }
        let in_use = hosts.iter().filter(|host| host.is_in_use()).count();
        let before = self.in_use.swap(u32::try_from(in_use).unwrap_or(u32::MAX), Ordering::Relaxed);
        if before > 0 && in_use == 0 {
            self.say_none_is_left();
        }
        if is_changed {
            self.changes.send_replace(());
        }
    }

    fn say_none_is_left(&self) {
        if self.is_for_replicas_only {
            tracing::warn!(
                "reads: no host of --database-read-url is in use; reads are answered 503, as --reads replica-only asks"
            );
        } else {
            tracing::warn!("reads: no host of --database-read-url is in use; reads go to the primary");
        }
    }

    /// All of them and the primary, as others are to see them.
    pub(crate) fn look(&self, open_at_primary: u32) -> Vec<Host> {
        let (at, trouble) = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let primary = Host {
            side: Side::Writes,
            at: at.unwrap_or_else(|| super::target::describe(&self.primary)),
            role: trouble.is_none().then_some(Role::Primary),
            lag_ms: None,
            in_use: trouble.is_none(),
            left_out: trouble,
            open: open_at_primary,
            served: None,
        };
        let reads = self.hosts().into_iter().map(|host| {
            let known = host.known();
            Host {
                side: Side::Reads,
                at: host.name.clone(),
                role: known.role,
                lag_ms: known.lag.map(|lag| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX)),
                in_use: host.is_in_use(),
                left_out: known.shown.as_ref().map(|left| left.why.clone()),
                open: host.open(),
                served: Some(host.served()),
            }
        });
        std::iter::once(primary).chain(reads).collect()
    }
}

/// Says a change of one server.
fn say(host: &ReadHost, left: Option<&Left>) {
    let role = host.known().role.map_or("", |role| match role {
        Role::Primary => " (primary)",
        Role::Standby => " (standby)",
    });
    match left {
        None => tracing::info!("reads: {}{role} is read from", host.name),
        Some(left) => tracing::warn!("reads: {}{role} is left out: {}", host.name, left.why),
    }
}

#[cfg(test)]
impl Fleet {
    /// Servers on these ports of this machine, all in use, which nobody watches.
    pub(super) fn unwatched(ports: &[u16]) -> Arc<Self> {
        let at = |port: &u16| -> Config {
            format!("host=127.0.0.1 port={port} user=me sslmode=disable").parse().unwrap()
        };
        let fleet = Self::new(at(&ports[0]), at(&ports[0]), Duration::from_secs(1), false);
        let host = |port: &u16| {
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], *port));
            let host = ReadHost::new(super::dial::Address::Tcp(address, None), port.to_string(), at(port));
            host.known().left = None;
            Arc::new(host)
        };
        *fleet.hosts.write().unwrap() = ports.iter().map(host).collect();
        fleet.settle();
        fleet
    }

    /// Leaves the server with this place out, as one that is gone or only behind.
    pub(super) fn leave_out(&self, place: usize, is_gone: bool) {
        self.hosts()[place].known().left = Some(Left { why: "a test".into(), is_gone });
        self.settle();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn workers_hear_that_a_server_is_left_out_and_again_when_it_is_gone() {
        let fleet = Fleet::unwatched(&[1, 2]);
        let mut changes = fleet.changes();
        changes.mark_unchanged();
        let mut hears = || {
            let hears = changes.has_changed().unwrap();
            changes.mark_unchanged();
            hears
        };
        fleet.settle();
        assert!(!hears());
        fleet.leave_out(0, false);
        assert!(hears());
        fleet.leave_out(0, true);
        assert!(hears() && fleet.hosts()[0].is_gone(), "what it was asked is to be asked elsewhere");
        fleet.leave_out(0, true);
        assert!(!hears());
    }
}
