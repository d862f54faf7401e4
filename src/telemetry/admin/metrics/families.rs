//! The families of metrics.
//!
//! **Invariant:** a family is there whether or not anything was counted in it yet.

use std::collections::BTreeMap;
use std::fmt;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, MetricEncoder, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::servers;
use crate::telemetry::by::{By, Label};
use crate::telemetry::histogram::Distribution;
use crate::telemetry::labels::StatusClass;
use crate::telemetry::snapshot::{Pool, Totals, Worker};
use crate::telemetry::status::{Sample, Service};

/// The bounds of histograms are powers of two nanoseconds, where our own are exact: from 8 µs to 17 s.
const LE_BITS: std::ops::RangeInclusive<u32> = 13..=34;

/// Classes of status that routes answer with.
const USUAL: [StatusClass; 3] = [StatusClass::Successful, StatusClass::ClientError, StatusClass::ServerError];

/// All of them at one moment.
#[derive(Debug)]
pub(super) struct Families {
    pub(super) service: Service,
    pub(super) sample: Sample,
}

/// Labels of one series.
pub(super) type Labels = Vec<(&'static str, String)>;

/// What is said of a family.
pub(super) struct About {
    name: &'static str,
    help: &'static str,
    unit: Option<Unit>,
}

pub(super) const fn about(name: &'static str, help: &'static str) -> About {
    About { name, help, unit: None }
}

impl About {
    pub(super) fn seconds(self) -> Self {
        Self { unit: Some(Unit::Seconds), ..self }
    }

    fn bytes(self) -> Self {
        Self { unit: Some(Unit::Bytes), ..self }
    }
}

impl Collector for Families {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let totals = self.sample.totals();
        let to = &mut encoder;
        self.service(to)?;
        requests(to, &totals)?;
        self.connections(to, &totals)?;
        self.pool(to, &totals)?;
        servers::encode(to, &self.sample)?;
        self.workers(to, &totals)
    }
}

impl Families {
    fn service(&self, to: &mut DescriptorEncoder<'_>) -> fmt::Result {
        let version = vec![("version", self.service.version.clone())];
        gauges(to, &about("plimsoll_build_info", "The version that runs"), [(version, 1_u64)])?;
        let started = &about("plimsoll_start_time", "When the service was started, since 1970").seconds();
        gauge(to, started, self.service.started_unix)?;
        let processes = &self.sample.processes;
        gauge(to, &about("plimsoll_processes", "Processes that serve"), processes.len() as u64)?;
        let reached = processes.iter().any(|process| process.database_reached);
        gauge(
            to,
            &about("plimsoll_database_reached", "Whether any process reaches the database"),
            u64::from(reached),
        )?;
        let paused = processes.iter().any(|process| process.paused);
        let help = "Whether requests for the database are held back";
        gauge(to, &about("plimsoll_paused", help), u64::from(paused))?;
        let help = "Whether so little memory is left that no more connections are taken";
        let short = processes.iter().any(|process| process.memory_trouble.is_some());
        gauge(to, &about("plimsoll_memory_short", help), u64::from(short))?;
        let limit = processes.iter().filter_map(|process| process.memory_limit_bytes).min();
        let help = "The limit that the control group sets on memory; 0 where it sets none";
        gauge(to, &about("plimsoll_memory_limit", help).bytes(), limit.unwrap_or_default())?;
        let resident = processes.iter().filter_map(|process| process.resident_bytes).sum::<u64>();
        gauge(
            to,
            &about("plimsoll_resident_memory", "Memory that is resident, over all processes").bytes(),
            resident,
        )
    }

