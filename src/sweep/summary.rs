//! From readings to what a sweep says: a mean for each figure of each point, the knees, and where 3 to 6 for each core lies.
//!
//! **Invariant:** pure; every figure is the mean of the rounds that have it, and `None` where none has.

use serde::{Deserialize, Serialize};

use super::grid::{self, Point, Way, Workload};
use super::journal::Record;
use super::knee::{self, Candidate};
use super::statistics::{Estimate, estimate};
use crate::config::sweep::{Axis, Course};
use crate::tuning::littles_law::{self, Implied, Measured};

/// The rule of thumb, for each core.
const RULE: (u32, u32) = (3, 6);

/// What one visit of a point found. Times are in microseconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Reading {
    /// Answers with 2xx a second.
    pub(crate) rate: f64,
    /// Half of the answers took no longer, seen from the load.
    pub(crate) p50_us: Option<f64>,
    /// 99 in a hundred took no longer.
    pub(crate) p99_us: Option<f64>,
    /// Requests that were answered.
    pub(crate) requests: u64,
    /// Requests without an answer, or with one that is not 2xx.
    pub(crate) failed: u64,
    /// The server's processor time for each request, all its processes together.
    pub(crate) server_cpu_us: Option<f64>,
    /// PostgreSQL's, all its processes together; where it runs here.
    pub(crate) database_cpu_us: Option<f64>,
    /// That of the process which delays.
    pub(crate) delay_cpu_us: Option<f64>,
    /// The load's own.
    pub(crate) load_cpu_us: Option<f64>,
    /// The mean wait for a place on a database connection, as the server counts it.
    pub(crate) pool_wait_us: Option<f64>,
    /// 99 in a hundred waited no longer.
    pub(crate) pool_wait_p99_us: Option<f64>,
    /// The mean time from there to the last row.
    pub(crate) database_us: Option<f64>,
    /// The share of our database sessions that were at work, from 0 to 1, as PostgreSQL sees it.
    pub(crate) database_busy: Option<f64>,
}

/// The means of all rounds, as in [`Reading`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Figures {
    pub(crate) rate: Option<Estimate>,
    pub(crate) p50_us: Option<Estimate>,
    pub(crate) p99_us: Option<Estimate>,
    pub(crate) server_cpu_us: Option<Estimate>,
    pub(crate) database_cpu_us: Option<Estimate>,
    pub(crate) delay_cpu_us: Option<Estimate>,
    pub(crate) load_cpu_us: Option<Estimate>,
    pub(crate) pool_wait_us: Option<Estimate>,
    pub(crate) pool_wait_p99_us: Option<Estimate>,
    pub(crate) database_us: Option<Estimate>,
    pub(crate) database_busy: Option<Estimate>,
}

/// One point.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Summary {
    /// Where.
    pub(crate) point: Point,
    /// How often it was visited.
    pub(crate) rounds: usize,
    /// Requests answered, and failed, over all rounds.
    pub(crate) requests: u64,
    pub(crate) failed: u64,
    /// The means.
    pub(crate) figures: Figures,
    /// What Little's law makes of the server's processor time and the wait on PostgreSQL.
    pub(crate) implied: Option<Implied>,
}

/// Points that differ along the axis only.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Series {
    /// What it was asked.
    pub(crate) workload: Workload,
    /// How the server was set up.
    pub(crate) way: Way,
    /// By rising size.
    pub(crate) points: Vec<Summary>,
    /// The index of its knee.
    pub(crate) knee: Option<usize>,
    /// The index of the highest throughput among the points that count.
    pub(crate) best: Option<usize>,
    /// How the sizes within 3 to 6 for each core that count did against the best: the least and the most share of its throughput.
    pub(crate) rule_share: Option<(f64, f64)>,
    /// The indexes of the points that count for none of these three, since too many requests failed there.
    pub(crate) left_out: Vec<usize>,
    /// Whether the intervals of the knee and of the best overlap by more than the two differ.
    pub(crate) uncertain: bool,
}

