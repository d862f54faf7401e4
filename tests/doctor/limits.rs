//! Limits as they are read: of this process under `prlimit`, and of machines made of files.
//!
//! **Invariant:** each limit is changed where the kernel keeps it, and looked for in the answer.

use super::machine::Machine;
use super::{finding, json};
use crate::harness::ServerSetup;

#[test]
fn the_descriptor_limits_are_seen_and_the_number_of_processes_follows() {
    let machine = Machine::new();
    for (nofile, connections, is, processes) in [
        ("512:1024", "5000", [512, 1024], 7),
        ("1024:1024", "900", [1024, 1024], 1),
        ("256:512", "5000", [256, 512], 15),
    ] {
        let run = machine.doctor_under(nofile, &["--connections", connections, "--json"]).run();
        assert_eq!(run.code, Some(0), "{run:?}");
        let answer = json(&run);
        for (limit, value) in [("RLIMIT_NOFILE (soft)", is[0]), ("RLIMIT_NOFILE (hard)", is[1])] {
            assert_eq!(finding(&answer, limit)["is"][0], value, "{nofile}");
        }
        assert_eq!(answer["processes"]["count"], processes, "{nofile}");
        let each = answer["processes"]["descriptors_each"].as_u64().expect("a number");
        assert!(each <= is[1], "{each} under {nofile}");
    }
}

#[test]
fn too_few_processes_are_1_and_the_right_number_is_named() {
    let run = Machine::new().doctor(&["--connections", "5000", "--processes", "3"]).run();
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stdout.contains("→ plimsoll serve --processes 7"), "{}", run.stdout);
    let verdict = run.stdout.lines().last().expect("a verdict");
    assert!(verdict.starts_with("No: 5 000 connections are stopped by RLIMIT_NOFILE (hard)."), "{verdict}");
}

#[test]
fn each_limit_of_the_machine_stops_what_goes_past_it() {
    for (path, text, limit, connections) in [
        ("proc/sys/net/netfilter/nf_conntrack_max", "5144\n", "net.netfilter.nf_conntrack_max", 5000),
        ("proc/sys/fs/epoll/max_user_watches", "3000\n", "fs.epoll.max_user_watches", 3000),
        ("proc/sys/fs/file-max", "1014\n", "fs.file-max", 500),
        ("sys/fs/cgroup/service/memory.max", "300000000\n", "memory of the control group", 2272),
        ("proc/meminfo", "MemTotal: 999999 kB\nMemAvailable: 300000 kB\n", "memory", 3379),
    ] {
        let machine = Machine::new();
        machine.write(path, text);
        for (asked, code) in [(connections, 0), (connections + 1, 1)] {
            let run =
                machine.doctor_under("20000:20000", &["--json", "--connections", &asked.to_string()]).run();
            assert_eq!(run.code, Some(code), "{asked} under {path}: {}", run.stdout);
            let answer = json(&run);
            assert_eq!(
                (&answer["holds_connections"], &answer["stopped_by"]),
                (&connections.into(), &limit.into())
            );
            assert_eq!(answer["fits"], code == 0);
        }
    }
}

#[test]
fn clients_on_this_machine_count_for_both_ends_and_for_ports() {
    let machine = Machine::new();
    let ask = |more: &[&str]| json(&machine.doctor(&["--connections", "100000", "--json"]).args(more).run());
    let (elsewhere, here) = (ask(&[]), ask(&["--clients", "here", "--sources", "2"]));
    let port_range = "net.ipv4.ip_local_port_range";
    assert_eq!(finding(&elsewhere, port_range)["needs"], serde_json::Value::Null);
    assert_eq!(finding(&here, port_range)["state"], "stops");
    assert_eq!(finding(&here, port_range)["needs"], serde_json::json!([15_536, 65_535]));
    let bytes = |answer: &serde_json::Value| answer["memory"]["total_bytes"].as_u64().expect("bytes");
    assert!(bytes(&here) > bytes(&elsewhere) + 100_000 * 5000, "{here}");
}

#[test]
fn a_setting_that_the_kernel_does_not_have_is_said_and_not_suggested() {
    let machine = Machine::new();
    machine.remove("proc/sys/net/netfilter/nf_conntrack_max");
    let run = machine.doctor(&["--connections", "100000", "--json"]).run();
    let answer = json(&run);
    for limit in ["net.netfilter.nf_conntrack_max", "net.ipv4.tcp_migrate_req"] {
        let found = finding(&answer, limit);
        assert_eq!((&found["state"], &found["is"]), (&"not_known".into(), &serde_json::Value::Null));
        assert_eq!(found["mend"], serde_json::Value::Null);
    }
}

#[test]
fn this_very_machine_is_read_and_every_limit_has_a_reason() {
    let run = ServerSetup::of(&["doctor", "--connections", "1", "--json"]).run();
    let answer = json(&run);
    assert_eq!(run.code, Some(i32::from(answer["fits"] != true)), "{run:?}");
    assert_eq!(answer["version"], 1);
    for limit in
        ["RLIMIT_NOFILE (hard)", "fs.nr_open", "fs.file-max", "net.core.somaxconn", "memory", "cores"]
    {
        let found = finding(&answer, limit);
        assert!(found["is"][0].as_u64() > Some(0), "{found}");
    }
    for found in answer["findings"].as_array().expect("findings") {
        for key in ["why", "source", "unit"] {
            assert!(found[key].as_str().is_some_and(|text| !text.is_empty()), "{key} of {found}");
        }
    }
}
