//! Settings read anew while the service runs: the same words and environment, and the file as it is now.
//!
//! **Invariant:** they are judged as at the start, and nothing is changed here.

use futures_util::future::LocalBoxFuture;

use super::house::House;
use super::{Checked, check};
use crate::config::ServeArgs;
use crate::config::words::Words;

/// Another reading of the settings, which is sound.
pub(super) struct Anew {
    pub(super) args: Box<ServeArgs>,
    pub(super) checked: Checked,
    pub(super) words: Words,
    /// Names of the settings that differ from those in force.
    pub(super) changed: Vec<String>,
}

/// Reads and judges; the error is one line for people.
pub(super) fn read(house: &House<'_>, in_force: &Words) -> Result<Anew, String> {
    let (mut args, parsed) = (house.reread)().map_err(|refusal| refusal.in_one_line())?;
    let words = Words::of(&parsed);
    let changed = words.changed_from(in_force);
    // Neither changes in a running service, and one that nobody sets was worked out from the cores at the start.
    let topology = house.checked.topology;
    args.workers.processes = topology.processes.get();
    args.workers.workers = Some(topology.workers.get());
    args.workers.accept = topology.accept;
    let checked = check(&args).map_err(|error| error.to_string())?;
    super::room(&args, &checked, house.descriptors).map_err(|error| error.to_string())?;
    Ok(Anew { args, checked, words, changed })
}

/// Waits for the answer to what is being asked, for good where nothing is.
pub(super) async fn answered<T>(asking: &mut Option<LocalBoxFuture<'_, T>>) -> T {
    match asking {
        Some(asking) => asking.await,
        None => std::future::pending().await,
    }
}

/// Says that another reload will follow the one under way.
pub(super) fn put_off() {
    tracing::info!("SIGHUP: a reload is under way; another follows it");
}

/// Says that nothing is changed.
pub(super) fn refuse(why: &str) {
    tracing::error!("reload: refused, all goes on as it was: {why}");
}

/// Flags by their names, with the verb that suits their number.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a String>, one: &str, many: &str) -> String {
    let names: Vec<String> = names.into_iter().map(|name| format!("--{name}")).collect();
    let verb = if names.len() == 1 { one } else { many };
    format!("{} {verb} effect", names.join(", "))
}
