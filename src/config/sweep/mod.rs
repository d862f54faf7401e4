//! Settings of `plimsoll sweep`: the grid, how long each point is measured, and the database behind it.
//!
//! [`SweepArgs`] is what a person types; [`Course`] is what follows from it on a machine with so many cores, every default settled.
//!
//! **Invariant:** a combination that cannot be measured is refused before anything is started.

use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::database::{self, Dispatch, Target};
use super::duration::{parse, parse_or_zero};
use super::layers::SettingsError;
use super::load::{Url, WeightedPath};
use super::pgenv;
use super::workers::{Accept, MOST_PROCESSES};

mod course;

pub use course::Course;

/// The most database connections of a point; PostgreSQL's own limits come long before.
const MOST_CONNECTIONS: i64 = 8192;
/// The most client connections.
const MOST_CLIENTS: i64 = 100_000;
/// The most rounds.
const MOST_ROUNDS: i64 = 1000;
/// The most points of a grid: past this a sweep takes days.
const MOST_POINTS: usize = 10_000;
/// The longest that one point may be measured in one round, in seconds.
const LONGEST_SECONDS: f64 = 3600.0;
/// The shortest, in seconds: below this a processor's time is hardly counted.
const SHORTEST_SECONDS: f64 = 0.05;
/// The longest delay or sleep: `serve` gives a request three seconds.
const LONGEST_WAIT: Duration = Duration::from_secs(1);
/// The most characters of a path.
const LONGEST_ROUTE: usize = 200;

/// Settings of `plimsoll sweep`.
#[derive(Debug, Clone, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct SweepArgs {
    /// A short sweep: fewer points and seconds, done in under three minutes; what else is given still counts
    #[arg(long)]
    pub quick: bool,
    /// Where everything is written: sweep.jsonl as it is measured, then sweep.json, sweep.csv and report.html [default: a new directory, named by the time]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Go on with the sweep that --out holds where it stopped; settings must be the same, but --rounds may be more
    #[arg(long, requires = "out")]
    pub resume: bool,
    /// Measure a server that runs elsewhere: then the grid is over --connections and --pipeline only
    #[arg(long, value_name = "URL", value_parser = Url::parse, conflicts_with_all = ["axis", "pool", "processes", "dispatch", "accept", "db_rtt", "db_work"])]
    pub url: Option<Url>,

    /// What grows along the grid
    #[arg(long, value_enum, default_value_t = Axis::Pool, help_heading = "Grid")]
    pub axis: Axis,
    /// Database connections over all workers [default: 1/2, 1, 2, 3, 4, 6 and 8 for each core]
    #[arg(long, value_name = "N,N…", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=MOST_CONNECTIONS), help_heading = "Grid")]
    pub pool: Vec<u32>,
    /// With --axis processes: processes, each with one worker and one database connection [default: 1/2, 1, 2, 3, 4 and 6 for each core]
    #[arg(long, value_name = "N,N…", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=MOST_PROCESSES), help_heading = "Grid")]
    pub processes: Vec<u32>,
    /// Ways of sharing database connections [default: pipelined,exclusive; with --axis processes: exclusive]
    #[arg(long, value_enum, value_delimiter = ',', help_heading = "Grid")]
    pub dispatch: Vec<Dispatch>,
    /// Ways of accepting connections
    #[arg(long, value_enum, value_delimiter = ',', default_value = "reuseport", help_heading = "Grid")]
    pub accept: Vec<Accept>,
    /// Requests that each client connection has outstanding
    #[arg(long, value_name = "N,N…", value_delimiter = ',', default_value = "1", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Grid")]
    pub pipeline: Vec<u16>,
    /// Client connections of the load [default: 64; with --url: 1, 2, 4 and so on to 256]
    #[arg(long, value_name = "N,N…", value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=MOST_CLIENTS), help_heading = "Grid")]
    pub connections: Vec<u32>,
    /// What is asked [default: /db; with --axis processes: /db,/json]
    #[arg(long, value_name = "PATH,PATH…", value_delimiter = ',', value_parser = read_route, help_heading = "Grid")]
    pub routes: Vec<String>,

    /// Rounds; each visits every point once [default: 5, quick: 3]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=MOST_ROUNDS), help_heading = "Time")]
    pub rounds: Option<u32>,
    /// For how many seconds a point is measured in each round [default: 5, quick: 1]
    #[arg(long, value_name = "SECONDS", value_parser = read_seconds, help_heading = "Time")]
    pub seconds: Option<f64>,
    /// For how long it is loaded before, uncounted [default: 1s, quick: 400ms]
    #[arg(long, alias = "warmup", value_name = "TIME", value_parser = parse_or_zero, help_heading = "Time")]
    pub warm_up: Option<Duration>,
    /// Threads of the load [default: half of the cores]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Time")]
    pub threads: Option<u16>,

    /// The database, as for serve; its tables must be there [default: a private PostgreSQL]
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true, help_heading = "Database")]
    pub database_url: Option<String>,
    /// Where the private PostgreSQL keeps its cluster [default: a temporary directory]
    #[arg(long, value_name = "DIR", env = "PLIMSOLL_DATA_DIR", help_heading = "Database")]
    pub data_dir: Option<PathBuf>,
    /// Where the private PostgreSQL's programs lie [default: found]
    #[arg(long, value_name = "DIR", env = "PLIMSOLL_PG_BIN", help_heading = "Database")]
    pub pg_bin: Option<PathBuf>,
    /// Put PostgreSQL behind this round-trip time: a process of its own passes every byte on after half of it
    #[arg(long, value_name = "TIME", value_parser = read_wait, help_heading = "Database")]
    pub db_rtt: Option<Duration>,
    /// Let PostgreSQL sleep for so long inside every query that reads
    #[arg(long, value_name = "TIME", value_parser = read_wait, help_heading = "Database")]
    pub db_work: Option<Duration>,
}

