//! Puts settings in force, and puts back what was in force before.
//!
//! **Invariant:** what a setting was is on disk before the setting changes, and a setting that somebody else changed since is
//! left alone.

use std::path::Path;

use super::undo::{self, Change};
use super::{fail, say};
use crate::exit::Exit;
use crate::kernel::facts::Facts;
use crate::kernel::judge::{Mend, Verdict};
use crate::kernel::read::System;
use crate::kernel::sysctl::write_values;

/// Raises every setting that is too low; says whether all of them took it.
pub(super) fn apply(system: &System, undo_file: &Path, facts: &Facts, verdict: &Verdict) -> bool {
    let wanted: Vec<Change> = verdict
        .changes()
        .filter_map(|(sysctl, set)| {
            let was = facts.sysctls.get(&sysctl)?.clone();
            Some(Change { sysctl, was, set: set.to_vec() })
        })
        .collect();
    say_what_is_beyond_us(verdict);
    if wanted.is_empty() {
        say("nothing to apply: no setting of the kernel is too low");
        return true;
    }
    let before = match undo::load(undo_file) {
        Ok(before) => before,
        Err(error) => {
            say(format_args!(
                "error: nothing was changed: {}: {error}. Take it away, or name another by --undo-file",
                undo_file.display()
            ));
            return false;
        }
    };
    let mut noted = before.clone();
    for change in &wanted {
        undo::note(&mut noted, change.clone());
    }
    if let Err(error) = undo::save(undo_file, &noted) {
        say(format_args!(
            "error: nothing was changed: what is in force cannot be noted in {}: {error}. Run it as root, or name another \
             file by --undo-file",
            undo_file.display()
        ));
        return false;
    }
    let failed = set_all(system, &wanted);
    for change in &failed {
        undo::note_failure(&mut noted, &before, change, system.sysctl(change.sysctl));
    }
    if let Err(error) = undo::save(undo_file, &noted) {
        say(format_args!("error: {}: {error}", undo_file.display()));
        return false;
    }
    if !noted.is_empty() {
        let by_default = undo_file == undo::default_path(system);
        let named = if by_default { String::new() } else { format!(" --undo-file {}", undo_file.display()) };
        say(format_args!(
            "plimsoll doctor --revert{named} puts back what is noted in {}",
            undo_file.display()
        ));
    }
    failed.is_empty()
}

/// Sets each, says so, and gives those that could not be set.
fn set_all<'a>(system: &System, wanted: &'a [Change]) -> Vec<&'a Change> {
    let mut failed = Vec::new();
    for change in wanted {
        let Change { sysctl, was, set } = change;
        let (key, new) = (sysctl.key(), write_values(set));
        match system.set_sysctl(*sysctl, set) {
            Ok(()) => say(format_args!("set {key}: {} → {new}", write_values(was))),
            Err(error) => {
                let stays = match system.sysctl(*sysctl) {
                    Some(now) if now != *was => {
                        format!("is {} now, it was {}", write_values(&now), write_values(was))
                    }
                    _ => format!("stays {}", write_values(was)),
                };
                say(format_args!("error: {key} {stays}, {new} is needed: {error}"));
                failed.push(change);
            }
        }
    }
    failed
}

fn say_what_is_beyond_us(verdict: &Verdict) {
    for finding in verdict.findings.iter().filter(|finding| finding.state.wants_mending()) {
        if let Some(Mend::Advice(advice)) = finding.mend() {
            say(format_args!("--apply cannot change {}: it takes {advice}", finding.limit));
        }
    }
}

/// Puts back what the file says.
pub(super) fn revert(system: &System, undo_file: &Path) -> Exit {
    let changes = match undo::load(undo_file) {
        Ok(changes) => changes,
        Err(error) => return fail(Exit::Failed, format_args!("{}: {error}", undo_file.display())),
    };
    if changes.is_empty() {
        say(format_args!("nothing to put back: there is no {}", undo_file.display()));
        return Exit::Done;
    }
    let mut left = Vec::new();
    for change in changes {
        let (key, was) = (change.sysctl.key(), write_values(&change.was));
        match system.sysctl(change.sysctl) {
            Some(now) if now == change.was => say(format_args!("{key} is {was} already")),
            Some(now) if now != change.set => {
                let (now, set) = (write_values(&now), write_values(&change.set));
                say(format_args!(
                    "left {key} at {now}: somebody else changed it since it was set to {set}; it was {was}"
                ));
            }
            _ => match system.set_sysctl(change.sysctl, &change.was) {
                Ok(()) => say(format_args!("put {key} back: {} → {was}", write_values(&change.set))),
                Err(error) => {
                    say(format_args!("error: {key} cannot be put back to {was}: {error}"));
                    left.push(change);
                }
            },
        }
    }
    let failed = !left.is_empty();
    match undo::save(undo_file, &left) {
        Err(error) => fail(Exit::Failed, format_args!("{}: {error}", undo_file.display())),
        Ok(()) if failed => Exit::Failed,
        Ok(()) => Exit::Done,
    }
}
