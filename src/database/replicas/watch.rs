//! Watches the primary and every server that is read from, on sessions of its own: one for each process and server.
//!
//! **Invariant:** no request waits for it, and it says of a server only what the server said itself, or that it said nothing.

use std::cell::{Cell, RefCell};
use std::ops::ControlFlow;
use std::rc::Rc;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::super::config::Config;
use super::super::dial::{self, Address};
use super::super::standing::Standing;
use super::ask::{self, Event, Next};
use super::host::ReadHost;
use super::judge::Left;
use super::lag::{History, Lag, Place};
use super::{Fleet, MOST_HOSTS, single};
use crate::telemetry::hosts::Role;

/// How often it is looked where names lead.
const RESOLVE_EVERY: Duration = Duration::from_secs(5);
/// How long a look-up may take.
const RESOLVE_PATIENCE: Duration = Duration::from_secs(2);
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
    let history = RefCell::new(History::new(fleet.terms.max_lag));
    let shared = Rc::new(Shared { fleet, history, unasked: Cell::new(1), asked: Notify::new() });
    let mut tasks = JoinSet::new();
    tasks.spawn_local(watch_primary(Rc::clone(&shared)));
    // What the primary has written first: without it nobody could be told to be behind.
    shared.until_asked().await;
    let mut begun = false;
    loop {
        for host in shared.find().await {
            shared.unasked.update(|unasked| unasked + 1);
            tasks.spawn_local(watch_host(Rc::clone(&shared), host));
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

async fn watch_primary(shared: Rc<Shared>) {
    // Of several hosts it is the one that follows no other, whatever kind is wanted for the requests.
    let config = named(&shared.fleet.primary).with_standing(Standing::Primary);
    let mut is_first = true;
    let note = |event: Event<'_>| {
        let mut seen = shared.fleet.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let next = match event {
            Event::Answer(_, answer, _) if answer.is_standby => Next::Leave("it is a standby now"),
            Event::Answer(asked, answer, address) => {
                if let Some(written) = answer.position {
                    shared.history.borrow_mut().note(asked, written);
                }
                *seen = (Some(single::name(address, true)), None);
                Next::Ask
            }
            Event::Ended(why) => {
                seen.1 = Some(why);
                Next::Ask
            }
        };
        shared.tick_off(&mut is_first);
        ControlFlow::Continue(next)
    };
    ask::follow(&config, note).await;
}

async fn watch_host(shared: Rc<Shared>, host: Arc<ReadHost>) {
    let config = named(&host.config);
    let (mut is_first, mut before) = (true, None);
    let note = |event: Event<'_>| {
        let mut known = host.known();
        if known.is_dismissed {
            return ControlFlow::Break(());
        }
        match event {
            Event::Answer(_, answer, _) => {
                let position = answer.position;
                let lag = position.map_or(Lag::Unknown, |at| shared.history.borrow().lag(at, before));
                before = position.map(|replayed| Place { at: Instant::now(), replayed });
                known.role = Some(if answer.is_standby { Role::Standby } else { Role::Primary });
                known.lag = match lag {
                    _ if !answer.is_standby => Some(Duration::ZERO),
                    Lag::Known(lag) | Lag::AtLeast(lag) => Some(lag),
                    Lag::Unknown | Lag::Diverged => None,
                };
                let was_fit = known.left.is_none();
                known.left = shared.fleet.terms.judge(&answer, lag, was_fit).err();
            }
            Event::Ended(why) => {
                (known.lag, known.left) = (None, Some(Left::gone(why)));
                before = None;
            }
        }
        drop(known);
        shared.fleet.settle();
        shared.tick_off(&mut is_first);
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

    /// Looks where the names lead; gives the servers that were not known, and dismisses those to which none leads any more.
    async fn find(&self) -> Vec<Arc<ReadHost>> {
        let fleet = &self.fleet;
        let Ok(candidates) = dial::candidates(&fleet.config) else { return Vec::new() };
        let (mut found, mut is_whole) = (Vec::<(Address, String)>::new(), true);
        for candidate in candidates {
            match timeout(RESOLVE_PATIENCE, dial::resolve(&candidate, &fleet.config)).await {
                Ok(Ok(addresses)) => {
                    let is_alone = addresses.len() == 1;
                    let names = addresses.into_iter().map(|address| {
                        let name = single::name(&address, is_alone);
                        (address, name)
                    });
                    found.extend(names);
                }
                // A name that is not found for the moment dismisses nobody.
                _ => is_whole = false,
            }
        }
        found.truncate(MOST_HOSTS);
        let mut hosts = fleet.hosts.write().unwrap_or_else(PoisonError::into_inner);
        // Nobody asks those any more, and nobody has a session there.
        hosts.retain(|host| !host.known().is_dismissed || host.open() > 0);
        if is_whole {
            for host in hosts.iter().filter(|host| !found.iter().any(|(address, _)| *address == host.address))
            {
                host.known().is_dismissed = true;
            }
        }
        let mut new = Vec::new();
        for (address, name) in found {
            let is_known = |host: &Arc<ReadHost>| host.address == address && !host.known().is_dismissed;
            if !hosts.iter().any(is_known) && hosts.len() < MOST_HOSTS {
                let config = single::only(&fleet.config, &address);
                new.push(Arc::new(ReadHost::new(address, name, config)));
                hosts.extend(new.last().cloned());
            }
        }
        drop(hosts);
        fleet.settle();
        new
    }
}
