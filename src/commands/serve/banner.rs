//! The start banner: a few lines that say what runs where.
//!
//! **Invariant:** each line is a word, its value and nothing else, so that a script may read it too.

use std::net::SocketAddr;

use super::room::Room;
use crate::commands::say;
use crate::config::database::{Dispatch, Driver, Statements};
use crate::config::lab::Burn;
use crate::config::{ServeArgs, Topology};
use crate::database::plan::Plan;
use crate::kernel::read::System;
use crate::server::Placement;

/// What the banner says, besides the settings.
pub(super) struct Shown<'a> {
    pub(super) topology: Topology,
    pub(super) plan: &'a Plan,
    pub(super) addresses: &'a [SocketAddr],
    pub(super) room: Room,
    pub(super) placement: Placement,
    /// The processes under a supervisor.
    pub(super) pids: &'a [u32],
}

/// More process ids than these would fill the screen.
const MOST_PIDS: usize = 8;

/// What is known before the database is asked.
pub(super) fn print(args: &ServeArgs, shown: &Shown<'_>) {
    let Shown { topology, plan, addresses, room, placement, pids } = shown;
    let cores = crate::config::workers::usable_cores();
    say(format_args!("plimsoll {}, pid {}", env!("CARGO_PKG_VERSION"), std::process::id()));
    for address in *addresses {
        line("listening", &format!("http://{address}"));
    }
    let noun = if cores.get() == 1 { "core" } else { "cores" };
    let sched = if placement.batch { ", SCHED_BATCH" } else { "" };
    let pinned = if placement.pinned { ", each pinned to a core" } else { "" };
    line("workers", &format!("{} ({cores} {noun}){sched}{pinned}", topology.workers_total()));
    let pids = match pids.len() {
        1..=MOST_PIDS => {
            let pids = pids.iter().map(ToString::to_string).collect::<Vec<_>>();
            format!(", pids {}", pids.join(" "))
        }
        _ => String::new(),
    };
    line("topology", &format!("{topology}{pids}"));
    let dispatch = match args.database.dispatch {
        Dispatch::Pipelined => "pipelined",
        Dispatch::Exclusive => "exclusive",
    };
    let statements = match args.database.statements {
        Statements::Cached => "",
        Statements::Unnamed => ", unnamed statements",
    };
    let driver = match args.database.driver {
        Driver::TokioPostgres => "",
        Driver::Direct => ", direct driver",
    };
    line("pool", &format!("{}, {dispatch}{statements}{driver}", plan.sum()));
    if args.database.reads.database_read_url.is_some() {
        let total = plan.connections_total();
        line(
            "replicas",
            &format!("{total} more for reads, and of each process one that watches each server"),
        );
    }
    if args.lab.lab {
        let place = match args.lab.burn {
            Burn::Inline => "on the worker",
            Burn::Offload => "on a side pool",
        };
        line("lab", &format!("/lab/wait, /lab/burn ({place}) and /lab/echo are served too"));
    }
    let each = if topology.processes.get() == 1 { "" } else { "in each process " };
    line("limits", &format!("{each}{}", room.describe()));
    let system = System::below("/");
    let all = system.memory().map_or(u64::MAX, |memory| memory.total_bytes);
    if let Some(memory) = system.group_memory(all) {
        let (limit, left) = (memory.total_bytes >> 20, memory.available_bytes >> 20);
        line(
            "memory",
            &format!(
                "{limit} MiB by the control group, {left} of them left; load is shed before that is used up"
            ),
        );
    }
    if let Some(advice) = plan.advice() {
        line("note", &advice);
    }
}

/// One line of the banner.
pub(super) fn line(word: &str, value: &str) {
    say(format_args!("  {word:<9}  {value}"));
}
