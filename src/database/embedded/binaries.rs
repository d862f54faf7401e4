//! Finds the programs of a supported PostgreSQL.
//!
//! **Invariant:** what is found is whole (`initdb`, `pg_ctl` and `postgres` in one directory), between
//! [`OLDEST`] and [`NEWEST`], and of the major version of the cluster that is there already, if there is one.

use std::collections::BTreeSet;
use std::env;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::error::EmbeddedError;
use super::{install, program};

/// The oldest major version that is supported.
pub(super) const OLDEST: u32 = 13;
/// The newest one.
pub(super) const NEWEST: u32 = 18;

const PROGRAMS: [&str; 3] = ["postgres", "initdb", "pg_ctl"];
const VERSION_DEADLINE: Duration = Duration::from_secs(10);

/// Where the programs of one PostgreSQL lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) dir: PathBuf,
    pub(super) major: u32,
}

impl Binaries {
    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// Whether the server could preload `pg_stat_statements`. Preloading a library that is not there keeps the server
    /// from starting, so the file itself is looked for.
    pub(super) fn has_statement_statistics(&self) -> bool {
        let suffixes = ["so", "dylib"];
        library_dirs(&self.dir, self.major).iter().any(|dir| {
            suffixes.iter().any(|suffix| dir.join("pg_stat_statements").with_extension(suffix).exists())
        })
    }
}

/// Finds the programs: in `pg_bin` and nowhere else when it is given, else on the PATH, then in the usual places.
pub(super) fn find(
    pg_bin: Option<&Path>,
    clusters: &BTreeSet<u32>,
    data_dir: &Path,
) -> Result<Binaries, EmbeddedError> {
    if let Some(dir) = pg_bin {
        return find_given(dir);
    }
    let mut found = Vec::new();
    for dir in candidates(env::var_os("PATH").as_deref(), &unpacked_dirs()) {
        let Some(dir) = whole(&dir) else { continue };
        if found.iter().any(|known: &Binaries| known.dir == dir) {
            continue;
        }
        let Some(major) = ask_version(&dir) else { continue };
        found.push(Binaries { dir, major });
        // Nothing that comes later could be preferred to this one.
        let enough = clusters.last().map_or(is_supported(major), |newest| *newest == major);
        if enough {
            break;
        }
    }
    choose(&found, clusters, data_dir)
}

fn find_given(dir: &Path) -> Result<Binaries, EmbeddedError> {
    if let Some(missing) = PROGRAMS.into_iter().find(|name| !dir.join(name).is_file()) {
        return Err(EmbeddedError::BinariesIncomplete { dir: dir.into(), missing });
    }
    // Absolute, because PostgreSQL's programs are started from another working directory.
    let dir = dir.canonicalize().map_err(EmbeddedError::files("reach", dir))?;
    match ask_version(&dir) {
        Some(major) if is_supported(major) => Ok(Binaries { dir, major }),
        other => Err(unsupported(&[(dir, other)])),
    }
}

fn choose(found: &[Binaries], clusters: &BTreeSet<u32>, data_dir: &Path) -> Result<Binaries, EmbeddedError> {
    let supported = || found.iter().filter(|one| is_supported(one.major));
    if let Some(newest) = clusters.last() {
        let of_a_cluster =
            clusters.iter().rev().find_map(|major| supported().find(|one| one.major == *major));
        return of_a_cluster.cloned().ok_or_else(|| {
            let cluster = data_dir.join(format!("pg{newest}"));
            if is_supported(*newest) {
                let install = install::command_here(Some(*newest));
                EmbeddedError::NoBinariesForCluster { cluster, major: *newest, install }
            } else {
                unsupported(&[(cluster, Some(*newest))])
            }
        });
    }
    match (supported().next(), found.is_empty()) {
        (Some(one), _) => Ok(one.clone()),
        (None, true) => Err(EmbeddedError::NoBinaries { install: install::command_here(None) }),
        (None, false) => {
            let found: Vec<_> = found.iter().map(|one| (one.dir.clone(), Some(one.major))).collect();
            Err(unsupported(&found))
        }
    }
}

fn unsupported(found: &[(PathBuf, Option<u32>)]) -> EmbeddedError {
    let found: Vec<_> = found
        .iter()
        .map(|(dir, major)| match major {
            Some(major) => format!("{major} in {}", dir.display()),
            None => format!("something that tells no version in {}", dir.display()),
        })
        .collect();
    EmbeddedError::UnsupportedVersion { found: found.join(", "), install: install::command_here(None) }
}

fn is_supported(major: u32) -> bool {
    (OLDEST..=NEWEST).contains(&major)
}

/// The directories to look into, best first.
fn candidates(path: Option<&OsStr>, unpacked: &[PathBuf]) -> Vec<PathBuf> {
    // A relative entry of the PATH would mean another directory later, when the programs run elsewhere.
    let mut dirs: Vec<PathBuf> =
        path.map(|path| env::split_paths(path).filter(|dir| dir.is_absolute()).collect()).unwrap_or_default();
    for major in (OLDEST..=NEWEST).rev() {
        dirs.extend([
            format!("/usr/lib/postgresql/{major}/bin").into(),
            format!("/usr/pgsql-{major}/bin").into(),
            format!("/usr/lib/postgresql{major}/bin").into(),
            format!("/usr/libexec/postgresql{major}").into(),
            format!("/opt/homebrew/opt/postgresql@{major}/bin").into(),
            format!("/usr/local/opt/postgresql@{major}/bin").into(),
            format!("/home/linuxbrew/.linuxbrew/opt/postgresql@{major}/bin").into(),
            format!("/Applications/Postgres.app/Contents/Versions/{major}/bin").into(),
        ]);
    }
    dirs.extend(["/usr/bin", "/usr/local/bin", "/usr/local/pgsql/bin"].map(PathBuf::from));
    dirs.extend_from_slice(unpacked);
    dirs
}

