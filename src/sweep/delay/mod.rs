//! A wire of any length: passes bytes between loopback and a server, each direction after half of a round-trip time.
//!
//! One thread, one event loop by [`crate::load::poll`], two [`way`]s for each connection. Every byte is as late as every other, so
//! that what falls due does so in the order in which it was read, and one queue says what is next. The kernel's own delay (`tc netem`)
//! wants root and a module that not every kernel has; this wants neither. As with netem on loopback, the opening of a connection is
//! answered by this machine at once; what is said over it takes its time.
//!
//! **Invariant:** no byte is passed on earlier than its time, out of order, or twice, and no more than [`MOST_FLYING`] of them are kept for
//! one direction of a connection: then its sender waits.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use slab::Slab;
use socket2::{Domain, Socket, Type};

use crate::config::duration;
use crate::load::poll::Poll;

mod token;
mod way;

use token::Token;
use way::{Outcome, Way};

/// Bytes that are kept for one direction of a connection at the most.
pub(crate) const MOST_FLYING: usize = 1 << 20;
/// Bytes of a line of orders, at the most.
const LONGEST_ORDER: usize = 64;
/// Orders that are read at once: as much as a pipe takes whole (pipe(7), `PIPE_BUF`).
const ORDERS_AT_ONCE: usize = 4096;
/// How long nothing need happen.
const LONGEST_WAIT: Duration = Duration::from_hours(1);
/// Connections at once; one more is closed as it comes.
const MOST_LINES: usize = 16_384;

/// One connection, and where it leads.
struct Line {
    /// Tells it from one that had its place before.
    serial: u64,
    /// The client's end, and the server's.
    ends: [TcpStream; 2],
    /// From the client, and from the server.
    ways: [Way; 2],
}

/// What falls due when: the way `side` of a line.
struct Due {
    at: Instant,
    key: usize,
    serial: u64,
    side: usize,
}

struct Wire {
    poll: Poll,
    listener: TcpListener,
    to: SocketAddr,
    one_way: Duration,
    lines: Slab<Line>,
    serials: u64,
    agenda: VecDeque<Due>,
    /// The moment for which the timer is set.
    set_for: Option<Instant>,
}

/// Passes bytes on until the other end of `orders` closes, which must be a pipe or a socket. A line that comes by it is another delay
/// of each direction (`1.5ms`), for what is read from then on.
pub(crate) fn run(
    listener: TcpListener,
    to: SocketAddr,
    one_way: Duration,
    orders: impl AsFd,
) -> io::Result<()> {
    let poll = Poll::new()?;
    listener.set_nonblocking(true)?;
    poll.add(&listener, Token::Listener.pack())?;
    poll.add(&orders, Token::Orders.pack())?;
    let mut words = Vec::new();
    let mut wire = Wire {
        poll,
        listener,
        to,
        one_way,
        lines: Slab::new(),
        serials: 0,
        agenda: VecDeque::new(),
        set_for: None,
    };
    loop {
        wire.wait()?;
        for index in 0..wire.poll.len() {
            let Some(event) = wire.poll.event(index) else {
                wire.set_for = None;
                continue;
            };
            match Token::unpack(event.token) {
                Token::Orders => {
                    if let Some(one_way) = read_orders(&orders, &mut words)? {
                        wire.one_way = one_way;
                    }
                    // What was written before the end was read just now.
                    if event.closed {
                        return Ok(());
                    }
                }
                Token::Listener => wire.accept(),
                Token::End { key, side } => wire.wake(key, side, event.readable, event.writable),
            }
        }
        wire.release();
    }
}

/// Reads what is there; the last whole line counts, and none where there is no whole one.
fn read_orders(orders: &impl AsFd, words: &mut Vec<u8>) -> io::Result<Option<Duration>> {
    let mut part = [0; ORDERS_AT_ONCE];
    let read = rustix::io::read(orders, &mut part)?;
    words.extend_from_slice(&part[..read]);
    let Some(end) = words.iter().rposition(|byte| *byte == b'\n') else {
        let is_long = words.len() > LONGEST_ORDER;
        return if is_long { Err(io::ErrorKind::InvalidData.into()) } else { Ok(None) };
    };
    let text = String::from_utf8_lossy(&words[..end]).into_owned();
    words.drain(..=end);
    let line = text.rsplit('\n').next().unwrap_or_default();
    duration::parse_or_zero(line.trim()).map(Some).map_err(io::Error::other)
}

