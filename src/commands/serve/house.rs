//! The life of the service: start, serve, stop, whether in one process or in several.
//!
//! **Invariant:** whatever ends the service, workers end before the private PostgreSQL does, and nothing is left running.

use super::banner::Shown;
use super::contact::{self, Place};
use super::private::{self, Private};
use super::room::Room;
use super::signals::Signals;
use super::systemd::Systemd;
use super::{Checked, Reread, fail, several, single};
use crate::config::words::Words;
use crate::config::{Parsed, ServeArgs};
use crate::database::probe::Facts;
use crate::database::{Trouble, target};
use crate::exit::Exit;
use crate::logging::Log;
use crate::server::{Listeners, Placement};
use crate::telemetry::admin::{Doors, NoDoor};

/// All that was settled before anything was started.
pub(super) struct House<'a> {
    pub(super) args: &'a ServeArgs,
    pub(super) parsed: &'a Parsed,
    pub(super) reread: Reread<'a>,
    pub(super) checked: Checked,
    pub(super) log: Log,
    /// Open descriptors as they were allowed, and as they are.
    pub(super) descriptors: (Option<u64>, Option<u64>),
    pub(super) room: Room,
    /// What this service is told by, where it is a unit of it.
    pub(super) systemd: Systemd,
}

/// What is known once the database was looked for.
pub(super) struct Ground<'a> {
    pub(super) place: Place<'a>,
    pub(super) facts: Result<Facts, Trouble>,
    /// The replicas, each with what was found.
    pub(super) replicas: Vec<(String, Result<Facts, String>)>,
}

/// Starts everything, serves, stops everything.
pub(super) async fn live(house: House<'_>, listeners: Listeners) -> Exit {
    let mut signals = match Signals::install() {
        Ok(signals) => signals,
        Err(error) => return fail(Exit::System, format_args!("signals cannot be heard: {error}")),
    };
    let plan = &house.checked.plan;
    let mut private = None;
    if house.checked.given.is_none() {
        let connections = plan.connections_total().saturating_add(plan.overlap());
        private = match private::start(&house.args.database, connections, &mut signals).await {
            Ok(private) => Some(private),
            Err(exit) => return exit,
        };
    }
    let exit = serve(&house, private.as_ref(), listeners, &mut signals).await;
    if let Some(private) = private {
        private.stop().await;
    }
    exit
}

async fn serve(
    house: &House<'_>,
    private: Option<&Private>,
    listeners: Listeners,
    signals: &mut Signals,
) -> Exit {
    let Some(config) = house.checked.given.as_ref().or(private.map(|private| &private.config)) else {
        return fail(Exit::Failed, "no database was chosen");
    };
    let name = match private {
        Some(private) => format!("private, in {}", private.place),
        None => format!("at {}", target::describe(config)),
    };
    let place = Place { config, name };
    let facts = match place.first_look(&house.checked.plan).await {
        Ok(facts) => facts,
        Err(refused) => return contact::refuse(refused),
    };
    let replicas = match &house.checked.reads {
        None => Vec::new(),
        Some(reads) => match contact::look_at_replicas(&house.checked.plan, reads).await {
            Ok(found) => found,
            Err(refused) => return contact::refuse(refused),
        },
    };
    let ground = Ground { place, facts, replicas };
    // Not before: who asks would wait in their queues while a private PostgreSQL is made.
    let doors = match open_doors(house.args, &listeners) {
        Ok(doors) => doors,
        Err(error) => return fail(Exit::System, error),
    };
    if house.checked.topology.processes.get() == 1 {
        single::serve(house, &ground, (listeners, doors), signals).await
    } else {
        several::serve(house, &ground, (listeners, doors), signals).await
    }
}

fn open_doors(args: &ServeArgs, listeners: &Listeners) -> Result<Doors, NoDoor> {
    let port = listeners.addresses().first().map_or(args.listen.port, std::net::SocketAddr::port);
    Doors::open(args.admin.admin.as_ref(), args.admin.admin_socket.as_ref(), port)
}

impl House<'_> {
    /// The settings that were read at the start.
    pub(super) fn words(&self) -> Words {
        Words::of(self.parsed)
    }

    /// Says what runs, and whether the database was found; tells systemd.
    pub(super) fn print_banner(
        &self,
        ground: &Ground<'_>,
        addresses: &[std::net::SocketAddr],
        doors: &[(&'static str, String)],
        placement: Placement,
        pids: &[u32],
    ) {
        let Checked { plan, topology, .. } = &self.checked;
        let room = self.room;
        let shown = Shown { topology: *topology, plan, addresses, room, placement, pids };
        super::banner::print(self.args, &shown);
        for (word, door) in doors {
            super::banner::line(word, door);
        }
        let database = match &ground.facts {
            Ok(facts) => ground.place.describe(facts),
            Err(why) => format!("PostgreSQL {} is not reached yet: {why}; trying on", ground.place.name),
        };
        super::banner::line("database", &database);
        for (name, found) in &ground.replicas {
            let what = match found {
                Ok(facts) if facts.is_standby => format!("a standby, PostgreSQL {}", facts.version),
                Ok(facts) => format!("a primary, PostgreSQL {}", facts.version),
                Err(why) => format!("not reached yet: {why}; trying on"),
            };
            super::banner::line("reads", &format!("{name}: {what}"));
        }
        self.systemd.note_ready(addresses);
    }
}