impl Series {
    fn of(summary: Summary) -> Self {
        let (workload, way) = (summary.point.workload.clone(), summary.point.way.clone());
        let (knee, best, rule_share) = (None, None, None);
        Self {
            workload,
            way,
            points: vec![summary],
            knee,
            best,
            rule_share,
            left_out: Vec::new(),
            uncertain: false,
        }
    }

    /// Finds what its points say together; one rule says for all of it which of them count.
    fn conclude(&mut self, rule: Option<(u32, u32)>) {
        let candidates = candidates(&self.points);
        let counting = knee::counting(&candidates);
        self.knee = knee::find(&candidates);
        self.best = knee::best(&candidates);
        self.rule_share = rule.zip(self.best).and_then(|((from, to), best)| {
            let within = counting.iter().filter(|at| (from..=to).contains(&candidates[**at].size));
            let shares: Vec<f64> = within.map(|at| candidates[*at].rate / candidates[best].rate).collect();
            let least = shares.iter().copied().reduce(f64::min)?;
            Some((least, shares.iter().copied().fold(least, f64::max)))
        });
        let is_left_out = |at: &usize| candidates[*at].fails && !counting.contains(at);
        self.left_out = (0..candidates.len()).filter(is_left_out).collect();
        self.uncertain = is_uncertain(&self.points, self.knee, self.best);
    }
}

/// The knee over all series of a workload.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Knee {
    /// Where.
    pub(crate) summary: Summary,
    /// Whether its interval and that of the workload's best point overlap by more than the two differ.
    pub(crate) uncertain: bool,
    /// The settings that make it; none for a server that runs elsewhere.
    pub(crate) settings: Option<String>,
}

/// All of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Findings {
    /// What grows along the axis.
    pub(crate) axis: Axis,
    /// Cores that could be used.
    pub(crate) cores: u32,
    /// The sizes that are 3 and 6 for each core; none where the axis is another.
    pub(crate) rule: Option<(u32, u32)>,
    /// Series, a workload's together.
    pub(crate) series: Vec<Series>,
    /// One for each workload, in order; the first is what the sweep is about.
    pub(crate) knees: Vec<Knee>,
}

/// Puts everything together.
pub(crate) fn summarise(course: &Course, records: &[Record]) -> Findings {
    let rule = (course.axis != Axis::Clients).then_some((RULE.0 * course.cores, RULE.1 * course.cores));
    let summaries =
        grid::points(course).into_iter().filter_map(|point| summarise_point(course, point, records));
    let mut series: Vec<Series> = Vec::new();
    for summary in summaries {
        let Point { workload, way, .. } = &summary.point;
        let known = series.last_mut().filter(|series| series.workload == *workload && series.way == *way);
        if let Some(known) = known {
            known.points.push(summary);
        } else {
            series.push(Series::of(summary));
        }
    }
    for series in &mut series {
        series.conclude(rule);
    }
    let knees =
        grid::workloads(course).iter().filter_map(|workload| knee_of(course, workload, &series)).collect();
    Findings { axis: course.axis, cores: course.cores, rule, series, knees }
}

fn summarise_point(course: &Course, point: Point, records: &[Record]) -> Option<Summary> {
    let readings: Vec<&Reading> =
        records.iter().filter(|record| record.point == point).map(|record| &record.reading).collect();
    if readings.is_empty() {
        return None;
    }
    let mean = |pick: fn(&Reading) -> Option<f64>| {
        estimate(&readings.iter().filter_map(|reading| pick(reading)).collect::<Vec<_>>())
    };
    let figures = Figures {
        rate: mean(|reading| Some(reading.rate)),
        p50_us: mean(|reading| reading.p50_us),
        p99_us: mean(|reading| reading.p99_us),
        server_cpu_us: mean(|reading| reading.server_cpu_us),
        database_cpu_us: mean(|reading| reading.database_cpu_us),
        delay_cpu_us: mean(|reading| reading.delay_cpu_us),
        load_cpu_us: mean(|reading| reading.load_cpu_us),
        pool_wait_us: mean(|reading| reading.pool_wait_us),
        pool_wait_p99_us: mean(|reading| reading.pool_wait_p99_us),
        database_us: mean(|reading| reading.database_us),
        database_busy: mean(|reading| reading.database_busy),
    };
    Some(Summary {
        rounds: readings.len(),
        requests: readings.iter().map(|reading| reading.requests).sum(),
        failed: readings.iter().map(|reading| reading.failed).sum(),
        implied: imply(&figures, course.cores),
        point,
        figures,
    })
}

