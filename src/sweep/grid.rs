//! The points of a grid, and what each means for a server and a load.
//!
//! **Invariant:** pure; the order of the points is that of the settings, the axis last, so that a series stands together.

use serde::{Deserialize, Serialize};

use crate::config::sweep::{Axis, Course};

/// One point: a server with these settings under this load.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Point {
    /// What is asked and how, which points must share to be compared.
    pub(crate) workload: Workload,
    /// How the server is set up, but for the size.
    pub(crate) way: Way,
    /// Where the point lies on the axis.
    pub(crate) size: u32,
}

/// What is asked, and how.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Workload {
    /// Path and query.
    pub(crate) route: String,
    /// Client connections; none where they are the axis.
    pub(crate) connections: Option<u32>,
    /// Requests outstanding on each.
    pub(crate) pipeline: u16,
}

/// How a server shares and accepts connections; nothing is known of one that runs elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Way {
    /// `pipelined` or `exclusive`.
    pub(crate) dispatch: Option<String>,
    /// `reuseport`, `shared` or `handoff`.
    pub(crate) accept: Option<String>,
}

/// All points of a course.
pub(crate) fn points(course: &Course) -> Vec<Point> {
    let mut points = Vec::with_capacity(course.points());
    for workload in workloads(course) {
        for way in ways(course) {
            let point = |size: &u32| Point { workload: workload.clone(), way: way.clone(), size: *size };
            points.extend(course.sizes.iter().map(point));
        }
    }
    points
}

/// All workloads of a course, the first of which is what the sweep is about.
pub(crate) fn workloads(course: &Course) -> Vec<Workload> {
    let mut workloads = Vec::new();
    for route in &course.routes {
        for connections in or_none(&course.connections) {
            for pipeline in &course.pipeline {
                workloads.push(Workload { route: route.clone(), connections, pipeline: *pipeline });
            }
        }
    }
    workloads
}

fn ways(course: &Course) -> Vec<Way> {
    let mut ways = Vec::new();
    for dispatch in or_none(&course.dispatch) {
        for accept in or_none(&course.accept) {
            ways.push(Way { dispatch: dispatch.clone(), accept });
        }
    }
    ways
}

fn or_none<T: Clone>(values: &[T]) -> Vec<Option<T>> {
    if values.is_empty() { vec![None] } else { values.iter().cloned().map(Some).collect() }
}

impl Point {
    /// The flags of `serve` that make this point, on a machine with so many cores; none for a server that runs elsewhere.
    pub(crate) fn flags(&self, axis: Axis, cores: u32) -> Vec<String> {
        let mut flags = match axis {
            Axis::Clients => return Vec::new(),
            Axis::Pool if self.size < cores => vec![format!("--workers {}", self.size)],
            Axis::Pool => Vec::new(),
            Axis::Processes => vec![format!("--processes {}", self.size), "--workers 1".into()],
        };
        flags.push(format!("--pool-per-core {}", per_core(self.size, cores)));
        let named = [("dispatch", &self.way.dispatch), ("accept", &self.way.accept)];
        flags.extend(named.iter().filter_map(|(flag, word)| Some(format!("--{flag} {}", word.as_ref()?))));
        flags.iter().flat_map(|flag| flag.split(' ').map(str::to_owned)).collect()
    }

    /// Client connections of the load.
    pub(crate) fn connections(&self) -> u32 {
        self.workload.connections.unwrap_or(self.size)
    }
}

/// The multiplier that makes so many connections, as short as it may be written.
fn per_core(size: u32, cores: u32) -> String {
    let exact = f64::from(size) / f64::from(cores.max(1));
    let written = (0..=6).map(|digits| format!("{exact:.digits$}")).find(|written| {
        let made = written.parse::<f64>().map_or(0.0, |factor| (factor * f64::from(cores.max(1))).round());
        (made - f64::from(size)).abs() < 0.5 && written.parse::<f64>().is_ok_and(|factor| factor > 0.0)
    });
    written.unwrap_or_else(|| exact.to_string())
}

