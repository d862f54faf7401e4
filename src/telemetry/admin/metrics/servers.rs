//! The families of the database's servers, which have series where reads go to others than writes.
//!
//! **Invariant:** a label holds a server's address and never who logs in there; there are series only for servers that are known now, of
//! which the database keeps the number small, and none for what is not known of one.

use std::fmt;

use prometheus_client::encoding::DescriptorEncoder;

use super::families::{Labels, about, counters, gauge, gauges};
use crate::telemetry::hosts::{Host, Role, Side};
use crate::telemetry::snapshot::Pool;
use crate::telemetry::status::Sample;

/// All of them.
pub(super) fn encode(to: &mut DescriptorEncoder<'_>, sample: &Sample) -> fmt::Result {
    pool(to, sample)?;
    let hosts = sample.hosts();
    let each = |value: fn(&Host) -> u64| hosts.iter().map(move |host| (labels(host), value(host)));
    let help = "Whether a server is in use; for reads, whether it is neither away nor too far behind";
    gauges(to, &about("plimsoll_database_host_in_use", help), each(|host| host.in_use.into()))?;
    let open = &about("plimsoll_database_host_connections", "Database connections that are open to a server");
    gauges(to, open, each(|host| host.open.into()))?;
    let help = "What a server says it is: 1 for its role, and 0 for both where it never said";
    let roles = hosts.iter().flat_map(|host| {
        [Role::Primary, Role::Standby].map(|role| {
            let mut labels = labels(host);
            labels.push(("role", role.word().to_owned()));
            (labels, u64::from(host.role == Some(role)))
        })
    });
    gauges(to, &about("plimsoll_database_host_role", help), roles)?;
    let reads = || hosts.iter().filter(|host| host.side == Side::Reads);
    let name = |host: &Host| vec![("host", host.at.clone())];
    let lag =
        &about("plimsoll_replica_lag", "How far a server that is read from is behind the primary").seconds();
    gauges(to, lag, reads().filter_map(|host| Some((name(host), seconds(host.lag_ms?)))))?;
    let help = "Reads that were sent to a server, those that were asked again at another included";
    let sent = reads().map(|host| (name(host), host.served.unwrap_or_default()));
    counters(to, &about("plimsoll_replica_reads", help), sent)?;
    let refused = sample.processes.iter().any(|process| process.reads_trouble.is_some());
    let help = "Whether any process refuses reads: no replica is in use, and --reads replica-only";
    gauge(to, &about("plimsoll_reads_refused", help), u64::from(refused))
}

/// The database connections to replicas, which are none of the pool's.
fn pool(to: &mut DescriptorEncoder<'_>, sample: &Sample) -> fmt::Result {
    let mut pool = Pool::default();
    sample.workers().filter_map(|worker| worker.state.reads.as_ref()).for_each(|reads| pool.add(reads));
    let states = [("in_use", pool.in_use()), ("available", pool.available)];
    let states = states.map(|(state, count)| (vec![("state", state.to_owned())], u64::from(count)));
    gauges(
        to,
        &about("plimsoll_read_pool_connections", "Database connections to replicas that are open"),
        states,
    )?;
    let help = "Database connections to replicas that there may be";
    gauge(to, &about("plimsoll_read_pool_max_size", help), u64::from(pool.max_size))?;
    let help = "Reads that wait for a database connection to a replica";
    gauge(to, &about("plimsoll_read_pool_waiting", help), u64::from(pool.waiting))
}

fn labels(host: &Host) -> Labels {
    vec![("side", host.side.word().to_owned()), ("host", host.at.clone())]
}

#[expect(clippy::cast_precision_loss, reason = "2^53 ms are longer than any server lags")]
fn seconds(ms: u64) -> f64 {
    ms as f64 / 1e3
}
