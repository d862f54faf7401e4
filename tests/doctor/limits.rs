//! Limits as they are read: of this process under `prlimit`, and of machines made of files.
//!
//! **Invariant:** each limit is changed where the kernel keeps it, and looked for in the answer.

use super::machine::Machine;
use super::{finding, json};
use crate::harness::ServerSetup;

#[test]
fn the_descriptor_limits_are_seen_and_the_number_of_processes_follows() {
    let machine = Machine::new();
    for (nofile, is) in [("512:1024", [512, 1024]), ("1024:1024", [1024, 1024]), ("256:512", [256, 512])] {
        let run = machine.doctor_under(nofile, &["--connections", "5000", "--json"]).run();
        assert_eq!(run.code, Some(0), "{run:?}");
        let answer = json(&run);
        for (limit, value) in [("RLIMIT_NOFILE (soft)", is[0]), ("RLIMIT_NOFILE (hard)", is[1])] {
            assert_eq!(finding(&answer, limit)["is"][0], value, "{nofile}");
        }
        let each = answer["processes"]["descriptors_each"].as_u64().expect("a number");
        assert!(each <= is[1], "{each} under {nofile}");
        let processes = answer["processes"]["count"].as_u64().expect("a number");
        assert!(processes > 5000 / is[1], "{processes} under {nofile}");
        // The number is enough, and one less is not: that one's answer names the right one.
        for (given, code) in [(processes, 0), (processes - 1, 1)] {
            let given = given.to_string();
            let run = machine.doctor_under(nofile, &["--connections", "5000", "--processes", &given]).run();
            assert_eq!(run.code, Some(code), "{given} under {nofile}: {}", run.stdout);
            let mends = run.stdout.contains(&format!("→ plimsoll serve --processes {processes}\n"));
            assert_eq!(mends, code == 1, "{}", run.stdout);
            let verdict = run.stdout.lines().last().expect("a verdict");
            let no = "No: 5 000 connections are stopped by RLIMIT_NOFILE (hard).";
            assert_eq!(verdict.starts_with(no), code == 1, "{verdict}");
        }
    }
}

#[test]
fn a_limit_that_is_high_enough_takes_one_process() {
    let run = Machine::new().doctor_under("1024:20000", &["--connections", "10000", "--json"]).run();
    assert_eq!((run.code, &json(&run)["processes"]["count"]), (Some(0), &1.into()), "{run:?}");
}

#[test]
fn each_limit_of_the_machine_stops_what_goes_past_it() {
    for (path, text, limit, holds) in [
        ("proc/sys/net/netfilter/nf_conntrack_max", "5144\n", "net.netfilter.nf_conntrack_max", Some(5000)),
        ("proc/sys/fs/epoll/max_user_watches", "3000\n", "fs.epoll.max_user_watches", Some(3000)),
        // What is kept back for other things grows with the cores that the tests run on.
        ("proc/sys/fs/file-max", "9000\n", "fs.file-max", None),
        ("sys/fs/cgroup/service/memory.max", "300000000\n", "memory of the control group", Some(2272)),
        ("proc/meminfo", "MemTotal: 999999 kB\nMemAvailable: 300000 kB\n", "memory", Some(3379)),
    ] {
        let machine = Machine::new();
        machine.write(path, text);
        let ask = |connections: u64| {
            let run = machine
                .doctor_under("20000:20000", &["--json", "--connections", &connections.to_string()])
                .run();
            let answer = json(&run);
            assert_eq!(answer["stopped_by"], limit, "{path}");
            assert_eq!(answer["fits"], run.code == Some(0), "{path}");
            (run.code, answer["holds_connections"].as_u64().expect("a number"))
        };
        let (_, most) = ask(1);
        assert_eq!(most, holds.unwrap_or(most), "{path}");
        assert_eq!((ask(most), ask(most + 1)), ((Some(0), most), (Some(1), most)), "{path}");
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
    assert_eq!(finding(&here, port_range)["needs"], serde_json::json!([14_515, 65_535]));
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
