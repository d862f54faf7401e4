//! The control channel between the supervisor and one child: a Unix socket that is the child's standard input.
//!
//! First the supervisor passes descriptors (unix(7), `SCM_RIGHTS`), each message with one byte: `?` with the child's end of its
//! telemetry channel, then the listeners, `+` where more follow, `.` in the last. Then both sides send lines: an [`Order`] down, a [`Report`] up. The end of the channel is the end of the other side.
//!
//! **Invariant:** whoever reads is never held up for good: the child's first read ends with the supervisor, every later one is a
//! task's.

use std::io::{self, IoSlice, IoSliceMut, Write as _};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::cmsg_space;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};

use crate::database::Word;
use crate::server::Placement;

/// The lines that the other side sends.
pub(super) type Incoming = Lines<BufReader<tokio::net::UnixStream>>;

/// Descriptors in one message; the kernel takes 253 at the most (`SCM_MAX_FD`).
const MOST_IN_A_MESSAGE: usize = 250;

/// How long each message with listeners may wait for room in the channel; lines do not wait.
const PATIENCE: Duration = Duration::from_secs(1);

/// What the supervisor tells a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    /// Leave the listeners to the successor, answer what is open, end.
    Retire,
    /// The service ends: empty the backlogs, close the listeners, answer what is open, end.
    Drain,
    /// End at once.
    End,
    /// Say whether all event loops have turned since this was last asked.
    Beat,
}

/// What a child tells the supervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Report {
    /// It accepts connections; its workers run as placed.
    Ready(Placement),
    /// It was told by somebody else to end, or lost a worker, and is to be told how: to retire, or to drain.
    Leaving,
    /// All its event loops have turned since it was last asked.
    Turning,
    /// What it knows of the database is this now.
    Database(Word),
}

/// What a line about the database begins with; the rest is JSON.
const DATABASE: &str = "database ";

impl Order {
    const ALL: [(Self, &'static str); 4] =
        [(Self::Retire, "retire"), (Self::Drain, "drain"), (Self::End, "end"), (Self::Beat, "beat")];

    fn word(self) -> &'static str {
        Self::ALL.iter().find(|(order, _)| *order == self).map_or("", |(_, word)| word)
    }

    fn read(line: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, word)| *word == line).map(|(order, _)| *order)
    }
}

impl Report {
    fn line(&self) -> String {
        match self {
            Self::Ready(Placement { batch, pinned }) => format!("ready {batch} {pinned}"),
            Self::Leaving => "leaving".into(),
            Self::Turning => "turning".into(),
            Self::Database(word) => {
                format!("{DATABASE}{}", serde_json::to_string(word).unwrap_or_default())
            }
        }
    }

    fn read(line: &str) -> Option<Self> {
        if let Some(word) = line.strip_prefix(DATABASE) {
            return serde_json::from_str(word).ok().map(Self::Database);
        }
        match line.split(' ').collect::<Vec<_>>()[..] {
            ["ready", batch, pinned] => {
                let placement = Placement { batch: batch.parse().ok()?, pinned: pinned.parse().ok()? };
                Some(Self::Ready(placement))
            }
            ["leaving"] => Some(Self::Leaving),
            ["turning"] => Some(Self::Turning),
            _ => None,
        }
    }
}

/// Passes the telemetry channel and the listeners on.
pub(super) fn pass_on(
    channel: &UnixStream,
    answers: &UnixStream,
    listeners: &[TcpListener],
) -> io::Result<()> {
    channel.set_write_timeout(Some(PATIENCE))?;
    send_descriptors(channel, b"?", &[answers.as_fd()])?;
    let messages = listeners.chunks(MOST_IN_A_MESSAGE);
    let last = messages.len().saturating_sub(1);
    for (index, listeners) in messages.enumerate() {
        let descriptors: Vec<BorrowedFd<'_>> = listeners.iter().map(TcpListener::as_fd).collect();
        send_descriptors(channel, if index == last { b"." } else { b"+" }, &descriptors)?;
    }
    Ok(())
}