fn imply(figures: &Figures, cores: u32) -> Option<Implied> {
    let us = |estimate: Option<Estimate>| std::time::Duration::try_from_secs_f64(estimate?.mean / 1e6).ok();
    let (work, wait) = (us(figures.server_cpu_us)?, us(figures.database_us)?);
    littles_law::imply(Measured { rate: figures.rate?.mean, work, wait, cores })
}

impl Summary {
    /// Whether failures speak against it.
    pub(crate) fn fails_too_often(&self) -> bool {
        knee::fails_too_often(self.failed, self.requests)
    }
}

fn rate(summary: &Summary) -> f64 {
    summary.figures.rate.map_or(0.0, |rate| rate.mean)
}

fn candidates(points: &[Summary]) -> Vec<Candidate> {
    let candidate = |summary: &Summary| Candidate {
        size: summary.point.size,
        rate: rate(summary),
        p99_us: summary.figures.p99_us.map(|p99| p99.mean),
        fails: summary.fails_too_often(),
    };
    points.iter().map(candidate).collect()
}

/// Of a knee that is the best itself there is no doubt of this kind.
fn is_uncertain(points: &[Summary], knee: Option<usize>, best: Option<usize>) -> bool {
    let estimate = |at: usize| points[at].figures.rate;
    let pair = knee.zip(best).filter(|(knee, best)| knee != best);
    pair.and_then(|(knee, best)| Some((estimate(knee)?, estimate(best)?)))
        .is_some_and(|(knee, best)| knee.is_in_doubt_beside(&best))
}

fn knee_of(course: &Course, workload: &Workload, series: &[Series]) -> Option<Knee> {
    let points: Vec<Summary> = series
        .iter()
        .filter(|series| series.workload == *workload)
        .flat_map(|series| series.points.clone())
        .collect();
    let candidates = candidates(&points);
    let knee = knee::find(&candidates)?;
    let uncertain = is_uncertain(&points, Some(knee), knee::best(&candidates));
    let summary = points.get(knee)?.clone();
    let flags = summary.point.flags(course.axis, course.cores);
    let settings = (!flags.is_empty()).then(|| format!("plimsoll serve {}", flags.join(" ")));
    Some(Knee { summary, uncertain, settings })
}

