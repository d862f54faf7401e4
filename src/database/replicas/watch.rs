//! Watches the primary and every server that is read from, on sessions of its own: one for each process and server.
//!
//! **Invariant:** no request waits for it, and it says of a server only what the server said itself, or that it said nothing.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use futures_util::future::FutureExt as _;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::super::config::Config;
use super::super::standing::Standing;
use super::ask::{self, Event, Next};
use super::host::ReadHost;
use super::judge::Left;
use super::lag::{History, Lag, Trail};
use super::{Fleet, single};
use crate::telemetry::hosts::Role;

/// How often it is looked where names lead.
const RESOLVE_EVERY: Duration = Duration::from_secs(5);
/// How long the first answers are waited for, of the primary and then of the others.
const FIRST_LOOK: Duration = Duration::from_secs(1);

/// What the tasks share.
struct Shared {
    fleet: Arc<Fleet>,
    history: RefCell<History>,
    /// Who has not been asked once.
    unasked: Cell<usize>,
    asked: Notify,
}

/// Watches until it is dropped.
pub(crate) async fn watch(fleet: Arc<Fleet>) {
    while is_torn(watch_all(Arc::clone(&fleet))).await {
        // Nobody asks those any more: all are found again.
        for host in fleet.hosts() {
            let mut known = host.known();
            (known.left, known.is_dismissed) = (Some(Left::gone(TORN)), true);
        }
        fleet.settle();
        sleep(ask::EVERY).await;
    }
}

/// Why a server is left out that was asked by a task that panicked.
const TORN: &str = "whoever asked it has failed, which is a bug of this program; it is asked anew";

/// Runs a task; says whether it panicked, which has been said aloud by then.
async fn is_torn(task: impl Future<Output = ()>) -> bool {
    AssertUnwindSafe(task).catch_unwind().await.is_err()
}

async fn watch_all(fleet: Arc<Fleet>) {
    let history = RefCell::new(History::new(fleet.terms.max_lag));
    let shared = Rc::new(Shared { fleet, history, unasked: Cell::new(1), asked: Notify::new() });
    let mut tasks = JoinSet::new();
    tasks.spawn_local(keep_to_primary(Rc::clone(&shared)));
    // What the primary has written first: without it nobody could be told to be behind.
    shared.until_asked().await;
    let mut begun = false;
    loop {
        for host in shared.fleet.find().await {
            shared.unasked.update(|unasked| unasked + 1);
            tasks.spawn_local(keep_to_host(Rc::clone(&shared), host));
        }
        if !std::mem::replace(&mut begun, true) {
            shared.until_asked().await;
            shared.fleet.begun.send_replace(true);
        }
        sleep(RESOLVE_EVERY).await;
        while tasks.try_join_next().is_some() {}
    }
}

/// The configuration for sessions of ours, which say what they are for.
fn named(config: &Config) -> Config {
    let mut config = config.clone();
    let name = format!("{}, watching", config.get_application_name().unwrap_or("plimsoll"));
    config.application_name(name);
    config
}

async fn keep_to_primary(shared: Rc<Shared>) {
    let mut is_first = true;
    while is_torn(watch_primary(&shared, &mut is_first)).await {
        shared.fleet.seen.lock().unwrap_or_else(PoisonError::into_inner).1 = Some(TORN.into());
        sleep(ask::EVERY).await;
    }
}

async fn watch_primary(shared: &Shared, is_first: &mut bool) {
    // Of several hosts it is the one that follows no other, whatever kind is wanted for the requests.
    let config = named(&shared.fleet.primary).with_standing(Standing::Primary);
    let note = |event: Event<'_>| {
        let mut seen = shared.fleet.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let next = match event {
            Event::Answer(_, answer, _) if answer.is_standby => Next::Leave("it is a standby now"),
            Event::Answer(asked, answer, address) => {
                let name = single::name(address, true);
                let mut history = shared.history.borrow_mut();
                if seen.0.as_ref().is_some_and(|before| *before != name) {
                    history.begin_anew();
                }
                if let Some(written) = answer.position {
                    history.note(asked, written);
                }
                *seen = (Some(name), None);
                Next::Ask
            }
            Event::Ended(why) => {
                shared.history.borrow_mut().interrupt();
                seen.1 = Some(why);
                Next::Ask
            }
        };
        shared.tick_off(is_first);
        ControlFlow::Continue(next)
    };
    ask::follow(&config, note).await;
}

async fn keep_to_host(shared: Rc<Shared>, host: Arc<ReadHost>) {
    let mut is_first = true;
    while is_torn(watch_host(&shared, &host, &mut is_first)).await {
        host.known().left = Some(Left::gone(TORN));
        shared.fleet.settle();
        sleep(ask::EVERY).await;
    }
}

async fn watch_host(shared: &Shared, host: &ReadHost, is_first: &mut bool) {
    let config = named(&host.config);
    let mut trail = Trail::default();
    let note = |event: Event<'_>| {
        let mut known = host.known();
        if known.is_dismissed {
            return ControlFlow::Break(());
        }
        match event {
            Event::Answer(_, answer, _) => {
                let lag = trail.follow(&shared.history.borrow(), Instant::now(), answer.position);
                let was_fit = known.left.is_none();
                known.left = shared.fleet.terms.judge(&answer, lag, was_fit).err();
                known.role = Some(if answer.is_standby { Role::Standby } else { Role::Primary });
                known.lag = match lag {
                    _ if !answer.is_standby && known.left.is_none() => Some(Duration::ZERO),
                    Lag::Known(lag) | Lag::AtLeast(lag) => Some(lag),
                    Lag::Unknown | Lag::Diverged => None,
                };
            }
            Event::Ended(why) => {
                (known.lag, known.left) = (None, Some(Left::gone(why)));
                trail = Trail::default();
            }
        }
        drop(known);
        shared.fleet.settle();
        shared.tick_off(is_first);
        ControlFlow::Continue(Next::Ask)
    };
    ask::follow(&config, note).await;
}

impl Shared {
    fn tick_off(&self, is_first: &mut bool) {
        if std::mem::take(is_first) {
            self.unasked.update(|unasked| unasked - 1);
            self.asked.notify_one();
        }
    }

    /// Waits until everybody has been asked once, or for [`FIRST_LOOK`].
    async fn until_asked(&self) {
        let all = async {
            while self.unasked.get() > 0 {
                self.asked.notified().await;
            }
        };
        // Whoever is silent is waited for no longer than the start may be held up.
        let _ = timeout(FIRST_LOOK, all).await;
    }
}