/// What `sweep --db-rtt` says to the process that delays; not for people.
#[derive(Debug, Clone, clap::Args)]
pub struct DelayArgs {
    /// Where PostgreSQL listens
    #[arg(long, value_name = "ADDR:PORT")]
    pub to: std::net::SocketAddr,
    /// The delay of each direction
    #[arg(long, value_name = "TIME", value_parser = parse_or_zero)]
    pub one_way: Duration,
}

/// What grows along the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// Database connections of one process with a worker for each core
    Pool,
    /// Processes with one worker and one database connection each
    Processes,
    /// Client connections to a server that runs elsewhere.
    #[value(skip)]
    Clients,
}

impl SweepArgs {
    /// The database: none for a server that runs elsewhere.
    pub fn target(&self) -> Result<Option<Target>, SettingsError> {
        if self.url.is_some() {
            return Ok(None);
        }
        let target = database::resolve_target(self.database_url.as_deref(), pgenv::read_environment()?);
        if target != Target::Private && (self.data_dir.is_some() || self.pg_bin.is_some()) {
            return Err(SettingsError::new(
                "--data-dir and --pg-bin belong to the private PostgreSQL, but a database is named by --database-url, \
                 DATABASE_URL, PGHOST or PGSERVICE. Take one of the two away",
            ));
        }
        Ok(Some(target))
    }