    fn connections(&self, to: &mut DescriptorEncoder<'_>, totals: &Totals) -> fmt::Result {
        let open: u64 = self.sample.workers().map(|worker| worker.state.open).sum();
        let parked: u64 = self.sample.workers().map(|worker| worker.state.parked).sum();
        let states = [("parked", parked), ("active", open.saturating_sub(parked))];
        let help = "Client connections, parked ones apart from those that hold buffers";
        gauges(
            to,
            &about("plimsoll_connections", help),
            states.map(|(state, count)| (vec![("state", state.to_owned())], count)),
        )?;
        counter(
            to,
            &about("plimsoll_connections_accepted", "Connections taken off a listener"),
            totals.accepted,
        )?;
        let help = "Attempts to accept that failed for want of descriptors or memory";
        counter(to, &about("plimsoll_accept_errors", help), totals.accept_errors)?;
        let closed = &about("plimsoll_connections_closed", "Client connections that ended, by why");
        counters(to, closed, series("reason", &totals.closed))?;
        counter(to, &about("plimsoll_received", "Bytes read from clients").bytes(), totals.bytes_in)?;
        counter(to, &about("plimsoll_sent", "Bytes written to clients").bytes(), totals.bytes_out)
    }

    fn pool(&self, to: &mut DescriptorEncoder<'_>, totals: &Totals) -> fmt::Result {
        let mut pool = Pool::default();
        self.sample.workers().for_each(|worker| pool.add(&worker.state.pool));
        let states = [("in_use", pool.in_use()), ("available", pool.available)];
        gauges(
            to,
            &about("plimsoll_pool_connections", "Database connections that are open"),
            states.map(|(state, count)| (vec![("state", state.to_owned())], u64::from(count))),
        )?;
        let help = "Database connections that there may be";
        gauge(to, &about("plimsoll_pool_max_size", help), u64::from(pool.max_size))?;
        let help = "Requests that wait for a database connection";
        gauge(to, &about("plimsoll_pool_waiting", help), u64::from(pool.waiting))?;
        let wait = &about("plimsoll_pool_wait", "A request's wait for a place on a lane, or for a checkout")
            .seconds();
        histogram(to, wait, &totals.pool_wait)?;
        let database = &about("plimsoll_database_duration", "From there to the last row").seconds();
        histogram(to, database, &totals.database_time)?;
        let failures = &about("plimsoll_database_failures", "Requests that PostgreSQL did not serve, by why");
        counters(to, failures, series("kind", &totals.database_failures))?;
        let help = "Database connections opened in place of lost ones";
        counter(to, &about("plimsoll_database_reconnects", help), totals.reconnects)
    }

    fn workers(&self, to: &mut DescriptorEncoder<'_>, totals: &Totals) -> fmt::Result {
        let cpu = &about("plimsoll_cpu", "Processor time of the workers' threads").seconds();
        counter(to, cpu, seconds(totals.cpu_ns))?;
        let help = "Time in which the workers' event loops did not wait, all together";
        counter(to, &about("plimsoll_busy", help).seconds(), seconds(totals.busy_ns))?;
        let mut workers: BTreeMap<(u32, usize), &Worker> = BTreeMap::new();
        for process in &self.sample.processes {
            // In a reload there are two processes of one index; the later one serves.
            let places = process.workers.iter().enumerate();
            workers.extend(places.map(|(place, worker)| ((process.index, place), worker)));
        }
        let each = |value: fn(&Worker) -> u64| {
            workers.iter().map(move |((process, worker), seen)| {
                let labels = vec![("process", process.to_string()), ("worker", worker.to_string())];
                (labels, value(seen))
            })
        };
        let open = &about("plimsoll_worker_connections", "Client connections of each worker");
        gauges(to, open, each(|worker| worker.state.open))?;
        let accepted = &about("plimsoll_worker_accepted", "Connections that came to each worker");
        counters(to, accepted, each(|worker| worker.totals.accepted))?;
        let busy =
            &about("plimsoll_worker_busy", "Time in which each worker's event loop did not wait").seconds();
        counters(to, busy, each(|worker| worker.totals.busy_ns).map(|(labels, ns)| (labels, seconds(ns))))
    }
}

