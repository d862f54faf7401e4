//! The machine's memory, from `/proc/meminfo` (`proc_meminfo(5)`).
//!
//! **Invariant:** what the kernel can give back at once, as cached files, counts as available.

use crate::kernel::facts::Memory;
use crate::kernel::usage::kibibytes;

/// `MemTotal` and `MemAvailable`.
pub(super) fn parse(text: &str) -> Option<Memory> {
    Some(Memory {
        total_bytes: kibibytes(text, "MemTotal")?,
        available_bytes: kibibytes(text, "MemAvailable")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn total_and_available_are_read_in_bytes() {
        let text = "MemTotal:       24684084 kB\nMemFree:        1 kB\nMemAvailable:   24365188 kB\n";
        let memory = parse(text).unwrap();
        assert_eq!((memory.total_bytes, memory.available_bytes), (24_684_084 * 1024, 24_365_188 * 1024));
        assert_eq!(parse("MemTotal: 5 kB\n"), None);
    }
}
