//! What a sweep measures, all defaults settled: what the schedule, the journal and the report go by.
//!
//! **Invariant:** the command that it gives measures the same again.

use std::time::Duration;

use super::Axis;
use crate::config::duration::display;

/// What is measured, all defaults settled.
#[derive(Debug, Clone, PartialEq)]
pub struct Course {
    /// Cores that may be used.
    pub cores: u32,
    /// What grows.
    pub axis: Axis,
    /// Its values, rising.
    pub sizes: Vec<u32>,
    /// `pipelined`, `exclusive`; empty for a server elsewhere.
    pub dispatch: Vec<String>,
    /// `reuseport`, `shared`, `handoff`; empty for a server elsewhere.
    pub accept: Vec<String>,
    /// Requests outstanding on each client connection.
    pub pipeline: Vec<u16>,
    /// Client connections; empty where they are the axis.
    pub connections: Vec<u32>,
    /// Paths.
    pub routes: Vec<String>,
    /// How often each point is visited.
    pub rounds: u32,
    /// For how long each time.
    pub measured: Duration,
    /// And before that, uncounted.
    pub warm_up: Duration,
    /// Threads of the load.
    pub threads: u16,
    /// The delay in front of PostgreSQL, there and back.
    pub db_rtt: Option<Duration>,
    /// The sleep inside each query.
    pub db_work: Option<Duration>,
}

impl Course {
    /// Points of the grid.
    pub fn points(&self) -> usize {
        let ways = self.dispatch.len().max(1) * self.accept.len().max(1);
        let clients = self.connections.len().max(1) * self.pipeline.len();
        self.sizes.len().saturating_mul(ways * clients).saturating_mul(self.routes.len())
    }

    /// The command that measures the same, but for the database.
    pub fn command(&self) -> String {
        let mut words = vec!["plimsoll sweep".to_owned()];
        let mut add = |flag: &str, value: String| {
            if !value.is_empty() {
                words.push(format!("--{flag} {value}"));
            }
        };
        match self.axis {
            Axis::Pool => add("pool", list(&self.sizes)),
            Axis::Processes => add("axis", format!("processes --processes {}", list(&self.sizes))),
            Axis::Clients => add("connections", list(&self.sizes)),
        }
        add("dispatch", self.dispatch.join(","));
        add("accept", self.accept.join(","));
        add("pipeline", list(&self.pipeline));
        add("connections", list(&self.connections));
        add("routes", self.routes.join(","));
        add("rounds", self.rounds.to_string());
        add("seconds", self.measured.as_secs_f64().to_string());
        add("warm-up", format!("{:?}", self.warm_up));
        add("threads", self.threads.to_string());
        add("db-rtt", self.db_rtt.map_or_else(String::new, |rtt| format!("{rtt:?}")));
        add("db-work", self.db_work.map_or_else(String::new, |work| format!("{work:?}")));
        words.join(" ")
    }

    /// All that must be the same for two sweeps to be one, by the flags' names.
    pub fn same(&self) -> Vec<(&'static str, String)> {
        let wait = |wait: Option<Duration>| wait.map_or_else(|| "none".into(), |wait| format!("{wait:?}"));
        vec![
            ("cores", self.cores.to_string()),
            ("axis", format!("{:?}", self.axis).to_lowercase()),
            ("sizes", list(&self.sizes)),
            ("dispatch", self.dispatch.join(",")),
            ("accept", self.accept.join(",")),
            ("pipeline", list(&self.pipeline)),
            ("connections", list(&self.connections)),
            ("routes", self.routes.join(",")),
            ("seconds", format!("{}", self.measured.as_secs_f64())),
            ("warm-up", display(self.warm_up)),
            ("threads", self.threads.to_string()),
            ("db-rtt", wait(self.db_rtt)),
            ("db-work", wait(self.db_work)),
        ]
    }
}

fn list<T: ToString>(values: &[T]) -> String {
    values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::super::tests::course;

    #[test]
    fn the_command_that_is_written_down_measures_the_same() {
        for words in [
            &["--quick", "--db-rtt", "500us", "--warmup", "1.5s"][..],
            &["--axis", "processes", "--db-work", "2ms", "--pipeline", "4,1"],
            &["--accept", "shared,handoff", "--connections", "8,64", "--seconds", "0.25"],
        ] {
            let first = course(words, 2).unwrap();
            let command = first.command();
            let again: Vec<&str> = command.split(' ').skip(2).collect();
            assert_eq!(course(&again, 2).unwrap(), first, "{command}");
        }
    }
}
