//! Tables of cases: whole machines, and what is said of them.
//!
//! **Invariant:** the machines are written out here, so that the cases hold wherever they run.

use super::*;
use crate::kernel::facts::{Cores, Database, Descriptors, Memory};

const KIB: u64 = 1024;

/// A machine as Linux sets it up: what grows with memory is given, in KiB and in the kernel's units.
fn machine(memory_kib: u64, file_max: u64, watches: u64, tcp_mem: [u64; 3], hard: u64) -> Facts {
    let sysctls = [
        (Sysctl::NrOpen, vec![1 << 20]),
        (Sysctl::FileMax, vec![file_max]),
        (Sysctl::EpollWatches, vec![watches]),
        (Sysctl::PortRange, vec![32_768, 60_999]),
        (Sysctl::TcpMem, tcp_mem.to_vec()),
        (Sysctl::TcpRmem, vec![4096, 131_072, 33_554_432]),
        (Sysctl::TcpWmem, vec![4096, 16_384, 4_194_304]),
        (Sysctl::Somaxconn, vec![4096]),
        (Sysctl::SynBacklog, vec![2048]),
        (Sysctl::NetdevBacklog, vec![1000]),
        (Sysctl::TimeWaitBuckets, vec![131_072]),
        (Sysctl::Orphans, vec![131_072]),
        (Sysctl::TimeWaitReuse, vec![2]),
        (Sysctl::MigrateRequests, vec![0]),
    ];
    Facts {
        descriptors: Some(Descriptors { soft: 1024, hard }),
        sysctls: sysctls.into(),
        open_files: Some(450),
        tracked: None,
        page_bytes: 4096,
        memory: Some(Memory {
            total_bytes: memory_kib * KIB,
            available_bytes: memory_kib * KIB - (300 << 20),
        }),
        cgroup_memory: None,
        cores: Cores { usable: 2, quota: None },
        database: Database::NotNamed,
    }
}

fn with_24_gb() -> Facts {
    machine(24_684_084, 2_466_170, 5_491_511, [287_898, 383_867, 575_796], 20_000)
}

fn with_16_gb() -> Facts {
    machine(16_300_000, 1_628_000, 3_620_000, [190_000, 253_000, 380_000], 1 << 20)
}

fn ask(connections: u64, clients: Clients) -> Question {
    Question {
        connections,
        clients,
        processes: None,
        sources: None,
        ports: 1,
        reserve: Reserve { process: 24, worker: 20 },
        load: None,
    }
}

/// With a database that has so many connections free, and a service that wants eight, or one for each process.
fn with_database(free: u64, mut facts: Facts) -> Facts {
    let wanted = (1..=processes::MOST_PROCESSES + 1).map(|processes| processes.max(8)).collect();
    facts.database = Database::Room { limit: 100, free, wanted };
    facts
}

fn finding(verdict: &Verdict, limit: &str) -> Finding {
    let found = verdict.findings.iter().find(|finding| finding.limit == limit);
    found.unwrap_or_else(|| panic!("nothing is said of {limit}")).clone()
}

fn stops(verdict: &Verdict) -> Vec<&'static str> {
    verdict.with(State::Stops).map(|finding| finding.limit).collect()
}

#[test]
fn two_machines_hold_what_their_memory_and_files_allow() {
    use Clients::{Elsewhere, Here};
    for (name, facts, connections, clients, processes, stopped) in [
        ("24 GB", with_24_gb(), 10_000, Elsewhere, 1, &[][..]),
        ("24 GB", with_24_gb(), 1_000_000, Elsewhere, 52, &[]),
        ("24 GB", with_24_gb(), 1_000_000, Here, 52, &[]),
        // Both ends of 1.2 million are 2.4 million files and those beside them, the limit is 2 466 170.
        ("24 GB", with_24_gb(), 1_200_000, Here, 63, &[]),
        ("24 GB", with_24_gb(), 1_300_000, Here, 68, &["fs.file-max"]),
        ("24 GB", with_24_gb(), 4_000_000, Elsewhere, 208, &["fs.file-max", "memory"]),
        ("16 GB", with_16_gb(), 10_000, Elsewhere, 1, &[]),
        ("16 GB", with_16_gb(), 1_000_000, Elsewhere, 1, &[]),
        ("16 GB", with_16_gb(), 1_000_000, Here, 1, &["fs.file-max"]),
        ("16 GB", with_16_gb(), 1_400_000, Here, 2, &["fs.file-max", "memory"]),
    ] {
        let verdict = judge(&facts, &ask(connections, clients));
        assert_eq!(stops(&verdict), stopped, "{name}, {connections} {clients:?}");
        assert_eq!(verdict.fits(), stopped.is_empty());
        assert_eq!(verdict.processes.count, processes, "{name}, {connections} {clients:?}");
    }
}

