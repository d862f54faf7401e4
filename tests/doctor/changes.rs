//! What it changes: a file for sysctl.d, settings in force, and the way back.
//!
//! **Invariant:** settings are written to a machine made of files.

use std::fs;
use std::os::unix::fs::symlink;

use super::machine::Machine;
use super::{finding, json};

const MANY: [&str; 2] = ["--connections", "300000"];

#[test]
fn apply_raises_what_is_low_and_revert_puts_it_back() {
    let machine = Machine::new();
    let before = machine.sysctls();
    let run = machine.doctor_under("20000:20000", &MANY).arg("--apply").run();
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(machine.sysctl("net/netfilter/nf_conntrack_max"), "300144");
    assert_eq!(machine.sysctl("net/ipv4/tcp_max_syn_backlog"), "4688");
    assert_eq!(machine.sysctl("net/ipv4/tcp_mem"), "300000 450000 600000");
    assert_eq!(machine.sysctl("fs/file-max"), "2466170", "enough as it is");
    assert!(!machine.path("proc/sys/net/ipv4/tcp_migrate_req").exists(), "a setting was made up");
    assert!(run.stderr.contains("set net.netfilter.nf_conntrack_max: 262144 → 300144"), "{}", run.stderr);
    let undo = machine.path("run/plimsoll/doctor-undo.conf");
    assert!(undo.exists());
    let run = machine.doctor(&["--revert"]).run();
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(machine.sysctls(), before);
    assert!(!undo.exists());
    let again = machine.doctor(&["--revert"]).run();
    assert_eq!(again.code, Some(0), "{again:?}");
    assert!(again.stderr.contains("nothing to put back"), "{again:?}");
}

#[test]
fn applied_twice_it_goes_back_to_what_was_before_the_first() {
    let machine = Machine::new();
    let before = machine.sysctls();
    for connections in ["300000", "600000"] {
        let run = machine.doctor_under("20000:20000", &["--apply", "--connections", connections]).run();
        assert_eq!(run.code, Some(0), "{run:?}");
    }
    assert_eq!(machine.sysctl("net/netfilter/nf_conntrack_max"), "600144");
    assert_eq!(machine.doctor(&["--revert"]).run().code, Some(0));
    assert_eq!(machine.sysctls(), before);
}

#[test]
fn what_somebody_else_changed_since_is_left_alone() {
    let machine = Machine::new();
    assert_eq!(machine.doctor_under("20000:20000", &MANY).arg("--apply").run().code, Some(0));
    machine.write("proc/sys/net/netfilter/nf_conntrack_max", "900000\n");
    let run = machine.doctor(&["--revert"]).run();
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.stderr.contains("left net.netfilter.nf_conntrack_max at 900000"), "{}", run.stderr);
    assert_eq!(machine.sysctl("net/netfilter/nf_conntrack_max"), "900000");
    assert_eq!(machine.sysctl("net/ipv4/tcp_max_syn_backlog"), "2048");
}

#[test]
fn a_setting_that_cannot_be_set_is_said_and_the_code_is_1() {
    let machine = Machine::new();
    // A file with a number that never changes, and that the kernel lets nobody write, not even root.
    machine.remove("proc/sys/net/ipv4/tcp_max_tw_buckets");
    symlink("/proc/sys/kernel/ngroups_max", machine.path("proc/sys/net/ipv4/tcp_max_tw_buckets"))
        .expect("a link");
    let run = machine.doctor_under("20000:20000", &["--apply", "--connections", "4000000"]).run();
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.stderr.contains("error: net.ipv4.tcp_max_tw_buckets stays"), "{}", run.stderr);
    assert!(run.stderr.contains("set net.core.somaxconn"), "the others are set: {}", run.stderr);
    let undo = fs::read_to_string(machine.path("run/plimsoll/doctor-undo.conf")).expect("the undo file");
    assert!(!undo.contains("tcp_max_tw_buckets"), "{undo}");
    assert!(undo.contains("net.core.somaxconn = 4096"), "{undo}");
}

#[test]
fn what_apply_cannot_change_is_said() {
    let machine = Machine::new();
    machine.write("sys/fs/cgroup/service/memory.max", "300000000\n");
    let run = machine.doctor(&["--connections", "100000", "--processes", "2", "--apply"]).run();
    assert_eq!(run.code, Some(1), "{run:?}");
    for limit in ["RLIMIT_NOFILE (hard)", "memory of the control group"] {
        assert!(run.stderr.contains(&format!("--apply cannot change {limit}: it takes ")), "{}", run.stderr);
    }
}

#[test]
fn nothing_changes_where_the_way_back_cannot_be_kept() {
    let machine = Machine::new();
    let before = machine.sysctls();
    machine.write("theirs.conf", "net.core.somaxconn = 1\n");
    let theirs = machine.path("theirs.conf");
    for undo in [theirs.clone(), theirs.join("below-a-file")] {
        let run =
            machine.doctor_under("20000:20000", &MANY).args(&["--apply", "--undo-file"]).arg(&undo).run();
        assert_eq!(run.code, Some(1), "{run:?}");
        assert!(
            run.stderr.contains("nothing was changed") && run.stderr.contains("--undo-file"),
            "{}",
            run.stderr
        );
        assert_eq!(machine.sysctls(), before);
    }
    let run = machine.doctor(&["--undo-file"]).arg(&theirs).run();
    assert_eq!(run.code, Some(78), "{run:?}");
    let run = machine.doctor(&["--revert", "--undo-file"]).arg(&theirs).run();
    assert_eq!(run.code, Some(1), "{run:?}");
    assert_eq!(fs::read_to_string(theirs).expect("their file"), "net.core.somaxconn = 1\n");
}

#[test]
fn write_makes_a_file_for_sysctl_with_reasons_and_leaves_others_files_alone() {
    let machine = Machine::new();
    let file = machine.path("90-plimsoll.conf");
    for _ in 0..2 {
        let run = machine.doctor_under("20000:20000", &MANY).arg("--write").arg(&file).run();
        assert_eq!(run.code, Some(1), "it is written, not in force: {run:?}");
    }
    let text = fs::read_to_string(&file).expect("the file");
    assert!(text.contains("\nnet.netfilter.nf_conntrack_max = 300144\n"), "{text}");
    assert!(text.contains("\nnet.core.somaxconn = 4688\n") && !text.contains("tcp_migrate_req"), "{text}");
    assert!(text.contains("nf_conntrack-sysctl.rst") && text.contains("# It was 262144"), "{text}");
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
        assert!(line.split_once(" = ").is_some_and(|(key, _)| key.contains('.')), "{line}");
    }
    assert_eq!(machine.sysctl("net/netfilter/nf_conntrack_max"), "262144", "only the file is written");
    fs::write(&file, "kernel.pid_max = 99999\n").expect("somebody's file");
    let run = machine.doctor(&["--connections", "10", "--write"]).arg(&file).run();
    assert_eq!(run.code, Some(1), "{run:?}");
    assert_eq!(fs::read_to_string(&file).expect("the file"), "kernel.pid_max = 99999\n");
}

#[test]
fn the_answer_after_apply_is_the_new_one() {
    let machine = Machine::new();
    let run = machine.doctor_under("20000:20000", &MANY).args(&["--apply", "--json"]).run();
    let answer = json(&run);
    assert_eq!((run.code, &answer["fits"]), (Some(0), &true.into()));
    assert_eq!(finding(&answer, "net.netfilter.nf_conntrack_max")["is"][0], 300_144);
}