impl Axis {
    /// What a size counts, in the plural.
    pub(crate) fn noun(self) -> &'static str {
        match self {
            Self::Pool => "database connections",
            Self::Processes => "processes",
            Self::Clients => "client connections",
        }
    }

    /// A size with what it counts.
    pub(crate) fn count(self, size: u32) -> String {
        match (self, size) {
            (Self::Pool, 1) => "1 database connection".into(),
            (Self::Processes, 1) => "1 process".into(),
            (Self::Clients, 1) => "1 client connection".into(),
            _ => format!("{size} {}", self.noun()),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::sweep::grid::tests::course;

    /// A sweep over pools in which the exclusive way needs eight connections and the pipelined one two.
    pub(crate) fn example() -> (Course, Vec<Record>) {
        let course = Course { rounds: 2, ..course(Axis::Pool, &[1, 2, 4, 8, 16]) };
        let mut records = Vec::new();
        for round in 0..course.rounds {
            for point in grid::points(&course) {
                let enough = if point.way.dispatch.as_deref() == Some("exclusive") { 8.0 } else { 2.0 };
                let rate = 10_000.0 * (f64::from(point.size) / enough).min(1.0) + f64::from(round);
                let reading = Reading {
                    rate,
                    p50_us: Some(6.4e7 / rate),
                    p99_us: Some(8.0e7 / rate),
                    requests: 1000,
                    server_cpu_us: Some(20.0),
                    database_us: Some(1_000.0),
                    ..Reading::default()
                };
                records.push(Record { round, point, reading });
            }
        }
        (course, records)
    }

    #[test]
    fn knees_are_named_for_each_series_and_for_the_workload() {
        let (course, records) = example();
        let findings = summarise(&course, &records);
        let knees: Vec<u32> =
            findings.series.iter().map(|series| series.points[series.knee.unwrap()].point.size).collect();
        assert_eq!(knees, [2, 8]);
        assert_eq!(findings.knees.len(), 1);
        let knee = &findings.knees[0];
        assert_eq!(knee.summary.point.size, 2);
        assert_eq!(
            knee.settings.as_deref(),
            Some("plimsoll serve --pool-per-core 1 --dispatch pipelined --accept reuseport")
        );
    }

    #[test]
    fn the_rule_is_held_against_the_best() {
        let (course, records) = example();
        let findings = summarise(&course, &records);
        assert_eq!(findings.rule, Some((6, 12)));
        let (least, most) = findings.series[1].rule_share.unwrap();
        assert!(least > 0.99 && most <= 1.0, "eight is the only size within");
        let few: Vec<Record> = records.into_iter().filter(|record| record.point.size <= 4).collect();
        let findings = summarise(&course, &few);
        assert_eq!(findings.series[1].rule_share, None, "no size within was measured");
    }

    #[test]
    fn knee_best_and_rule_leave_out_the_same_points() {
        let (course, mut records) = example();
        let fail = |records: &mut Vec<Record>, size: u32, failed: u64| {
            let of_size = records.iter_mut().filter(|record| record.point.size == size);
            of_size.for_each(|record| record.reading.failed = failed);
        };
        fail(&mut records, 8, 1);
        let series = &summarise(&course, &records).series[1];
        assert_eq!(
            (series.knee, series.best, &series.left_out[..]),
            (Some(3), Some(3), &[][..]),
            "one in a thousand"
        );
        fail(&mut records, 8, 2);
        let series = &summarise(&course, &records).series[1];
        assert_eq!((series.knee, series.best, &series.left_out[..]), (Some(4), Some(4), &[3][..]));
        assert_eq!(series.rule_share, None, "eight was the only size within");
    }

    #[test]
    fn a_knee_that_rounds_do_not_tell_from_the_best_is_uncertain() {
        let (course, mut records) = example();
        let spread = |record: &mut Record| {
            let size = f64::from(record.point.size);
            record.reading.rate = 10_000.0 + size + if record.round == 0 { 0.0 } else { 500.0 };
            record.reading.p99_us = Some(100.0);
        };
        assert!(
            summarise(&course, &records).series.iter().all(|series| !series.uncertain),
            "each is the best"
        );
        records.iter_mut().for_each(spread);
        let findings = summarise(&course, &records);
        assert!(findings.series[0].uncertain && findings.knees[0].uncertain);
        assert_eq!((findings.series[0].knee, findings.series[0].best), (Some(0), Some(4)));
    }

    #[test]
    fn what_littles_law_implies_is_worked_out_where_work_and_wait_are_known() {
        let (course, records) = example();
        let implied = summarise(&course, &records).series[0].points[0].implied.unwrap();
        assert!((implied.multiplier - 51.0).abs() < 1e-9 && implied.connections == 102, "{implied:?}");
        let summary = summarise(&course, &records).series[0].points[0].clone();
        assert_eq!((summary.rounds, summary.requests, summary.failed), (2, 2000, 0));
        assert!(summary.figures.rate.unwrap().half_width.is_some() && summary.figures.pool_wait_us.is_none());
    }

    #[test]
    fn an_unfinished_sweep_says_what_it_can() {
        let (course, records) = example();
        let findings = summarise(&course, &records[..3]);
        assert_eq!(findings.series.len(), 1);
        assert_eq!(summarise(&course, &[]).knees, []);
    }
}
