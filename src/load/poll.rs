//! Waiting for sockets and for a moment: epoll(7) and a timerfd(2).
//!
//! Sockets are watched edge-triggered from the moment they connect, for reading and writing at once, so that no request costs a second
//! system call to change what is watched. epoll's own timeout counts whole milliseconds, and a request of an open loop that is sent a
//! millisecond late would be charged to the server: the timer is exact.
//!
//! **Invariant:** a wait ends at its limit at the latest.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

/// Events taken from the kernel at once.
const BATCH: usize = 512;
/// The timer's token; no connection has it.
const TIMER: u64 = u64::MAX;

/// What happened to one socket.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Event {
    pub(crate) token: u64,
    pub(crate) readable: bool,
    pub(crate) writable: bool,
    /// The other side closed, at least its sending half.
    pub(crate) closed: bool,
}

pub(crate) struct Poll {
    epoll: OwnedFd,
    timer: OwnedFd,
    events: Vec<epoll::Event>,
}

impl Poll {
    pub(crate) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        // Edge-triggered: each setting of the timer makes a new edge, and nothing has to be read from it.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &timer, epoll::EventData::new_u64(TIMER), flags)?;
        Ok(Self { epoll, timer, events: Vec::with_capacity(BATCH) })
    }

    /// Watches a socket until it is closed.
    pub(crate) fn add(&self, socket: impl AsFd, token: u64) -> io::Result<()> {
        use epoll::EventFlags as Flags;
        let flags = Flags::IN | Flags::OUT | Flags::RDHUP | Flags::ET;
        Ok(epoll::add(&self.epoll, socket, epoll::EventData::new_u64(token), flags)?)
    }

    /// Waits for events, not longer than `limit`; `exactly` where its end is a moment at which something is due.
    pub(crate) fn wait(&mut self, limit: Duration, exactly: bool) -> io::Result<()> {
        if exactly && !limit.is_zero() {
            let once = Itimerspec { it_interval: timespec(Duration::ZERO), it_value: timespec(limit) };
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
        }
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), Some(&timespec(limit))) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.events.len()
    }

    /// The nth event of the last wait; none where it was the timer.
    pub(crate) fn event(&self, n: usize) -> Option<Event> {
        use epoll::EventFlags as Flags;
        let event = self.events.get(n)?;
        let (token, flags) = (event.data.u64(), event.flags);
        let failed = flags.intersects(Flags::ERR | Flags::HUP);
        (token != TIMER).then_some(Event {
            token,
            readable: failed || flags.intersects(Flags::IN | Flags::RDHUP),
            writable: failed || flags.contains(Flags::OUT),
            closed: failed || flags.contains(Flags::RDHUP),
        })
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}
