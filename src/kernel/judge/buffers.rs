//! Memory of TCP's buffers, which an idle connection has none of.
//!
//! **Invariant:** buffers' limits never stop a connection from being held; they say how many may have bytes waiting at once.

use super::{Finding, Question, State};
use crate::kernel::facts::Facts;
use crate::kernel::sysctl::Sysctl;

const SOURCE: &str = "Documentation/networking/ip-sysctl.rst";

pub(super) fn findings(facts: &Facts, question: &Question) -> Vec<Finding> {
    vec![
        all_together(facts, question),
        Finding::of(
            facts,
            Sysctl::TcpRmem,
            "bytes: least, at first, most",
            SOURCE,
            "A receive buffer is taken as bytes arrive, and an idle connection has none; the last number bounds what one \
             client can make the kernel hold.",
        ),
        Finding::of(
            facts,
            Sysctl::TcpWmem,
            "bytes: least, at first, most",
            SOURCE,
            "A send buffer is taken as bytes are sent, and an idle connection has none; the last number bounds what one \
             slow reader makes the kernel hold.",
        ),
    ]
}

/// A connection with bytes that wait takes a page at least. Where all ask at once each has one request or one answer under way, and
/// TCP should be at ease with that: a million that ask at once were measured to hold 978 956 pages of `sockstat`'s `mem`, and under
/// pressure packets are dropped and sent again seconds later (Linux 6.18). Half of the memory is the most that is suggested for the
/// last of the three.
fn all_together(facts: &Facts, question: &Question) -> Finding {
    let half = facts.memory.map_or(u64::MAX, |memory| memory.total_bytes / 2 / facts.page_bytes.max(1));
    // The last is twice the first.
    let pages = question.connections.min(half / 2);
    let needs = vec![pages, pages.saturating_add(pages / 2), pages.saturating_mul(2)];
    let why = "A connection with bytes waiting takes a page at least, so that this many are in use when all ask at once; past \
               the second number TCP shrinks its windows, past the third it drops.";
    let unit = "pages: at ease, pressure, most";
    Finding::of(facts, Sysctl::TcpMem, unit, SOURCE, why).at_least(Sysctl::TcpMem, needs, State::Short)
}
