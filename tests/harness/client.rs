//! An HTTP client that hides nothing: it sends the bytes it is given and reads one response at a time.
//!
//! **Invariant:** a read never waits longer than its limit, and bytes past a response are kept for the next one.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::patience::PATIENCE;
use super::requests::{request, request_with};
use super::response::Response;

/// How a wait for bytes ended.
#[derive(Debug, PartialEq, Eq)]
enum Arrival {
    Bytes,
    Closed,
    Reset,
    Nothing,
}

/// One TCP connection to the server.
pub(crate) struct Client {
    stream: TcpStream,
    buffered: Vec<u8>,
}

impl Client {
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::try_connect(address).unwrap_or_else(|error| panic!("{address}: {error}"))
    }

    pub(crate) fn try_connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream, buffered: Vec::new() })
    }

    /// Sends bytes exactly as given.
    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.try_send(bytes).expect("the server to take the bytes");
    }

    /// The same where the server may close before it has read them all.
    pub(crate) fn try_send(&mut self, bytes: impl AsRef<[u8]>) -> std::io::Result<()> {
        self.stream.write_all(bytes.as_ref())
    }

    /// Sends no more, and goes on reading.
    pub(crate) fn half_close(&self) {
        self.stream.shutdown(Shutdown::Write).expect("the writing half to close");
    }

    /// A second handle on the same connection, to write from another thread.
    pub(crate) fn writer(&self) -> TcpStream {
        self.stream.try_clone().expect("a second handle")
    }

    /// The port that the server knows it by.
    pub(crate) fn port(&self) -> u16 {
        self.stream.local_addr().expect("a connected socket").port()
    }

    /// GET on the open connection.
    pub(crate) fn get(&mut self, target: &str) -> Response {
        self.send(request("GET", target));
        self.receive()
    }

    /// HEAD on the open connection: the answer has no body.
    pub(crate) fn head(&mut self, target: &str) -> Response {
        self.send(request("HEAD", target));
        self.receive_without_body()
    }

    /// Any method on the open connection.
    pub(crate) fn ask(&mut self, method: &str, target: &str, headers: &[&str]) -> Response {
        self.send(request_with(method, target, headers));
        self.receive()
    }

    /// The next response; panics where none comes.
    pub(crate) fn receive(&mut self) -> Response {
        self.try_receive().unwrap_or_else(|why| panic!("no response: {why}"))
    }

    /// The next response, or why there is none.
    pub(crate) fn try_receive(&mut self) -> Result<Response, String> {
        let mut response = Response::parse_head(&self.take_head()?);
        assert_eq!(response.all("transfer-encoding"), Vec::<&str>::new(), "a chunked answer: {response:?}");
        let length = match response.status {
            100..200 | 204 | 304 => 0,
            _ => response.content_length().unwrap_or_else(|| panic!("no Content-Length in {response:?}")),
        };
        while self.buffered.len() < length {
            match self.fill(PATIENCE) {
                Arrival::Bytes => {}
                other => return Err(format!("{other:?} within a body of {length} bytes: {response:?}")),
            }
        }
        response.body = self.buffered.drain(..length).collect();
        Ok(response)
    }

    /// The next response where it answers a HEAD.
    pub(crate) fn receive_without_body(&mut self) -> Response {
        Response::parse_head(&self.take_head().unwrap_or_else(|why| panic!("no response: {why}")))
    }

    /// Panics unless the server closes now without another byte.
    pub(crate) fn expect_close(&mut self) {
        self.expect_close_within(PATIENCE);
    }

    pub(crate) fn expect_close_within(&mut self, limit: Duration) {
        let arrival = self.fill(limit);
        assert!(
            self.buffered.is_empty() && matches!(arrival, Arrival::Closed | Arrival::Reset),
            "expected a close, got {arrival:?} and {:?}",
            String::from_utf8_lossy(&self.buffered)
        );
    }

    /// Panics where a byte or a close comes within this time.
    pub(crate) fn expect_silence(&mut self, time: Duration) {
        let arrival = self.fill(time);
        assert_eq!(arrival, Arrival::Nothing, "and {:?}", String::from_utf8_lossy(&self.buffered));
    }

    /// Whether a further response has begun to arrive already.
    pub(crate) fn has_more(&self) -> bool {
        !self.buffered.is_empty()
    }

    /// Whether the server has sent anything, or closed, that was not read yet; does not wait.
    pub(crate) fn arrived(&self) -> bool {
        self.stream.set_nonblocking(true).expect("a look without waiting");
        let looked = self.stream.peek(&mut [0]);
        self.stream.set_nonblocking(false).expect("waiting again");
        !matches!(looked, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    fn take_head(&mut self) -> Result<Vec<u8>, String> {
        let mut searched = 0;
        loop {
            let from = usize::saturating_sub(searched, 3);
            if let Some(at) = self.buffered[from..].windows(4).position(|window| window == b"\r\n\r\n") {
                return Ok(self.buffered.drain(..from + at + 4).collect());
            }
            searched = self.buffered.len();
            match self.fill(PATIENCE) {
                Arrival::Bytes => {}
                other => {
                    return Err(format!("{other:?} after {:?}", String::from_utf8_lossy(&self.buffered)));
                }
            }
        }
    }

    fn fill(&mut self, limit: Duration) -> Arrival {
        let deadline = Instant::now() + limit;
        let mut chunk = [0; 16 * 1024];
        loop {
            let left = deadline.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
            self.stream.set_read_timeout(Some(left)).expect("a limit for reads");
            match self.stream.read(&mut chunk) {
                Ok(0) => return Arrival::Closed,
                Ok(count) => {
                    self.buffered.extend_from_slice(&chunk[..count]);
                    return Arrival::Bytes;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Arrival::Nothing;
                }
                Err(_) => return Arrival::Reset,
            }
        }
    }
}