fn send_descriptors(channel: &UnixStream, mark: &[u8], descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST_IN_A_MESSAGE))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(io::Error::other("too many descriptors for one message"));
    }
    sendmsg(channel, &[IoSlice::new(mark)], &mut control, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// What a child is given besides its orders.
#[derive(Debug)]
pub(crate) struct Received {
    /// Those of its workers, in order.
    pub(crate) listeners: Vec<TcpListener>,
    /// Its end of the telemetry channel.
    pub(crate) answers: UnixStream,
}

/// Takes what the supervisor passes on; waits for it.
pub(crate) fn receive(channel: &UnixStream) -> io::Result<Received> {
    let (mut listeners, mut answers) = (Vec::new(), None);
    loop {
        let mut mark = [0];
        let mut space = [MaybeUninit::uninit(); cmsg_space!(ScmRights(MOST_IN_A_MESSAGE))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received =
            recvmsg(channel, &mut [IoSliceMut::new(&mut mark)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
        let mut descriptors: Vec<OwnedFd> = Vec::new();
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(passed) = message {
                descriptors.extend(passed);
            }
        }
        if received.flags.contains(rustix::net::ReturnFlags::CTRUNC) {
            return Err(io::Error::other(
                "there are not descriptors enough for all listeners: raise RLIMIT_NOFILE",
            ));
        }
        match (received.bytes, mark) {
            (1, [b'?']) => answers = descriptors.pop().map(UnixStream::from),
            (1, [b'+' | b'.']) => listeners.extend(descriptors.into_iter().map(TcpListener::from)),
            (0, _) => return Err(io::ErrorKind::UnexpectedEof.into()),
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
        if mark == [b'.'] {
            let answers = answers.ok_or(io::ErrorKind::InvalidData)?;
            return Ok(Received { listeners, answers });
        }
    }
}

/// The supervisor's end, once the listeners are passed on.
pub(super) fn split(channel: UnixStream) -> io::Result<(Incoming, UnixStream)> {
    channel.set_nonblocking(true)?;
    // Written to past the runtime, which would first have to hear that there is room.
    let writer = channel.try_clone()?;
    Ok((BufReader::new(tokio::net::UnixStream::from_std(channel)?).lines(), writer))
}

/// Sends a line; a channel without room belongs to somebody who does not read, and one without an end to nobody.
fn send(mut writer: &UnixStream, line: &str) {
    if let Err(error) = writer.write_all(format!("{line}\n").as_bytes()) {
        tracing::debug!("`{line}` is not heard: {error}");
    }
}

/// Gives a child an order.
pub(super) fn order(writer: &UnixStream, order: Order) {
    send(writer, order.word());
}

/// The next report of a child; none once it has ended. What is not understood comes from another version, and is passed over.
pub(super) async fn next_report(reader: &mut Incoming) -> Option<Report> {
    while let Ok(Some(line)) = reader.next_line().await {
        if let Some(report) = Report::read(&line) {
            return Some(report);
        }
    }
    None
}

/// The child's end of the channel, once it has its listeners.
pub(crate) struct Superior {
    reader: Incoming,
    writer: UnixStream,
}

impl Superior {
    /// Must be made on a runtime with I/O.
    pub(crate) fn new(channel: UnixStream) -> io::Result<Self> {
        let (reader, writer) = split(channel)?;
        Ok(Self { reader, writer })
    }

    /// Tells the supervisor.
    #[expect(clippy::needless_pass_by_value, reason = "who reports has no further use for it")]
    pub(crate) fn report(&self, report: Report) {
        send(&self.writer, &report.line());
    }

    /// The next order; none when the supervisor is gone.
    pub(crate) async fn next_order(&mut self) -> Option<Order> {
        while let Ok(Some(line)) = self.reader.next_line().await {
            if let Some(order) = Order::read(&line) {
                return Some(order);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_as_what_was_written() {
        for (order, _) in Order::ALL {
            assert_eq!(Order::read(order.word()), Some(order));
        }
        for (batch, pinned) in [(false, false), (true, false), (false, true)] {
            let report = Report::Ready(Placement { batch, pinned });
            assert_eq!(Report::read(&report.line()), Some(report));
        }
        for report in [Report::Leaving, Report::Turning, Report::Database(Word::default())] {
            assert_eq!(Report::read(&report.line()), Some(report));
        }
        assert_eq!((Order::read("dance"), Report::read("ready"), Report::read("")), (None, None, None));
    }

    #[test]
    fn more_listeners_than_a_message_holds_arrive_in_order() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let second = TcpListener::bind("127.0.0.1:0").unwrap();
        let listeners: Vec<TcpListener> =
            (0..600).map(|index| if index == 251 { &second } else { &first }.try_clone().unwrap()).collect();
        let (questions, answers) = UnixStream::pair().unwrap();
        pass_on(&ours, &answers, &listeners).unwrap();
        let Received { listeners: received, answers } = receive(&theirs).unwrap();
        drop(questions);
        assert_eq!(io::Read::read(&mut &answers, &mut [0]).unwrap(), 0, "it is the other end of ours");
        let ports = |listeners: &[TcpListener]| {
            listeners.iter().map(|one| one.local_addr().unwrap().port()).collect::<Vec<_>>()
        };
        assert_eq!(ports(&received), ports(&listeners));
    }

    #[test]
    fn a_supervisor_that_ends_before_the_last_listener_is_an_error() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(ours);
        assert_eq!(receive(&theirs).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
