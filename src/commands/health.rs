//! `plimsoll health`: asks a running service whether it answers.
//!
//! **Invariant:** it ends within two seconds, whatever the other side does.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::fail;
use crate::config::HealthArgs;
use crate::exit::Exit;

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks `/json` and wants a 200.
pub(crate) fn run(args: &HealthArgs) -> Exit {
    let address = SocketAddr::new(reachable(args.host), args.port);
    match ask(address) {
        Ok(status) if status.starts_with("HTTP/1.1 200 ") => Exit::Done,
        Ok(status) => fail(Exit::Failed, format_args!("{address} answered {:?}", status.trim_end())),
        Err(error) => fail(Exit::Failed, format_args!("{address} does not answer: {error}")),
    }
}

/// An address that listens for all is asked through the loopback.
fn reachable(host: IpAddr) -> IpAddr {
    match host {
        IpAddr::V4(address) if address.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(address) if address.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        given => given,
    }
}

/// The status line of the answer.
fn ask(address: SocketAddr) -> std::io::Result<String> {
    let end = Instant::now() + PATIENCE;
    let left = || end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    let mut stream = TcpStream::connect_timeout(&address, left())?;
    stream.set_write_timeout(Some(left()))?;
    let request = format!("GET /json HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut part = [0; 512];
    while !answer.contains(&b'\n') {
        stream.set_read_timeout(Some(left()))?;
        match stream.read(&mut part)? {
            0 => break,
            read => answer.extend_from_slice(&part[..read]),
        }
        if Instant::now() >= end {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
    }
    Ok(String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_all_is_asked_through_the_loopback() {
        assert_eq!(reachable("0.0.0.0".parse().unwrap()), IpAddr::V4(Ipv4Addr::LOCALHOST));
        assert_eq!(reachable("::".parse().unwrap()), IpAddr::V6(Ipv6Addr::LOCALHOST));
        assert_eq!(reachable("192.0.2.1".parse().unwrap()), "192.0.2.1".parse::<IpAddr>().unwrap());
    }
}
