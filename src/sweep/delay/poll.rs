//! Waiting for sockets and for a moment: epoll(7) and a timerfd(2), which is exact where epoll's own limit counts milliseconds.
//!
//! **Invariant:** sockets are watched edge-triggered from the start: whoever is told that one may be read reads until it may not.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

/// Events taken from the kernel at once.
const BATCH: usize = 256;
const TIMER: u64 = u64::MAX;
const LISTENER: u64 = u64::MAX - 1;
const ORDERS: u64 = u64::MAX - 2;

/// What is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    Listener,
    Orders,
    /// One end of the line with this key: 0 the client's, 1 the server's.
    End {
        key: usize,
        side: usize,
    },
}

pub(super) struct Poll {
    epoll: OwnedFd,
    timer: OwnedFd,
    /// The moment for which the timer is set.
    set_for: Option<Instant>,
    events: Vec<epoll::Event>,
}

impl Poll {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)?;
        // Each setting of the timer makes a new edge, and nothing has to be read from it.
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&epoll, &timer, epoll::EventData::new_u64(TIMER), flags)?;
        Ok(Self { epoll, timer, set_for: None, events: Vec::with_capacity(BATCH) })
    }

    /// Watches it until it is closed.
    pub(super) fn add(&self, watched: impl AsFd, token: Token) -> io::Result<()> {
        use epoll::EventFlags as Flags;
        let flags = match token {
            Token::End { .. } => Flags::IN | Flags::OUT | Flags::RDHUP | Flags::ET,
            Token::Listener | Token::Orders => Flags::IN,
        };
        Ok(epoll::add(&self.epoll, watched, epoll::EventData::new_u64(token.pack()), flags)?)
    }

    /// Waits for an event, until this moment at the latest.
    pub(super) fn wait(&mut self, until: Option<Instant>) -> io::Result<()> {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        if let Some(left) = left.filter(|left| !left.is_zero())
            && self.set_for != until
        {
            let once = Itimerspec { it_interval: timespec(Duration::ZERO), it_value: timespec(left) };
            timerfd_settime(&self.timer, TimerfdTimerFlags::empty(), &once)?;
            self.set_for = until;
        }
        let limit = left.filter(Duration::is_zero).map(timespec);
        self.events.clear();
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), limit.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// What happened: to whom, whether it may be read, and whether it may be written.
    pub(super) fn take(&mut self) -> Vec<(Token, bool, bool)> {
        use epoll::EventFlags as Flags;
        if self.events.iter().any(|event| event.data.u64() == TIMER) {
            self.set_for = None;
        }
        let told = self.events.iter().filter(|event| event.data.u64() != TIMER).map(|event| {
            // The fields of a packed structure are copied before they are looked at.
            let (data, flags) = (event.data.u64(), event.flags);
            let failed = flags.intersects(Flags::ERR | Flags::HUP);
            let readable = failed || flags.intersects(Flags::IN | Flags::RDHUP);
            (Token::unpack(data), readable, failed || flags.contains(Flags::OUT))
        });
        told.collect()
    }
}

impl Token {
    fn pack(self) -> u64 {
        match self {
            Self::Listener => LISTENER,
            Self::Orders => ORDERS,
            Self::End { key, side } => (key as u64) << 1 | side as u64,
        }
    }

    fn unpack(data: u64) -> Self {
        match data {
            LISTENER => Self::Listener,
            ORDERS => Self::Orders,
            _ => Self::End {
                key: usize::try_from(data >> 1).unwrap_or(usize::MAX),
                side: usize::from(data & 1 == 1),
            },
        }
    }
}

fn timespec(duration: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: duration.subsec_nanos().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_its_way_through_the_kernel() {
        for token in [
            Token::Listener,
            Token::Orders,
            Token::End { key: 0, side: 1 },
            Token::End { key: 12_345, side: 0 },
        ] {
            assert_eq!(Token::unpack(token.pack()), token);
        }
    }
}
