//! Which user PostgreSQL runs as, and what that user can reach.
//!
//! **Invariant:** no program of PostgreSQL that touches a cluster is run as root, and each of them is made by
//! [`Identity::command`]: its own process group, no inherited `PG*` variables, a working directory it can enter.

use std::ffi::OsStr;
use std::fs::{File, Metadata};
use std::os::unix::fs::{MetadataExt, fchown, lchown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::{env, fs, io};

use super::error::EmbeddedError;

/// The user that owns the cluster and runs its server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) uid: u32,
    pub(super) gid: u32,
    name: String,
    /// Whether this is another user than ours, which only root can arrange.
    drops: bool,
}

impl Identity {
    /// Ours; or, for root, the owner of the cluster that is there, else `postgres`, else `nobody`.
    pub(super) fn choose(cluster: &Path) -> Result<Self, EmbeddedError> {
        let owner = fs::symlink_metadata(cluster).ok().map(|found| (found.uid(), found.gid()));
        let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
        choose(own, owner, &fs::read_to_string("/etc/passwd").unwrap_or_default()).map_err(|refusal| {
            match refusal {
                Refusal::NoUser => EmbeddedError::NoUser,
                Refusal::Owner(owner) => EmbeddedError::ForeignOwner { path: cluster.into(), owner },
            }
        })
    }

    /// A command that runs as this user, out of reach of a terminal's Ctrl-C.
    pub(super) fn command(&self, program: &Path, working_dir: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(working_dir).process_group(0);
        for (name, _) in env::vars_os().filter(|(name, _)| is_postgres_variable(name)) {
            command.env_remove(name);
        }
        // PostgreSQL as Debian builds it would tell systemd that it is ready, in our place.
        command.env_remove("NOTIFY_SOCKET");
        // One language for what we quote and look through.
        command.env("LC_ALL", "C");
        if self.drops {
            // Supplementary groups of root are dropped with the user by the standard library.
            command.uid(self.uid).gid(self.gid);
        }
        command
    }

    /// Gives a file or directory that we made to this user. A link is given itself, never what it points to.
    pub(super) fn give(&self, path: &Path) -> io::Result<()> {
        if self.drops { lchown(path, Some(self.uid), Some(self.gid)) } else { Ok(()) }
    }

    /// Gives an open file to this user.
    pub(super) fn give_file(&self, file: &File) -> io::Result<()> {
        if self.drops { fchown(file, Some(self.uid), Some(self.gid)) } else { Ok(()) }
    }

    /// Gives a tree to this user: what belongs to root in it, as after a copy that root made. What belongs to anybody
    /// else stays as it is, and is not entered.
    pub(super) fn give_tree(&self, path: &Path) -> io::Result<()> {
        let found = fs::symlink_metadata(path)?;
        if !self.drops || found.uid() != 0 {
            return Ok(());
        }
        if found.is_dir() {
            for entry in fs::read_dir(path)? {
                self.give_tree(&entry?.path())?;
            }
        }
        self.give(path)
    }

    /// Refuses a path that this user cannot get to, naming the directory that is in the way.
    pub(super) fn check_way_to(&self, path: &Path) -> Result<(), EmbeddedError> {
        if !self.drops {
            return Ok(());
        }
        let mut steps: Vec<&Path> = path.ancestors().collect();
        steps.reverse();
        let refuses = |step: &&Path| fs::metadata(step).is_ok_and(|found| !self.may_enter(&found));
        match steps.into_iter().find(refuses) {
            None => Ok(()),
            Some(blocked) => Err(EmbeddedError::Blocked {
                path: path.into(),
                blocked: blocked.into(),
                user: self.name.clone(),
            }),
        }
    }

    pub(super) fn owns(&self, found: &Metadata) -> bool {
        found.uid() == self.uid
    }

    /// Whether this is a user that root became.
    pub(super) fn drops(&self) -> bool {
        self.drops
    }

    fn may_enter(&self, found: &Metadata) -> bool {
        may_search(found.mode(), (found.uid(), found.gid()), (self.uid, self.gid))
    }
}

enum Refusal {
    NoUser,
    Owner(u32),
}