#[test]
fn as_few_processes_as_hold_an_uneven_spread_and_their_reserve() {
    for (connections, limit, cores, processes) in [
        (10_000, 20_000, 2, 1),
        (19_936, 20_000, 2, 1),
        (19_937, 20_000, 2, 2),
        (19_936, 20_000, 3, 2),
        (1_000_000, 20_000, 2, 52),
        (1_200_000, 20_000, 2, 63),
        // Workers are divided over the processes, and what is kept back with them.
        (1_000_000, 1024, 2, processes::MOST_PROCESSES + 1),
        (5_000, 1024, 64, 8),
        (5_000, 1024, 1, 6),
        (1_000_000, 1 << 20, 2, 1),
        (5, 44, 1, processes::MOST_PROCESSES + 1),
    ] {
        let mut facts = machine(24_684_084, 1 << 40, 1 << 40, [1, 1, 1], limit);
        facts.cores.usable = cores;
        let spread = |processes| {
            Processes::of(&facts, &Question { processes, ..ask(connections, Clients::Elsewhere) })
        };
        let found = spread(None);
        assert_eq!(found.count, processes, "{connections} under {limit} with {cores} cores");
        if (2..=processes::MOST_PROCESSES).contains(&processes) {
            assert!(found.descriptors_each <= limit);
            assert!(spread(Some(processes - 1)).descriptors_each > limit, "one less would do");
        }
    }
}

#[test]
fn the_ceiling_is_the_last_number_that_fits_and_names_its_limit() {
    use Clients::{Elsewhere, Here};
    let tracked = |mut facts: Facts| {
        facts.sysctls.insert(Sysctl::ConntrackMax, vec![262_144]);
        facts.tracked = Some(44);
        facts
    };
    let grouped = |mut facts: Facts| {
        facts.cgroup_memory = Some(Memory { total_bytes: 2 << 30, available_bytes: 1 << 30 });
        facts
    };
    let many_files = |mut facts: Facts| {
        facts.sysctls.insert(Sysctl::FileMax, vec![u64::MAX]);
        facts
    };
    for (facts, clients, stopped_by) in [
        (with_24_gb(), Elsewhere, "fs.file-max"),
        (with_24_gb(), Here, "fs.file-max"),
        (with_16_gb(), Here, "fs.file-max"),
        (many_files(with_16_gb()), Here, "memory"),
        (many_files(with_24_gb()), Elsewhere, "memory"),
        (tracked(with_24_gb()), Elsewhere, "net.netfilter.nf_conntrack_max"),
        (grouped(with_24_gb()), Elsewhere, "memory of the control group"),
        (with_database(40, with_24_gb()), Elsewhere, "max_connections (PostgreSQL)"),
        (with_database(8, with_24_gb()), Here, "max_connections (PostgreSQL)"),
        (machine(24_684_084, 1 << 40, 1 << 40, [1, 1, 1], 128), Elsewhere, "RLIMIT_NOFILE (hard)"),
    ] {
        let ceiling = judge(&facts, &ask(1000, clients)).ceiling.expect("a ceiling");
        assert_eq!(ceiling.stopped_by, stopped_by, "{clients:?}");
        let verdict = |connections| judge(&facts, &ask(connections, clients));
        assert!(verdict(ceiling.connections).fits(), "{ceiling:?}");
        assert!(stops(&verdict(ceiling.connections + 1)).contains(&stopped_by), "{ceiling:?}");
    }
    let ceiling = judge(&tracked(with_24_gb()), &ask(1000, Elsewhere)).ceiling;
    assert_eq!(ceiling.map(|ceiling| ceiling.connections), Some(262_100));
}

