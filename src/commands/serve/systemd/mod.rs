//! The service under systemd, or whoever else speaks its protocols: readiness and the watchdog ([`notify`]), sockets ([`inherited`]).
//!
//! What is told: `READY=1` when connections are accepted, `RELOADING=1` and `READY=1` around a reload, `STOPPING=1`, and
//! `WATCHDOG=1` while all event loops turn (`sd_notify(3)`).
//!
//! **Invariant:** without systemd's variables in the environment nothing is told and nothing taken; and whoever is told nothing of
//! the watchdog was told why in the log.

use std::cell::Cell;
use std::fmt::Display;
use std::time::Duration;

use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

mod inherited;
mod notify;

pub(super) use inherited::Inherited;
use notify::Notify;

/// Looks in the time that the watchdog gives: an event loop has to stand still for three quarters of it before the service is ended.
const LOOKS: u32 = 4;

/// The shortest time between two looks, whatever the watchdog gives.
const LEAST_BETWEEN_LOOKS: Duration = Duration::from_millis(1);

/// By which systemd speaks to the process that it started, and to none that this one starts.
pub(super) const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"];

/// The service's manager, as far as there is one.
#[derive(Debug, Default)]
pub(super) struct Systemd {
    notify: Option<Notify>,
    /// How long it may hear nothing of the watchdog.
    patience: Option<Duration>,
    is_reloading: Cell<bool>,
    stands_still: Cell<bool>,
}

impl Systemd {
    /// As the environment says.
    pub(super) fn from_environment() -> Self {
        let notify = Notify::from_environment().unwrap_or_else(|why| {
            tracing::warn!("systemd cannot be told anything: {why}");
            None
        });
        let patience = notify.as_ref().and_then(|_| watchdog());
        Self { notify, patience, ..Self::default() }
    }

    fn tell(&self, state: &str) {
        let Some(notify) = &self.notify else { return };
        if let Err(error) = notify.send(state) {
            tracing::warn!("systemd was not told {:?}: {error}", state.lines().next().unwrap_or_default());
        }
    }

    /// Connections are accepted.
    pub(super) fn note_ready(&self, addresses: &[impl Display]) {
        let addresses: Vec<_> = addresses.iter().map(|address| format!("http://{address}")).collect();
        self.tell(&format!("READY=1\nSTATUS=listening on {}", addresses.join(", ")));
    }

    /// A reload begins; where another is under way, it is one with that.
    pub(super) fn note_reload(&self) {
        self.is_reloading.set(true);
        // By the clock that systemd compares it with: a notice that is older than its own SIGHUP is not meant.
        let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let now = Duration::try_from(now).unwrap_or_default().as_micros();
        self.tell(&format!("RELOADING=1\nMONOTONIC_USEC={now}"));
    }

    /// Whether a reload is under way still; its end is told, whether it went well or was refused.
    pub(super) fn follow_reload(&self, is_under_way: bool) {
        if !is_under_way && self.is_reloading.replace(false) {
            self.tell("READY=1");
        }
    }

    /// The service is ending.
    pub(super) fn note_stop(&self) {
        self.tell("STOPPING=1\nSTATUS=answering what is under way");
    }

    /// When to look whether all event loops turn; begins with now.
    pub(super) fn looks(&self) -> Looks {
        let looks = self.patience.map(|patience| {
            let mut looks = interval_at(Instant::now(), (patience / LOOKS).max(LEAST_BETWEEN_LOOKS));
            looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            looks
        });
        Looks(looks)
    }

    /// What such a look found: who has not turned since the last one.
    pub(super) fn note_look(&self, still: &[impl AsRef<str>]) {
        if still.is_empty() {
            self.tell("WATCHDOG=1");
        }
        if self.stands_still.replace(!still.is_empty()) == still.is_empty() {
            if still.is_empty() {
                tracing::info!("all event loops turn again, and the watchdog is told so");
            } else {
                let names = still.iter().map(AsRef::as_ref).collect::<Vec<_>>().join(", ");
                tracing::error!(
                    "not turning: {names}. The watchdog is told nothing, and ends the service if that lasts \
                     (WatchdogSec= of its unit)"
                );
            }
        }
    }
}

/// When to look at the event loops; never, where there is no watchdog.
#[derive(Debug)]
pub(super) struct Looks(Option<Interval>);

impl Looks {
    /// Waits for the next one; may be dropped half-way.
    pub(super) async fn next(&mut self) {
        match &mut self.0 {
            Some(looks) => drop(looks.tick().await),
            None => std::future::pending().await,
        }
    }
}

/// How long the watchdog waits for a word of this process (`sd_watchdog_enabled(3)`).
fn watchdog() -> Option<Duration> {
    let read = |name| std::env::var(name).ok()?.parse::<u64>().ok();
    let is_meant = read("WATCHDOG_PID").is_none_or(|pid| pid == u64::from(std::process::id()));
    read("WATCHDOG_USEC").filter(|time| *time > 0 && is_meant).map(Duration::from_micros)
}