impl Wire {
    /// Waits until something happens or falls due.
    fn wait(&mut self) -> io::Result<()> {
        let due = self.agenda.front().map(|due| due.at);
        let left = due.map_or(LONGEST_WAIT, |at| at.saturating_duration_since(Instant::now()));
        let is_new = due.is_some() && self.set_for != due;
        if is_new && !left.is_zero() {
            self.set_for = due;
        }
        self.poll.wait(left, is_new)
    }

    fn accept(&mut self) {
        // An error is of one connection, or of descriptors that will be free again: the next one tries anew.
        while let Ok((client, _)) = self.listener.accept() {
            if self.lines.len() < MOST_LINES {
                // One that cannot be led on is closed, which its client sees.
                let _ = self.open(client);
            }
        }
    }

    fn open(&mut self, client: TcpStream) -> io::Result<()> {
        let server = Socket::new(Domain::for_address(self.to), Type::STREAM, None)?;
        server.set_nonblocking(true)?;
        match server.connect(&self.to.into()) {
            Err(error) if error.raw_os_error() != Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {
                return Err(error);
            }
            _ => {}
        }
        let ends = [client, TcpStream::from(server)];
        for end in &ends {
            end.set_nonblocking(true)?;
            end.set_nodelay(true)?;
        }
        self.serials += 1;
        let entry = self.lines.vacant_entry();
        for (side, end) in ends.iter().enumerate() {
            self.poll.add(end, Token::End { key: entry.key(), side }.pack())?;
        }
        entry.insert(Line { serial: self.serials, ends, ways: [Way::default(), Way::default()] });
        Ok(())
    }

    /// One end of a line may be read or written again.
    fn wake(&mut self, key: usize, side: usize, readable: bool, writable: bool) {
        let Some(line) = self.lines.get_mut(key) else { return };
        line.ways[side].may_read |= readable;
        line.ways[1 - side].may_write |= writable;
        self.turn(key, side);
        self.turn(key, 1 - side);
    }

    /// Passes on what has had its time.
    fn release(&mut self) {
        while let Some(due) = self.agenda.pop_front_if(|due| due.at <= Instant::now()) {
            if let Some(line) = self.lines.get_mut(due.key).filter(|line| line.serial == due.serial) {
                line.ways[due.side].release();
                self.turn(due.key, due.side);
            }
        }
    }