/// Where `make run` may have unpacked binaries of our own: a cache of the user's and, since the user that root drops to
/// cannot pass root's home, one of the system's.
fn unpacked_dirs() -> Vec<PathBuf> {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|dir| dir.is_absolute());
    let own = cache.or_else(|| env::home_dir().map(|home| home.join(".cache")));
    let mut dirs = vec![PathBuf::from("/var/cache/plimsoll/postgresql/bin")];
    if !rustix::process::geteuid().is_root() {
        dirs.extend(own.map(|dir| dir.join("plimsoll/postgresql/bin")));
    }
    dirs
}

/// The directory the programs really lie in, when all of them do: a link to one of them may stand on the PATH.
fn whole(dir: &Path) -> Option<PathBuf> {
    let linked = dir.join(PROGRAMS[0]).canonicalize().ok()?.parent()?.to_path_buf();
    [linked, dir.to_path_buf()].into_iter().find(|dir| PROGRAMS.iter().all(|name| dir.join(name).is_file()))
}

fn ask_version(dir: &Path) -> Option<u32> {
    let mut command = Command::new(dir.join("postgres"));
    match program::run(command.arg("--version"), VERSION_DEADLINE, &mut |_| {}).ok()? {
        program::Ended::Well(text) => parse_major(&text),
        program::Ended::Badly(..) | program::Ended::Late => None,
    }
}

/// Reads `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)`, and `19beta1` as 19.
fn parse_major(text: &str) -> Option<u32> {
    let version = text.split_once("(PostgreSQL) ")?.1;
    version.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn library_dirs(bin: &Path, major: u32) -> Vec<PathBuf> {
    let Some(prefix) = bin.parent() else { return Vec::new() };
    let known = ["lib", "lib/postgresql", "lib64/pgsql", "lib/pgsql"];
    let mut dirs: Vec<_> = known.iter().map(|known| prefix.join(known)).collect();
    dirs.push(prefix.join(format!("lib/postgresql{major}")));
    dirs.push(prefix.join(format!("lib/postgresql@{major}")));
    dirs.push(Path::new("/usr/lib").join(format!("postgresql{major}")));
    dirs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(majors: &[u32]) -> Vec<Binaries> {
        majors.iter().map(|major| Binaries { dir: format!("/{major}").into(), major: *major }).collect()
    }

    #[test]
    fn versions_are_read_as_distributions_write_them() {
        assert_eq!(parse_major("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(parse_major("postgres (PostgreSQL) 18.6\n"), Some(18));
        assert_eq!(parse_major("postgres (PostgreSQL) 19beta1\n"), Some(19));
        assert_eq!(parse_major("mysqld 8\n"), None);
    }

    #[test]
    fn the_path_comes_before_the_usual_places_and_the_newest_first_among_them() {
        let dirs = candidates(Some(OsStr::new("/mine:relative")), &["/cache/bin".into()]);
        assert_eq!(dirs[0], Path::new("/mine"));
        assert_eq!(dirs[1], Path::new("/usr/lib/postgresql/18/bin"));
        assert_eq!(dirs.last().unwrap(), Path::new("/cache/bin"));
        assert!(!dirs.contains(&PathBuf::from("relative")));
    }

    #[test]
    fn without_a_cluster_the_first_supported_one_is_taken() {
        let chosen = choose(&found(&[12, 16, 18]), &BTreeSet::new(), Path::new("/d")).unwrap();
        assert_eq!(chosen.major, 16);
    }

    #[test]
    fn a_cluster_decides_the_major_version() {
        let chosen = choose(&found(&[18, 15]), &BTreeSet::from([15]), Path::new("/d")).unwrap();
        assert_eq!(chosen.major, 15);
    }

    #[test]
    fn of_two_clusters_the_newest_that_can_be_run_is_taken() {
        let chosen = choose(&found(&[15, 14]), &BTreeSet::from([14, 15, 17]), Path::new("/d")).unwrap();
        assert_eq!(chosen.major, 15);
    }

    #[test]
    fn a_cluster_without_its_binaries_is_named_with_the_way_out() {
        let error = choose(&found(&[15]), &BTreeSet::from([17]), Path::new("/d")).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("the cluster /d/pg17 needs PostgreSQL 17"), "{text}");
    }

    #[test]
    fn a_cluster_of_an_unsupported_version_is_refused() {
        let error = choose(&found(&[15]), &BTreeSet::from([12]), Path::new("/d")).unwrap_err();
        assert!(matches!(error, EmbeddedError::UnsupportedVersion { .. }), "{error}");
    }

    #[test]
    fn nothing_found_says_how_to_install_it() {
        let error = choose(&[], &BTreeSet::new(), Path::new("/d")).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("--pg-bin") && text.contains("DATABASE_URL"), "{text}");
    }

    #[test]
    fn only_unsupported_versions_found_are_all_named() {
        let error = choose(&found(&[12, 19]), &BTreeSet::new(), Path::new("/d")).unwrap_err();
        assert!(error.to_string().contains("12 in /12, 19 in /19"), "{error}");
    }

    #[test]
    fn a_given_directory_without_the_programs_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let error = find(Some(dir.path()), &BTreeSet::new(), Path::new("/d")).unwrap_err();
        assert!(error.to_string().contains("holds no postgres"), "{error}");
    }
}
