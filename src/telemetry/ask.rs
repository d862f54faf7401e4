//! Asks a running service's admin side: one request, one answer, and nothing kept open.
//!
//! **Invariant:** an answer takes no longer than [`PATIENCE`] and holds no more than [`MOST_BYTES`], whatever is at the other side.

use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use socket2::{Domain, SockAddr, Socket, Type};

use crate::config::admin::Place;

/// How long a question and its answer may take together.
pub const PATIENCE: Duration = Duration::from_secs(5);
/// The largest answer: a listing of [`super::listing::MOST_ROWS`] rows is a twentieth of it.
pub const MOST_BYTES: usize = 64 * 1024 * 1024;
/// Header lines of an answer that are understood.
const MOST_HEADERS: usize = 32;
/// Says which service is meant; another one answers 421 (RFC 9110, section 15.5.20).
pub const MEANT_PORT: &str = "Plimsoll-Port";

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// All of the body.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody is there.
    #[error(
        "no service answers at {place}: {source}. Is it running? Name it by --port, by --admin-socket PATH or by --admin ADDR:PORT, \
         as its first lines say"
    )]
    Unreached {
        /// Where.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody is, and does not answer in time, or stops half-way.
    #[error("{place} gives no whole answer within {} s: {source}", PATIENCE.as_secs())]
    Silent {
        /// Where.
        place: String,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody else is.
    #[error(
        "{place} does not answer as a service of ours: is another program there? Name ours by --port, --admin-socket or --admin"
    )]
    Foreign {
        /// Where.
        place: String,
    },
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Asks the first place that is reached, in this order; the error is of the first one.
pub fn ask_first(places: &[Place], method: &str, path: &str) -> Result<Answer, Error> {
    let mut first = None;
    for place in places {
        match ask(place, method, path) {
            // Another service than the one that is meant is none at all.
            Ok(answer) if answer.status == 421 => {
                let source = io::Error::other(answer.text().trim_end().to_owned());
                first.get_or_insert(Error::Unreached { place: place.to_string(), source });
            }
            Err(error @ Error::Unreached { .. }) => drop(first.get_or_insert(error)),
            answered => return answered,
        }
    }
    Err(first.unwrap_or_else(|| Error::Unreached {
        place: "no place".into(),
        source: io::ErrorKind::AddrNotAvailable.into(),
    }))
}

/// Asks there; `path` begins with `/` and may have a query.
pub fn ask(place: &Place, method: &str, path: &str) -> Result<Answer, Error> {
    let end = Instant::now() + PATIENCE;
    let socket = connect(place).map_err(|source| Error::Unreached { place: place.to_string(), source })?;
    let (host, meant) = match place {
        Place::Tcp { address, of_port: Some(port) } => {
            (address.to_string(), format!("{MEANT_PORT}: {port}\r\n"))
        }
        Place::Tcp { address, of_port: None } => (address.to_string(), String::new()),
        Place::Socket(_) => ("localhost".into(), String::new()),
    };
    let request = format!(
        "{method} {path} HTTP/1.1\r\nHost: {host}\r\n{meant}Content-Length: 0\r\nConnection: close\r\n\r\n"
    );
    let bytes = exchange(socket, request.as_bytes(), end)
        .map_err(|source| Error::Silent { place: place.to_string(), source })?;
    read(&bytes).ok_or_else(|| Error::Foreign { place: place.to_string() })
}

fn connect(place: &Place) -> io::Result<Socket> {
    match place {
        Place::Tcp { address, .. } => {
            let socket = Socket::new(Domain::for_address(*address), Type::STREAM, None)?;
            socket.connect_timeout(&SockAddr::from(*address), PATIENCE)?;
            Ok(socket)
        }
        Place::Socket(path) => {
            let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
            // A full backlog holds a connect up for as long as a write may take (unix(7), SO_SNDTIMEO).
            socket.set_write_timeout(Some(PATIENCE))?;
            socket.connect(&SockAddr::unix(Path::new(path))?)?;
            Ok(socket)
        }
    }
}

/// Sends the request and reads until the other side closes.
fn exchange(mut socket: Socket, request: &[u8], end: Instant) -> io::Result<Vec<u8>> {
    let left = || match end.saturating_duration_since(Instant::now()) {
        left if left.is_zero() => Err(io::Error::from(io::ErrorKind::TimedOut)),
        left => Ok(left),
    };
    socket.set_write_timeout(Some(left()?))?;
    socket.write_all(request)?;
    let mut bytes = Vec::new();
    let mut part = vec![0; 64 * 1024];
    loop {
        socket.set_read_timeout(Some(left()?))?;
        match socket.read(&mut part) {
            Ok(0) => return Ok(bytes),
            Ok(count) if bytes.len() + count > MOST_BYTES => {
                return Err(io::Error::other(format!("it is larger than {MOST_BYTES} bytes")));
            }
            Ok(count) => bytes.extend_from_slice(&part[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return Err(io::ErrorKind::TimedOut.into());
            }
            Err(error) => return Err(error),
        }
    }
}

/// The answer in these bytes, if it is a whole one.
fn read(bytes: &[u8]) -> Option<Answer> {
    let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
    let mut head = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = head.parse(bytes).ok()? else { return None };
    let body = &bytes[length..];
    let announced = head.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-length"))?;
    let announced: usize = std::str::from_utf8(announced.value).ok()?.parse().ok()?;
    (body.len() == announced).then(|| Answer { status: head.code.unwrap_or_default(), body: body.to_vec() })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// What asking a stand-in that sends these bytes and closes comes to.
    fn answered(bytes: &'static str) -> Result<Answer, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let place = Place::Tcp { address: listener.local_addr().unwrap(), of_port: Some(8080) };
        let other = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let read = stream.read(&mut request).unwrap();
            stream.write_all(bytes.as_bytes()).unwrap();
            String::from_utf8_lossy(&request[..read]).into_owned()
        });
        let answer = ask_first(&[place], "GET", "/readyz");
        assert!(other.join().unwrap().contains("\r\nPlimsoll-Port: 8080\r\n"));
        answer
    }

    #[test]
    fn a_whole_answer_is_taken_whatever_its_status() {
        let answer = answered("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nwhy?\n").unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (503, "why?\n"));
    }

    #[test]
    fn a_short_or_foreign_answer_is_none() {
        for bytes in ["", "SSH-2.0-x\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf"] {
            assert!(matches!(answered(bytes), Err(Error::Foreign { .. })), "{bytes:?}");
        }
    }

    #[test]
    fn another_service_than_the_one_that_is_meant_counts_as_none() {
        let why =
            answered("HTTP/1.1 421 Misdirected Request\r\nContent-Length: 6\r\n\r\nother\n").unwrap_err();
        assert!(matches!(&why, Error::Unreached { source, .. } if source.to_string() == "other"), "{why}");
    }

    #[test]
    fn where_nobody_is_the_error_names_the_place_and_the_way_out() {
        let folder = tempfile::tempdir().unwrap();
        let place = Place::Socket(folder.path().join("none.sock"));
        let why = ask_first(&[place], "GET", "/").unwrap_err().to_string();
        assert!(why.contains("none.sock") && why.contains("--port"), "{why}");
    }
}