    /// Settles every default on a machine with so many cores.
    pub fn course(&self, cores: u32) -> Result<Course, SettingsError> {
        let axis = if self.url.is_some() { Axis::Clients } else { self.axis };
        self.check(axis)?;
        let sizes = match axis {
            Axis::Pool => or_else(&self.pool, || for_each_core(cores, &[0.5, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0])),
            Axis::Processes => {
                or_else(&self.processes, || for_each_core(cores, &[0.5, 1.0, 2.0, 3.0, 4.0, 6.0]))
            }
            Axis::Clients => or_else(&self.connections, || (0..=8).map(|power| 1 << power).collect()),
        };
        let (served, is_pool) = (axis != Axis::Clients, axis == Axis::Pool);
        let both =
            if is_pool { vec![Dispatch::Pipelined, Dispatch::Exclusive] } else { vec![Dispatch::Exclusive] };
        let usual_routes = if axis == Axis::Processes { vec!["/db", "/json"] } else { vec!["/db"] };
        let ways = or_else(&self.dispatch, || both);
        let course = Course {
            cores,
            axis,
            sizes: rising(sizes),
            dispatch: if served { words(&ways) } else { Vec::new() },
            accept: if served { words(&self.accept) } else { Vec::new() },
            pipeline: rising(self.pipeline.clone()),
            connections: if served { rising(or_else(&self.connections, || vec![64])) } else { Vec::new() },
            routes: or_else(&self.routes, || usual_routes.iter().map(|route| (*route).to_owned()).collect()),
            rounds: self.rounds.unwrap_or(if self.quick { 3 } else { 5 }),
            measured: Duration::from_secs_f64(self.seconds.unwrap_or(if self.quick { 1.0 } else { 5.0 })),
            warm_up: self.warm_up.unwrap_or(Duration::from_millis(if self.quick { 400 } else { 1000 })),
            threads: self.threads.unwrap_or_else(|| u16::try_from(cores / 2).unwrap_or(u16::MAX).max(1)),
            db_rtt: self.db_rtt,
            db_work: self.db_work,
        };
        match course.points() {
            points if points > MOST_POINTS => Err(SettingsError::new(format!(
                "the grid has {points} points, more than {MOST_POINTS}: name fewer values of --pool, --dispatch, --accept, --pipeline, \
                 --connections or --routes"
            ))),
            _ => Ok(course),
        }
    }

    fn check(&self, axis: Axis) -> Result<(), SettingsError> {
        let unused = match axis {
            Axis::Pool if !self.processes.is_empty() => Some(("--processes", "--axis processes")),
            Axis::Processes if !self.pool.is_empty() => Some(("--pool", "--axis pool")),
            _ => None,
        };
        if let Some((flag, with)) = unused {
            return Err(SettingsError::new(format!(
                "{flag} counts with {with} only: add that, or leave {flag} out"
            )));
        }
        let writes = self.routes.iter().find(|route| route.starts_with("/updates"));
        match (self.db_work, writes) {
            (Some(_), Some(route)) => Err(SettingsError::new(format!(
                "--db-work slows queries that read, and {route} writes: leave one of the two out"
            ))),
            _ => Ok(()),
        }
    }
}

/// The words by which flags name these values.
fn words<T: ValueEnum>(values: &[T]) -> Vec<String> {
    let name =
        |value: &T| value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
    let mut words: Vec<String> = values.iter().map(name).collect();
    words.dedup();
    words
}

fn or_else<T: Clone>(given: &[T], otherwise: impl FnOnce() -> Vec<T>) -> Vec<T> {
    if given.is_empty() { otherwise() } else { given.to_vec() }
}

fn rising<T: Ord>(mut values: Vec<T>) -> Vec<T> {
    values.sort_unstable();
    values.dedup();
    values
}

/// So many for each core, one at least.
fn for_each_core(cores: u32, factors: &[f64]) -> Vec<u32> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small product of positive numbers"
    )]
    let one = |factor: &f64| (f64::from(cores) * factor).floor().max(1.0) as u32;
    factors.iter().map(one).collect()
}

fn read_route(text: &str) -> Result<String, String> {
    let path = WeightedPath::parse(text)?;
    if path.path != text || text.len() > LONGEST_ROUTE {
        return Err(format!(
            "not a route: a path of {LONGEST_ROUTE} characters at most and without a weight, as in /db"
        ));
    }
    Ok(path.path)
}

fn read_seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (SHORTEST_SECONDS..=LONGEST_SECONDS).contains(&seconds) => Ok(seconds),
        _ => Err(format!(
            "must be a number of seconds from {SHORTEST_SECONDS} to {LONGEST_SECONDS}, as in 5 or 0.5"
        )),
    }
}

fn read_wait(text: &str) -> Result<Duration, String> {
    let wait = parse(text)?;
    if wait > LONGEST_WAIT {
        Err("longer than a second: requests would run into their deadline".into())
    } else {
        Ok(wait)
    }
}