fn choose(own: (u32, u32), owner: Option<(u32, u32)>, passwd: &str) -> Result<Identity, Refusal> {
    let identity = |(uid, gid): (u32, u32), drops| {
        let name = user_named_by(passwd, |user| user.uid == uid)
            .map_or_else(|| format!("uid {uid}"), |user| user.name);
        Identity { uid, gid, name, drops }
    };
    match owner {
        _ if own.0 != 0 => match owner {
            Some((uid, _)) if uid != own.0 => Err(Refusal::Owner(uid)),
            _ => Ok(identity(own, false)),
        },
        Some(owner) if owner.0 != 0 => Ok(identity(owner, true)),
        _ => ["postgres", "nobody"]
            .iter()
            .find_map(|name| user_named_by(passwd, |user| user.name == *name && user.uid != 0))
            .map(|user| identity((user.uid, user.gid), true))
            .ok_or(Refusal::NoUser),
    }
}

struct User {
    name: String,
    uid: u32,
    gid: u32,
}

/// The first user of a passwd(5) text that fits.
fn user_named_by(passwd: &str, fits: impl Fn(&User) -> bool) -> Option<User> {
    passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?.to_owned();
        let uid = fields.nth(1)?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        Some(User { name, uid, gid }).filter(&fits)
    })
}

/// Whether a user may pass through a directory, by its mode alone (access lists are not read).
fn may_search(mode: u32, owner: (u32, u32), user: (u32, u32)) -> bool {
    let bit = if user.0 == owner.0 {
        0o100
    } else if user.1 == owner.1 {
        0o010
    } else {
        0o001
    };
    mode & bit != 0
}

fn is_postgres_variable(name: &OsStr) -> bool {
    name.as_encoded_bytes().starts_with(b"PG")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n";
    const WITH_POSTGRES: &str =
        "root:x:0:0:::\npostgres:x:101:104::/var/lib/postgresql:/bin/bash\nbob:x:1000:1001:::\n";

    fn chosen(own: (u32, u32), owner: Option<(u32, u32)>, passwd: &str) -> Option<(u32, u32, String, bool)> {
        choose(own, owner, passwd).ok().map(|one| (one.uid, one.gid, one.name, one.drops))
    }

    #[test]
    fn an_ordinary_user_runs_it_as_itself() {
        assert_eq!(chosen((1000, 1001), None, WITH_POSTGRES), Some((1000, 1001, "bob".into(), false)));
        assert_eq!(chosen((7, 8), Some((7, 8)), ""), Some((7, 8, "uid 7".into(), false)));
    }

    #[test]
    fn root_becomes_postgres_and_nobody_where_there_is_none() {
        assert_eq!(chosen((0, 0), None, WITH_POSTGRES), Some((101, 104, "postgres".into(), true)));
        assert_eq!(chosen((0, 0), None, PASSWD), Some((65534, 65534, "nobody".into(), true)));
        assert_eq!(chosen((0, 0), None, "root:x:0:0:::"), None);
    }

    #[test]
    fn root_runs_a_cluster_as_its_owner() {
        assert_eq!(chosen((0, 0), Some((1000, 1001)), WITH_POSTGRES), Some((1000, 1001, "bob".into(), true)));
        assert_eq!(chosen((0, 0), Some((0, 0)), WITH_POSTGRES), Some((101, 104, "postgres".into(), true)));
    }

    #[test]
    fn somebody_elses_cluster_is_refused() {
        assert_eq!(chosen((1000, 1000), Some((101, 104)), WITH_POSTGRES), None);
    }

    #[test]
    fn the_closest_bits_of_a_mode_count() {
        assert!(may_search(0o711, (0, 0), (101, 104)));
        assert!(!may_search(0o700, (0, 0), (101, 104)));
        assert!(may_search(0o710, (0, 104), (101, 104)));
        assert!(!may_search(0o077, (101, 0), (101, 104)), "an owner without the bit is refused");
    }

    #[test]
    fn variables_that_steer_postgresql_are_known() {
        assert!(is_postgres_variable(OsStr::new("PGDATA")));
        assert!(!is_postgres_variable(OsStr::new("PATH")));
    }
}