impl Way {
    /// Whether a request has a database connection to itself.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.dispatch.as_deref() == Some("exclusive")
    }
}

impl std::fmt::Display for Workload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.route)?;
        if let Some(connections) = self.connections {
            write!(f, " over {connections} connection{}", if connections == 1 { "" } else { "s" })?;
        }
        if self.pipeline > 1 { write!(f, ", {} requests deep", self.pipeline) } else { Ok(()) }
    }
}

impl std::fmt::Display for Way {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.dispatch, &self.accept) {
            (Some(dispatch), Some(accept)) if accept == "reuseport" => write!(f, "{dispatch}"),
            (Some(dispatch), Some(accept)) => write!(f, "{dispatch}, accept {accept}"),
            _ => write!(f, "as it runs"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::time::Duration;

    use super::*;

    /// A course over these sizes, on two cores.
    pub(crate) fn course(axis: Axis, sizes: &[u32]) -> Course {
        let word = |word: &str| vec![word.to_owned()];
        Course {
            cores: 2,
            axis,
            sizes: sizes.to_vec(),
            dispatch: ["pipelined", "exclusive"].map(str::to_owned).to_vec(),
            accept: word("reuseport"),
            pipeline: vec![1],
            connections: vec![64],
            routes: word("/db"),
            rounds: 3,
            measured: Duration::from_secs(1),
            warm_up: Duration::ZERO,
            threads: 1,
            db_rtt: None,
            db_work: None,
        }
    }

    #[test]
    fn a_series_stands_together_and_nothing_is_missing() {
        let course = Course { pipeline: vec![1, 4], ..course(Axis::Pool, &[1, 2, 8]) };
        let points = points(&course);
        assert_eq!(points.len(), course.points());
        assert_eq!(points[..3].iter().map(|point| point.size).collect::<Vec<_>>(), [1, 2, 8]);
        assert!(points[..3].iter().all(|point| point.way == points[0].way && point.workload.pipeline == 1));
        let mut unlike = points.clone();
        unlike.sort();
        unlike.dedup();
        assert_eq!(unlike.len(), 12);
    }

    #[test]
    fn flags_make_the_pool_that_the_point_names() {
        let point = |size| points(&course(Axis::Pool, &[size])).remove(0);
        assert_eq!(
            point(8).flags(Axis::Pool, 2).join(" "),
            "--pool-per-core 4 --dispatch pipelined --accept reuseport"
        );
        assert_eq!(
            point(1).flags(Axis::Pool, 2).join(" "),
            "--workers 1 --pool-per-core 0.5 --dispatch pipelined --accept reuseport",
            "each worker needs a connection"
        );
        let flags = point(12).flags(Axis::Processes, 2).join(" ");
        assert!(flags.starts_with("--processes 12 --workers 1 --pool-per-core 6 "), "{flags}");
        for (size, cores) in [(5, 3), (1, 64), (7, 48), (1000, 7), (1, 1000)] {
            let factor: f64 = per_core(size, cores).parse().unwrap();
            assert!(
                (factor * f64::from(cores)).round().to_string() == size.to_string(),
                "{size} on {cores}: {factor}"
            );
        }
    }

    #[test]
    fn a_server_elsewhere_has_clients_and_no_flags() {
        let course = Course {
            dispatch: vec![],
            accept: vec![],
            connections: vec![],
            ..course(Axis::Clients, &[1, 8])
        };
        let points = points(&course);
        assert_eq!(points.iter().map(Point::connections).collect::<Vec<_>>(), [1, 8]);
        assert!(points[0].flags(Axis::Clients, 2).is_empty());
        assert_eq!(
            (points[0].workload.to_string(), points[0].way.to_string()),
            ("/db".into(), "as it runs".into())
        );
    }
}
