//! The start banner: a few lines that say what runs where.
//!
//! **Invariant:** each line is a word, its value and nothing else, so that a script may read it too.

use std::net::SocketAddr;

use super::room::Room;
use crate::commands::say;
use crate::config::ServeArgs;
use crate::config::database::{Dispatch, Driver, Statements};
use crate::config::lab::Burn;
use crate::database::plan::Plan;
use crate::server::Placement;

/// What is known before the database is asked.
pub(super) fn print(
    args: &ServeArgs,
    plan: &Plan,
    workers: u32,
    placement: Placement,
    addresses: &[SocketAddr],
    room: Room,
) {
    let cores = crate::config::workers::usable_cores();
    say(format_args!("plimsoll {}, pid {}", env!("CARGO_PKG_VERSION"), std::process::id()));
    for address in addresses {
        line("listening", &format!("http://{address}"));
    }
    let noun = if cores.get() == 1 { "core" } else { "cores" };
    let sched = if placement.batch { ", SCHED_BATCH" } else { "" };
    let pinned = if placement.pinned { ", each pinned to a core" } else { "" };
    line("workers", &format!("{workers} ({cores} {noun}){sched}{pinned}"));
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
    if args.lab.lab {
        let place = match args.lab.burn {
            Burn::Inline => "on the worker",
            Burn::Offload => "on a side pool",
        };
        line("lab", &format!("/lab/wait, /lab/burn ({place}) and /lab/echo are served too"));
    }
    line("limits", &room.describe());
    if let Some(advice) = plan.advice() {
        line("note", &advice);
    }
}

/// One line of the banner.
pub(super) fn line(word: &str, value: &str) {
    say(format_args!("  {word:<9}  {value}"));
}
