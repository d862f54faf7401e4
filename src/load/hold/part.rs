//! A process that holds its part of the connections, and does what it is told on its standard input.
//!
//! **Invariant:** when standard input closes it drops what it does and ends, so that it never outlives the process that leads it.

use std::io::{self, BufRead, Write};
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::super::engine::{Clock, Engine, Interval, Offer, Phase, Setup};
use super::super::ports::{Ends, EndsOfPart};
use super::super::run::raise_descriptor_limit;
use super::super::schedule::{Beat, Part, Schedule, StopRule};
use super::super::stats::Stats;
use super::message::{Assignment, Order, Word};

/// Carries out orders until there are no more.
pub fn hold_part(input: impl BufRead + Send + 'static, mut output: impl Write) -> io::Result<()> {
    raise_descriptor_limit();
    keep_to_small_pages();
    let stop = Arc::new(AtomicBool::new(false));
    let (orders, received) = channel();
    let heard = Arc::clone(&stop);
    thread::Builder::new().name("orders".into()).spawn(move || listen(input, &orders, &heard))?;
    let ended = obey(&received, &stop, &mut output);
    match ended {
        // Nobody listens any more: that is the way it ends.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => say(&mut output, &Word::Failed(error.to_string())),
        Ok(()) => Ok(()),
    }
}

/// The allocator asks for pages of 2 MiB (madvise(2), `MADV_HUGEPAGE`). Every process would hold several of them half empty, which a machine
/// that holds as many connections as it can is better without.
fn keep_to_small_pages() {
    #[cfg(target_os = "linux")]
    {
        // Where it is refused the process takes more memory, and nothing else changes.
        let _ = rustix::thread::disable_transparent_huge_pages(true);
    }
}

/// Passes orders on. A stop, and the end of the input, interrupt what is being done.
fn listen(input: impl BufRead, orders: &Sender<Order>, stop: &AtomicBool) {
    for line in input.lines().map_while(Result::ok) {
        match serde_json::from_str(&line) {
            Ok(Order::Stop) => stop.store(true, Ordering::Relaxed),
            Ok(order) => {
                if orders.send(order).is_err() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    stop.store(true, Ordering::Relaxed);
}

fn obey(orders: &Receiver<Order>, stop: &Arc<AtomicBool>, output: &mut impl Write) -> io::Result<()> {
    let Ok(Order::Setup(assignment)) = orders.recv() else { return Ok(()) };
    let part = assignment.part;
    let clock = Clock(Instant::now());
    let mut engine = Engine::new(setup(*assignment, clock, stop)?)?;
    let ended = hold_on(&mut engine, part, clock, orders, output);
    // Also where nobody listens any more, so that a leader that was killed leaves no connection in TIME_WAIT.
    engine.close_all(true);
    ended
}

/// Does what it is told with its connections, until there are no more orders.
fn hold_on(
    engine: &mut Engine,
    part: Part,
    clock: Clock,
    orders: &Receiver<Order>,
    output: &mut impl Write,
) -> io::Result<()> {
    say(output, &Word::Done { stats: Box::default(), open: 0 })?;
    while let Ok(order) = orders.recv() {
        let Some(phase) = phase(&order, part, clock.now()) else {
            return Err(io::Error::other("an order that does not belong here"));
        };
        let mut sum = Stats::default();
        let mut lost = None;
        engine.run(phase, &mut |Interval { stats, .. }| {
            let (opened, answered, failed) = (stats.opened, stats.answered(), stats.failed());
            sum.add(&stats);
            if opened + answered + failed > 0 && lost.is_none() {
                lost = say(output, &Word::Progress { opened, answered, failed }).err();
            }
        })?;
        if let Some(error) = lost {
            return Err(error);
        }
        say(output, &Word::Done { stats: Box::new(sum), open: engine.open() })?;
    }
    Ok(())
}

fn setup(assignment: Assignment, clock: Clock, stop: &Arc<AtomicBool>) -> io::Result<Setup> {
    let Assignment { part, connections, pipeline, timeout_ns, destinations, sources, ports } = assignment;
    let ends = Ends { sources, destinations: destinations.len(), ports };
    Ok(Setup {
        connections: usize::try_from(part.of_total(connections)).map_err(io::Error::other)?,
        pipeline,
        timeout: Duration::from_nanos(timeout_ns),
        destinations: destinations.into(),
        ends: EndsOfPart::new(ends, part),
        clock,
        stop: Arc::clone(stop),
    })
}

/// What an order asks of the loop; none where it asks nothing.
fn phase(order: &Order, part: Part, now: u64) -> Option<Phase> {
    let endless = StopRule { counted_from: 0, until: None, left: None };
    let share = |total| usize::try_from(part.of_total(total)).unwrap_or(usize::MAX);
    let once = Phase {
        ramp: None,
        schedule: Schedule::Closed,
        offer: Offer::Once,
        stop: endless,
        active: usize::MAX,
        most_in_flight: usize::MAX,
        reopen: false,
    };
    match *order {
        Order::Open { rate, first_request } => Some(Phase {
            ramp: Some(Beat::new(now, rate, part)),
            offer: if first_request { Offer::Once } else { Offer::Never },
            ..once
        }),
        Order::Hold { active, nanoseconds, rate } => Some(Phase {
            schedule: rate
                .and_then(|rate| beat_of_active(now, rate, part, active))
                .map_or(Schedule::Closed, Schedule::Open),
            offer: Offer::Again,
            stop: StopRule { counted_from: now, until: Some(now.saturating_add(nanoseconds)), left: None },
            active: share(active),
            ..once
        }),
        Order::Sweep { depth } => Some(Phase { most_in_flight: share(depth).max(1), ..once }),
        Order::Setup(_) | Order::Stop => None,
    }
}

/// The moments of a part at which it asks over its active connections: parts that have none take no turns, since nobody would keep them.
fn beat_of_active(now: u64, rate: NonZeroU64, part: Part, active: u64) -> Option<Beat> {
    let of = NonZeroU64::new(active).map_or(NonZeroU64::MIN, |active| active.min(part.of));
    (part.index < of.get()).then(|| Beat::new(now, rate, Part { of, ..part }))
}

fn say(output: &mut impl Write, word: &Word) -> io::Result<()> {
    let mut line = serde_json::to_vec(word)?;
    line.push(b'\n');
    output.write_all(&line)?;
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::super::super::schedule::SECOND;
    use super::*;

    #[test]
    fn the_whole_rate_goes_over_the_parts_that_have_active_connections() {
        let (of, rate) = (NonZeroU64::new(4).unwrap(), NonZeroU64::new(100).unwrap());
        for active in [0, 1, 2, 3, 4, 5, 8] {
            let order = Order::Hold { active, nanoseconds: SECOND, rate: Some(rate) };
            let (mut moments, mut connections) = (Vec::new(), 0);
            for index in 0..of.get() {
                let mut phase = phase(&order, Part { index, of }, 0).unwrap();
                connections += phase.active as u64;
                if let Schedule::Open(beat) = &mut phase.schedule {
                    assert!(phase.active > 0 || active == 0, "{active}: part {index} asks over nothing");
                    moments.extend(std::iter::from_fn(|| beat.take(SECOND - 1)));
                }
            }
            moments.sort_unstable();
            assert_eq!(moments, (0..100).map(|k| k * SECOND / 100).collect::<Vec<_>>(), "{active}");
            assert_eq!(connections, active);
        }
    }
}