#[test]
fn what_is_low_is_raised_to_the_need_and_what_is_high_stays() {
    let verdict = judge(&with_24_gb(), &ask(1_000_000, Clients::Here));
    let changes: Vec<(&str, &[u64])> = verdict.changes().map(|(key, values)| (key.key(), values)).collect();
    assert_eq!(
        changes,
        [
            ("net.ipv4.tcp_mem", &[1_000_000, 1_500_000, 2_000_000][..]),
            ("net.core.somaxconn", &[15_625]),
            ("net.ipv4.tcp_max_syn_backlog", &[15_625]),
            ("net.core.netdev_max_backlog", &[15_625]),
            ("net.ipv4.tcp_max_tw_buckets", &[1_000_000]),
            ("net.ipv4.tcp_migrate_req", &[1]),
        ]
    );
    for (connections, clients) in [(1, Clients::Elsewhere), (50_000_000, Clients::Here)] {
        let facts = with_16_gb();
        for (_, sysctl, values) in judge(&facts, &ask(connections, clients)).settings() {
            let is = &facts.sysctls[&sysctl];
            assert_eq!(is.len(), values.len(), "{sysctl:?}");
            assert!(
                is.iter().zip(values).all(|(is, value)| value >= is),
                "{sysctl:?} is lowered to {values:?}"
            );
        }
    }
}

#[test]
fn a_setting_that_the_kernel_does_not_have_is_never_suggested() {
    let mut facts = with_24_gb();
    facts.sysctls.clear();
    let verdict = judge(&facts, &ask(50_000_000, Clients::Here));
    assert_eq!(verdict.settings().count(), 0);
    assert_eq!(finding(&verdict, "net.netfilter.nf_conntrack_max").state, State::NotKnown);
    let written = verdict.findings.iter().filter_map(Finding::mend);
    assert!(written.into_iter().all(|mend| matches!(mend, Mend::Advice(_))));
}

#[test]
fn every_finding_says_why_and_where_that_is_written() {
    for clients in [Clients::Elsewhere, Clients::Here] {
        let load = Some(Load { capacity_per_second: 1.0, rate_per_second: 1.0 });
        let verdict = judge(&with_24_gb(), &Question { load, ..ask(50_000_000, clients) });
        for finding in &verdict.findings {
            assert!(finding.why.ends_with('.') && !finding.source.is_empty(), "{}", finding.limit);
            assert_eq!(finding.mend().is_some(), finding.state.wants_mending(), "{}", finding.limit);
        }
        for sysctl in Sysctl::ALL {
            finding(&verdict, sysctl.key());
        }
    }
}

#[test]
fn processes_that_are_given_are_held_to_and_the_right_number_is_named() {
    let question = Question { processes: Some(10), ..ask(1_000_000, Clients::Elsewhere) };
    let verdict = judge(&with_24_gb(), &question);
    let limit = finding(&verdict, "RLIMIT_NOFILE (hard)");
    assert_eq!(limit.state, State::Stops);
    assert_eq!(limit.mend(), Some(Mend::Advice("plimsoll serve --processes 52".into())));
    let most = verdict.ceiling.expect("a ceiling");
    assert_eq!(most.stopped_by, "RLIMIT_NOFILE (hard)");
    assert!(judge(&with_24_gb(), &Question { connections: most.connections, ..question }).fits());
    let few = machine(24_684_084, 1 << 40, 1 << 40, [1, 1, 1], 128);
    let Some(Mend::Advice(advice)) =
        finding(&judge(&few, &ask(1_000_000, Clients::Elsewhere)), "RLIMIT_NOFILE (hard)").mend()
    else {
        panic!("no advice")
    };
    assert!(advice.contains("LimitNOFILE"), "{advice}");
}

