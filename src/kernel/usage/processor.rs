//! Processor time of a thread of this process, from `/proc/self/task/TID/schedstat` (proc(5)).
//!
//! **Invariant:** a thread that has ended, or a kernel that does not count, is not known and not zero.

use std::time::Duration;

/// Processor time that a thread of this process has had; not known where it has ended or the kernel does not count.
pub fn thread_time(thread_id: u32) -> Option<Duration> {
    parse(&std::fs::read_to_string(format!("/proc/self/task/{thread_id}/schedstat")).ok()?)
}

/// Three numbers: nanoseconds on a processor, nanoseconds waiting for one, and how often it was given one.
fn parse(text: &str) -> Option<Duration> {
    text.split_ascii_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_number_is_the_time() {
        assert_eq!(parse("4211867219 13372 91\n"), Some(Duration::from_nanos(4_211_867_219)));
        for text in ["", "\n", "much 1 2\n"] {
            assert_eq!(parse(text), None, "{text:?}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn work_of_the_calling_thread_is_seen() {
        let id = u32::try_from(rustix::thread::gettid().as_raw_nonzero().get()).unwrap();
        let before = thread_time(id).expect("our own time");
        let mut after = before;
        // The kernel brings its count up to date at a tick or a switch, and not for each who looks.
        while after == before {
            std::hint::black_box((0..100_000_u64).sum::<u64>());
            after = thread_time(id).expect("our own time");
        }
        assert!(after > before);
        assert_eq!(thread_time(u32::MAX), None, "no such thread");
    }
}