const EXAMPLES: &str = "\
Starts servers itself, loads each, and names the smallest pool that serves as well as any.

  plimsoll sweep --quick
      a private PostgreSQL, /db, both ways of dispatch: under three minutes
  plimsoll sweep --db-rtt 1ms --dispatch exclusive,pipelined --out far
      the same with PostgreSQL a millisecond away; Ctrl-C keeps what was measured, and
      `--out far --resume` with the same settings goes on
  plimsoll sweep --axis processes
      processes with one connection each, /db beside /json
  plimsoll sweep --url http://10.0.0.5:8080 --connections 1,8,64,512
      a server that runs elsewhere

Exit codes: 0 done, 1 failed or interrupted, 2 usage, 69 database not reached, 71 a system limit, 78 settings.";

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    pub(super) struct Line {
        #[command(flatten)]
        pub(super) args: SweepArgs,
    }

    pub(super) fn course(words: &[&str], cores: u32) -> Result<Course, SettingsError> {
        let line = Line::parse_from([&["sweep"], words].concat());
        line.args.course(cores)
    }

    #[test]
    fn the_grid_follows_from_the_cores() {
        let course = course(&["--quick"], 2).unwrap();
        assert_eq!(course.sizes, [1, 2, 4, 6, 8, 12, 16]);
        assert_eq!(course.dispatch, ["pipelined", "exclusive"]);
        assert_eq!((course.points(), course.rounds, course.threads), (14, 3, 1));
        assert_eq!(
            super::SweepArgs::course(&Line::parse_from(["sweep"]).args, 1).unwrap().sizes,
            [1, 2, 3, 4, 6, 8]
        );
    }

    #[test]
    fn processes_go_to_six_for_each_core_and_ask_json_beside() {
        let course = course(&["--axis", "processes"], 2).unwrap();
        assert_eq!(course.sizes, [1, 2, 4, 6, 8, 12]);
        assert_eq!(
            (course.dispatch, course.routes),
            (vec!["exclusive".to_owned()], vec!["/db".to_owned(), "/json".into()])
        );
    }

    #[test]
    fn elsewhere_the_clients_are_the_axis() {
        let course = course(&["--url", "http://127.0.0.1:1", "--connections", "8,1,8"], 2).unwrap();
        assert_eq!((course.axis, course.sizes.as_slice(), course.points()), (Axis::Clients, &[1, 8][..], 2));
    }

    #[test]
    fn what_does_not_go_together_is_refused_with_the_way_out() {
        for (words, named) in [
            (&["--processes", "2"][..], "--axis processes"),
            (&["--axis", "processes", "--pool", "2"], "--axis pool"),
            (&["--db-work", "1ms", "--routes", "/db,/updates?queries=2"], "/updates"),
        ] {
            let why = course(words, 2).unwrap_err().to_string();
            assert!(why.contains(named), "{words:?}: {why}");
        }
        assert!(read_route("/db=3").is_err() && read_route("db").is_err());
        assert_eq!(read_route("/queries?queries=20").unwrap(), "/queries?queries=20");
        assert!(read_seconds("0").is_err() && read_seconds("nan").is_err() && read_wait("2s").is_err());
    }

    #[test]
    fn a_grid_without_end_is_refused() {
        let many: Vec<String> = (1..=1200).map(|size| size.to_string()).collect();
        let few = ["--dispatch", "pipelined,exclusive", "--routes", "/db", "--pipeline", "1,2,3,4,5"];
        let sizes = |count: usize| many[..count].join(",");
        let points =
            |count| course(&[&["--pool", &sizes(count)], few.as_slice()].concat(), 2).map(|all| all.points());
        assert_eq!(points(1000).unwrap(), 10_000);
        assert!(points(1001).is_err());
        let pipeline = "1,2,3,4,5,6,7,8,9";
        assert!(
            course(&["--pool", &many.join(","), "--pipeline", pipeline], 2)
                .unwrap_err()
                .to_string()
                .contains("10000")
        );
    }
}
