//! The admin side in the process that was started: what it says of the service, and the changes that come by it.
//!
//! **Invariant:** it answers until the last worker has ended; where it has no door there is none, and nothing comes.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use clap::ValueEnum;
use futures_util::future::FutureExt as _;
use tokio::sync::{mpsc, watch};

use super::contact;
use super::house::House;
use crate::config::ServeArgs;
use crate::config::workers::usable_cores;
use crate::database::Config;
use crate::database::plan::Plan;
use crate::telemetry::admin::{self, Admin, Change, Doors, Ground, Probe, Setup};
use crate::telemetry::status::Service;

/// The admin side, as those who serve know it.
pub(super) struct Desk {
    admin: Option<Admin>,
    service: watch::Sender<Service>,
    changes: mpsc::Receiver<Change>,
    database: Arc<Mutex<Config>>,
}

impl Desk {
    /// Opens it, if there is a door.
    pub(super) fn open(
        house: &House<'_>,
        addresses: &[SocketAddr],
        database: &Config,
        doors: Doors,
        ground: Ground,
    ) -> std::io::Result<Self> {
        let (service, shown) = watch::channel(describe(house, addresses));
        let (judge, changes) = admin::changes();
        let database = Arc::new(Mutex::new(database.clone()));
        let probe = probe(&database);
        let admin = if doors.is_shut() {
            None
        } else {
            Some(Admin::start(Setup { doors, service: shown, ground, probe, changes: judge })?)
        };
        Ok(Self { admin, service, changes, database })
    }

    /// The next wish for another size of the pool; never, where nobody can have one.
    pub(super) async fn next_change(&mut self) -> Change {
        match self.changes.recv().await {
            Some(change) => change,
            None => std::future::pending().await,
        }
    }

    /// Says what is in force from now on.
    pub(super) fn note(&self, args: &ServeArgs, plan: &Plan) {
        self.service.send_modify(|service| {
            service.dispatch = word(&args.database.dispatch);
            service.connections_total = plan.connections_total();
            service.automatic = plan.is_automatic();
        });
    }

    /// Asks another database from now on whether it is there.
    pub(super) fn note_database(&self, config: &Config) {
        config.clone_into(&mut self.database.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Takes no more changes: the service is ending.
    pub(super) fn refuse_changes(&mut self) {
        self.changes.close();
        while let Ok(change) = self.changes.try_recv() {
            drop(change);
        }
    }

    /// Ends it; all workers have ended.
    pub(super) fn close(self) {
        if let Some(admin) = self.admin {
            admin.stop();
        }
    }
}

fn probe(database: &Arc<Mutex<Config>>) -> Probe {
    let database = Arc::clone(database);
    Arc::new(move || {
        let config = database.lock().unwrap_or_else(PoisonError::into_inner).clone();
        async move { contact::try_out(&config).await }.boxed()
    })
}

fn describe(house: &House<'_>, addresses: &[SocketAddr]) -> Service {
    let (topology, plan) = (house.checked.topology, &house.checked.plan);
    Service {
        version: env!("CARGO_PKG_VERSION").into(),
        pid: std::process::id(),
        started_unix: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        processes: topology.processes.get(),
        workers: topology.workers.get(),
        accept: word(&topology.accept),
        listening: addresses.iter().map(ToString::to_string).collect(),
        cores: usable_cores().get(),
        dispatch: word(&house.args.database.dispatch),
        connections_total: plan.connections_total(),
        automatic: plan.is_automatic(),
    }
}

/// The word of a setting.
pub(super) fn word(value: &impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}