#[test]
fn ports_are_counted_for_clients_on_this_machine_only() {
    let ports =
        |question: Question| finding(&judge(&with_24_gb(), &question), "net.ipv4.ip_local_port_range");
    let here = ask(100_000, Clients::Here);
    assert_eq!(ports(ask(100_000, Clients::Elsewhere)).needs, None);
    assert!(ports(here).why.contains("4 source addresses"), "{}", ports(here).why);
    for (sources, listening, state, mend) in [
        (4, 1, State::Holds, None),
        (1, 4, State::Holds, None),
        (3, 1, State::Stops, Some("sysctl -w net.ipv4.ip_local_port_range='31521 65535'")),
        (1, 1, State::Stops, Some("4 source addresses instead of 1")),
    ] {
        let found = ports(Question { sources: Some(sources), ports: listening, ..here });
        assert_eq!(found.state, state, "{sources} × {listening}");
        assert_eq!(found.holds_connections, Some(sources * listening * 27_667));
        let said = found.mend().map(|mend| match mend {
            Mend::Setting(text) | Mend::Advice(text) => text,
        });
        assert_eq!(said.is_some(), mend.is_some());
        assert!(said.unwrap_or_default().starts_with(mend.unwrap_or_default()), "{sources} × {listening}");
    }
}

#[test]
fn capacity_over_rate_is_the_number_of_clients_served() {
    for (capacity, rate, clients) in
        [(100_000.0, 1.0, 100_000), (100_000.0, 0.1, 1_000_000), (250.0, 60.0, 4), (1.0, 2.0, 0)]
    {
        let load = Load { capacity_per_second: capacity, rate_per_second: rate };
        assert_eq!(load.clients_served(), clients, "{capacity} over {rate}");
        for (connections, fits) in [(clients, true), (clients + 1, false)] {
            let question = Question { load: Some(load), ..ask(connections, Clients::Elsewhere) };
            assert_eq!(judge(&with_24_gb(), &question).fits(), fits, "{connections} of {clients}");
        }
    }
}

#[test]
fn the_database_needs_a_connection_for_each_worker() {
    let with = |free| with_database(free, with_24_gb());
    let verdict = judge(&with(97), &ask(1_000_000, Clients::Elsewhere));
    assert!(verdict.fits());
    let few = judge(&with(40), &ask(1_000_000, Clients::Elsewhere));
    let database = finding(&few, "max_connections (PostgreSQL)");
    assert_eq!(stops(&few), ["max_connections (PostgreSQL)"]);
    assert!(
        matches!(database.mend(), Some(Mend::Advice(advice)) if advice.contains("max_connections = 112"))
    );
    let most = few.ceiling.expect("a ceiling").connections;
    assert_eq!(judge(&with(40), &ask(most, Clients::Elsewhere)).processes.count, 40);
    for database in [Database::NotNamed, Database::NotReached("no route".into())] {
        let verdict = judge(&Facts { database, ..with_24_gb() }, &ask(10, Clients::Elsewhere));
        assert_eq!(finding(&verdict, "max_connections (PostgreSQL)").state, State::NotKnown);
        assert!(verdict.fits());
    }
}

#[test]
fn a_ceiling_never_contradicts_the_answer() {
    // A reload replaces half of two processes, but a tenth of ten: two want most.
    let wanted: Vec<u64> =
        (1..=processes::MOST_PROCESSES + 1).map(|n| n.max(8) + if n > 1 { 8 / n } else { 0 }).collect();
    for free in [3, 8, 10, 12, 40] {
        for processes in [None, Some(1), Some(2), Some(5)] {
            for connections in [1, 100, 15_000, 30_000, 60_000, 90_000, 1_000_000] {
                let mut facts = with_24_gb();
                facts.database = Database::Room { limit: 100, free, wanted: wanted.clone() };
                let question = Question { processes, ..ask(connections, Clients::Elsewhere) };
                let verdict = judge(&facts, &question);
                let ceiling = verdict.ceiling.as_ref().map_or(0, |ceiling| ceiling.connections);
                assert_eq!(verdict.fits(), connections <= ceiling, "{free} free, {question:?}: {ceiling}");
            }
        }
    }
    let verdict = judge(&with_database(3, with_24_gb()), &ask(100, Clients::Elsewhere));
    assert_eq!((verdict.fits(), verdict.ceiling), (false, None), "not one process has room");
}

#[test]
fn buffers_are_suggested_half_of_the_memory_at_most() {
    let verdict = judge(&with_16_gb(), &ask(50_000_000, Clients::Elsewhere));
    let (_, pages) = verdict.changes().find(|(key, _)| *key == Sysctl::TcpMem).expect("more of tcp_mem");
    let half = 16_300_000 * KIB / 4096 / 2;
    assert!(pages.is_sorted() && (half - 3..=half).contains(&pages[2]), "{pages:?} of {half}");
}