fn requests(to: &mut DescriptorEncoder<'_>, totals: &Totals) -> fmt::Result {
    let answered = totals.answered.iter().flat_map(|(route, classes)| {
        let labels =
            move |class: &'static str| vec![("route", route.word().to_owned()), ("status", class.to_owned())];
        // What no route answers with is not there until one does.
        let shown = classes.iter().filter(|(class, count)| **count > 0 || USUAL.contains(class));
        shown.map(move |(class, count)| (labels(class.word()), *count))
    });
    counters(
        to,
        &about("plimsoll_http_requests", "Requests answered, by route and class of status"),
        answered,
    )?;
    let help = "Requests whose client left before they were answered";
    counter(to, &about("plimsoll_http_abandoned", help), totals.abandoned)?;
    let help = "Panics, each of which cost a request, a connection, or a worker's thread";
    counter(to, &about("plimsoll_panics", help), totals.panics)?;
    gauge(to, &about("plimsoll_http_in_flight", "Requests that are being handled"), totals.in_flight())?;
    let time =
        &about("plimsoll_request_duration", "From the read that brought a request to its answer").seconds();
    histogram(to, time, &totals.request_time)
}

fn series<L: Label>(label: &'static str, by: &By<L, u64>) -> impl Iterator<Item = (Labels, u64)> {
    by.iter().map(move |(word, count)| (vec![(label, word.word().to_owned())], *count))
}

#[expect(clippy::cast_precision_loss, reason = "2^53 ns are a hundred days, and past them microseconds do")]
fn seconds(ns: u64) -> f64 {
    ns as f64 / 1e9
}

fn begin<'s>(
    to: &'s mut DescriptorEncoder<'_>,
    about: &'s About,
    kind: MetricType,
) -> Result<MetricEncoder<'s>, fmt::Error> {
    to.encode_descriptor(about.name, about.help, about.unit.as_ref(), kind)
}

fn counter(
    to: &mut DescriptorEncoder<'_>,
    about: &About,
    value: impl EncodeCounterValue + Copy,
) -> fmt::Result {
    begin(to, about, MetricType::Counter)?.encode_counter::<NoLabelSet, _, u64>(&value, None)
}

pub(super) fn counters(
    to: &mut DescriptorEncoder<'_>,
    about: &About,
    series: impl IntoIterator<Item = (Labels, impl EncodeCounterValue)>,
) -> fmt::Result {
    let mut family = begin(to, about, MetricType::Counter)?;
    for (labels, value) in series {
        family.encode_family(&labels)?.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
    }
    Ok(())
}

pub(super) fn gauge(
    to: &mut DescriptorEncoder<'_>,
    about: &About,
    value: impl EncodeGaugeValue + Copy,
) -> fmt::Result {
    begin(to, about, MetricType::Gauge)?.encode_gauge(&value)
}

pub(super) fn gauges(
    to: &mut DescriptorEncoder<'_>,
    about: &About,
    series: impl IntoIterator<Item = (Labels, impl EncodeGaugeValue)>,
) -> fmt::Result {
    let mut family = begin(to, about, MetricType::Gauge)?;
    for (labels, value) in series {
        family.encode_family(&labels)?.encode_gauge(&value)?;
    }
    Ok(())
}

fn histogram(to: &mut DescriptorEncoder<'_>, about: &About, seen: &Distribution) -> fmt::Result {
    let mut below = 0;
    let mut buckets: Vec<(f64, u64)> = LE_BITS
        .map(|bits| {
            let so_far = seen.below_power(bits);
            let count = so_far - std::mem::replace(&mut below, so_far);
            (seconds(1 << bits), count)
        })
        .collect();
    buckets.push((f64::INFINITY, seen.count() - below));
    begin(to, about, MetricType::Histogram)?.encode_histogram::<NoLabelSet>(
        seen.sum().as_secs_f64(),
        seen.count(),
        &buckets,
        None,
    )
}
