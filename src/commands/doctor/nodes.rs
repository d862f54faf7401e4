//! Whether each database has room for several nodes: its hosts are asked one by one, since after a failover any of them may carry all.
//!
//! **Invariant:** a database that was not reached is no yes.

use std::fmt::Write as _;

use serde::Serialize;

use super::text::number;
use crate::database::plan::{Demand, Plan, Room, Sum, Uses};
use crate::database::{Config, replicas};

/// What the nodes come to.
pub(super) struct Nodes {
    count: u32,
    databases: Vec<Database>,
}

/// One host that is named.
pub(super) struct Host {
    /// As people read it.
    name: String,
    config: Config,
    uses: Uses,
}

/// What the nodes come to at one host.
struct Database {
    address: String,
    uses: Uses,
    demand: Demand,
    /// None where it was not reached; says why.
    sum: Result<Sum, String>,
}

/// The answer for scripts.
#[derive(Serialize)]
pub(super) struct Answer<'a> {
    count: u32,
    fits: bool,
    databases: Vec<Line<'a>>,
}

#[derive(Serialize)]
struct Line<'a> {
    address: &'a str,
    writes: bool,
    reads: bool,
    connections_each: u32,
    reload_overlap_each: u32,
    beside_each: u32,
    wanted: Option<u32>,
    usable: Option<u32>,
    limit: Option<u32>,
    reserved: Option<u32>,
    fits: Option<bool>,
    not_reached: Option<&'a str>,
    mend: Option<String>,
}

/// Every host of both addresses by itself, in the order of their names; one that is in both is there once.
pub(super) fn hosts(writes: &Config, reads: Option<&Config>) -> Result<Vec<Host>, String> {
    let named = |uses: Uses| move |(name, config)| Host { name, config, uses };
    let mut hosts: Vec<Host> =
        replicas::each(writes)?.into_iter().map(named(Uses { writes: true, reads: false })).collect();
    let reads = reads.map_or(Ok(Vec::new()), replicas::each)?;
    for host in reads.into_iter().map(named(Uses { writes: false, reads: true })) {
        match hosts.iter_mut().find(|known| known.name == host.name) {
            Some(known) => known.uses.reads = true,
            None => hosts.push(host),
        }
    }
    hosts.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(hosts)
}

impl Nodes {
    /// Asks each host for its room, for so many nodes with this plan.
    pub(super) fn ask(
        count: u32,
        plan: Plan,
        hosts: &[Host],
        ask: impl Fn(&Config) -> Result<Room, String>,
    ) -> Self {
        let look = |host: &Host| {
            let demand = Demand::of(plan, host.uses);
            let sum = ask(&host.config).map(|room| Sum::new(demand, count, room));
            Database { address: host.name.clone(), uses: host.uses, demand, sum }
        };
        Self { count, databases: hosts.iter().map(look).collect() }
    }

    /// Whether every database has room for all of them.
    pub(super) fn fit(&self) -> bool {
        self.databases.iter().all(|database| database.sum.as_ref().is_ok_and(|sum| sum.fits()))
    }

    /// For scripts.
    pub(super) fn answer(&self) -> Answer<'_> {
        Answer {
            count: self.count,
            fits: self.fit(),
            databases: self.databases.iter().map(Database::line).collect(),
        }
    }

    /// For people: each database with its sum, and what mends it.
    pub(super) fn text(&self) -> String {
        let count = number(self.count.into());
        let mut text = format!("nodes      {count} like this one, at each database at the most\n");
        for database in &self.databases {
            // Writing to a String cannot fail, here and below.
            let _ = writeln!(text, "           {}", database.describe(&count));
            if let Ok(sum) = database.sum
                && !sum.fits()
            {
                let _ = writeln!(text, "           → {}", mend(sum));
            }
        }
        text
    }

    /// What stands in the verdict.
    pub(super) fn verdict(&self) -> String {
        let short = |database: &&Database| database.sum.as_ref().is_ok_and(|sum| !sum.fits());
        let stops: Vec<&str> =
            self.databases.iter().filter(short).map(|found| found.address.as_str()).collect();
        let count = number(self.count.into());
        if self.fit() {
            format!("Each database has room for {count} such nodes.")
        } else if stops.is_empty() {
            format!("No: whether there is room for {count} such nodes is not known.")
        } else {
            format!("No: there is no room for {count} such nodes at {}.", stops.join(", "))
        }
    }
}

impl Database {
    /// In one line.
    fn describe(&self, count: &str) -> String {
        let Self { address, uses, demand, sum } = self;
        let uses = match (uses.writes, uses.reads) {
            (true, true) => "written and read",
            (true, false) => "written",
            _ => "read",
        };
        let sum = match sum {
            Err(why) => return format!("{address}, {uses}: not known: {why}"),
            Ok(sum) => sum,
        };
        let word = if sum.fits() { "holds" } else { "STOPS" };
        let (wanted, usable) = (number(sum.wanted().into()), number(sum.usable().into()));
        let Room { limit, reserved, .. } = sum.room();
        let overlap = match demand.overlap() {
            0 => String::new(),
            overlap => format!(" + {overlap} in a reload"),
        };
        format!(
            "{address}, {uses}: {word}: {count} × ({} + {} beside the pools{overlap}) = {wanted} of {usable} ({limit} allowed, \
             {reserved} reserved)",
            demand.connections(),
            demand.beside(),
        )
    }

    fn line(&self) -> Line<'_> {
        let sum = self.sum.as_ref().ok().copied();
        let room = sum.map(Sum::room);
        Line {
            address: &self.address,
            writes: self.uses.writes,
            reads: self.uses.reads,
            connections_each: self.demand.connections(),
            reload_overlap_each: self.demand.overlap(),
            beside_each: self.demand.beside(),
            wanted: sum.map(Sum::wanted),
            usable: sum.map(Sum::usable),
            limit: room.map(|room| room.limit),
            reserved: room.map(|room| room.reserved),
            fits: sum.map(Sum::fits),
            not_reached: self.sum.as_ref().err().map(String::as_str),
            mend: sum.filter(|sum| !sum.fits()).map(mend),
        }
    }
}

/// What would do, each by itself.
fn mend(sum: Sum) -> String {
    let bound = match sum.bound() {
        Some(bound) => format!("DATABASE_MAX_CONN={bound} on each node (or as small a --pool-per-core)"),
        None => format!("no more than {} such nodes", sum.nodes_that_fit()),
    };
    format!(
        "{bound}; or max_connections = {} in postgresql.conf and a restart of PostgreSQL; or PgBouncer between (docs/pgbouncer.md)",
        sum.enough()
    )
}