    /// Writes what may be written of one way and reads what may be read; takes the line away when it is at its end.
    fn turn(&mut self, key: usize, side: usize) {
        let Some(line) = self.lines.get_mut(key) else { return };
        let Line { serial, ends, ways } = line;
        let (from, into) = (&ends[side], &ends[1 - side]);
        loop {
            let outcome = ways[side].write(into);
            if outcome == Outcome::Broken {
                // The other way has nobody left to read it either, or will find out by itself: as a dead machine would leave it.
                self.lines.remove(key);
                return;
            }
            let read = ways[side].read(from);
            // Where the way has become shorter, bytes do not overtake those that are on it.
            let soonest = Instant::now() + self.one_way;
            let at = self.agenda.back().map_or(soonest, |last| last.at.max(soonest));
            self.agenda.extend((0..read).map(|_| Due { at, key, serial: *serial, side }));
            if outcome == Outcome::Idle || read == 0 {
                break;
            }
        }
        if ways.iter().all(Way::is_over) {
            self.lines.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, Shutdown};
    use std::thread;

    use super::*;

    /// A wire to this address, and what ends it.
    fn wire(
        to: SocketAddr,
        one_way: Duration,
    ) -> (SocketAddr, io::PipeWriter, thread::JoinHandle<io::Result<()>>) {
        let (reader, writer) = io::pipe().unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        (address, writer, thread::spawn(move || run(listener, to, one_way, reader)))
    }

    fn server() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    /// Bytes without a pattern that a fault could hide in (a linear congruential generator).
    fn noise(count: usize) -> Vec<u8> {
        let mut state = 1_u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        (0..count).map(|_| next()).collect()
    }

    #[test]
    fn bytes_cut_anywhere_arrive_unharmed_both_ways_and_an_end_is_passed_on() {
        let (listener, to) = server();
        let (address, stop, ran) = wire(to, Duration::from_micros(300));
        // More than is kept on the way, so that senders have to wait; the echo reads slowly, by a prime number of bytes.
        let sent = noise(3 * MOST_FLYING);
        let echo = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut part = [0; 7919];
            loop {
                match stream.read(&mut part).unwrap() {
                    0 => return,
                    read => stream.write_all(&part[..read]).unwrap(),
                }
            }
        });
        let client = TcpStream::connect(address).unwrap();
        let mut writer = client.try_clone().unwrap();
        let copy = sent.clone();
        let writing = thread::spawn(move || {
            let mut rest = copy.as_slice();
            let mut length = 1;
            while !rest.is_empty() {
                let (part, after) = rest.split_at(length.min(rest.len()));
                writer.write_all(part).unwrap();
                (rest, length) = (after, length * 3 % 50_021 + 1);
            }
            writer.shutdown(Shutdown::Write).unwrap();
        });
        let mut received = Vec::new();
        (&client).read_to_end(&mut received).unwrap();
        writing.join().unwrap();
        echo.join().unwrap();
        assert!(received == sent, "{} bytes of {} came back", received.len(), sent.len());
        drop(stop);
        ran.join().unwrap().unwrap();
    }

    #[test]
    fn nothing_arrives_before_its_time() {
        let (listener, to) = server();
        let one_way = Duration::from_millis(2);
        let (address, _stop, _) = wire(to, one_way);
        let mut client = TcpStream::connect(address).unwrap();
        let (mut other, _) = listener.accept().unwrap();
        let mut byte = [0];
        for round in 0..20 {
            let began = Instant::now();
            client.write_all(&[round]).unwrap();
            other.read_exact(&mut byte).unwrap();
            assert!(began.elapsed() >= one_way);
            other.write_all(&byte).unwrap();
            client.read_exact(&mut byte).unwrap();
            assert!(began.elapsed() >= 2 * one_way);
            assert_eq!(byte, [round]);
        }
    }

    #[test]
    fn another_length_holds_for_what_comes_after_it_and_nothing_overtakes() {
        let (listener, to) = server();
        let (address, mut orders, ran) = wire(to, Duration::ZERO);
        let mut client = TcpStream::connect(address).unwrap();
        let (mut other, _) = listener.accept().unwrap();
        let mut sent = Vec::new();
        for (length, order) in [(40, "20ms\n"), (30, "0ms\n"), (50, "10ms\n0"), (20, ".5ms\n")] {
            let bytes = noise(length);
            client.write_all(&bytes).unwrap();
            sent.extend(bytes);
            orders.write_all(order.as_bytes()).unwrap();
        }
        let mut received = vec![0; sent.len()];
        other.read_exact(&mut received).unwrap();
        assert_eq!(received, sent);
        orders.write_all(b"soon\n").unwrap();
        assert!(ran.join().unwrap().is_err(), "what is no delay is an error");
    }

    #[test]
    fn a_connection_that_ends_at_either_side_ends_at_the_other() {
        let (listener, to) = server();
        let (address, _stop, _) = wire(to, Duration::from_micros(100));
        for server_ends in [true, false] {
            let mut client = TcpStream::connect(address).unwrap();
            let (mut other, _) = listener.accept().unwrap();
            let (ending, waiting) =
                if server_ends { (&mut other, &mut client) } else { (&mut client, &mut other) };
            ending.shutdown(Shutdown::Both).unwrap();
            assert_eq!(waiting.read(&mut [0; 8]).unwrap(), 0);
        }
        drop(listener);
        let mut client = TcpStream::connect(address).unwrap();
        // Nobody listens there any more: an end or a reset, and no wait.
        assert!(matches!(client.read(&mut [0; 8]), Ok(0) | Err(_)));
    }
}
