//! The socket on which systemd hears of the service: one datagram for each word (`sd_notify(3)`).
//!
//! **Invariant:** telling takes no longer than [`PATIENCE`], whoever listens or does not.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// How long a word may wait for room in the socket of whoever hears it.
const PATIENCE: Duration = Duration::from_millis(500);

/// The way to the service's manager.
#[derive(Debug)]
pub(super) struct Notify {
    socket: UnixDatagram,
    to: SocketAddr,
}

impl Notify {
    /// As `NOTIFY_SOCKET` names it; none where it names nothing.
    pub(super) fn from_environment() -> Result<Option<Self>, String> {
        match std::env::var_os("NOTIFY_SOCKET").filter(|name| !name.is_empty()) {
            None => Ok(None),
            Some(name) => {
                Self::to(&name).map(Some).map_err(|why| format!("NOTIFY_SOCKET is {}: {why}", name.display()))
            }
        }
    }

    /// A path, or a name in the abstract namespace behind an `@` (unix(7)).
    fn to(name: &OsStr) -> Result<Self, String> {
        let to = match name.as_bytes() {
            [b'/', ..] => SocketAddr::from_pathname(name),
            [b'@', name @ ..] => of_abstract(name),
            _ => return Err("neither an absolute path nor a name behind an @".into()),
        };
        let to = to.map_err(|error| error.to_string())?;
        let socket = UnixDatagram::unbound().map_err(|error| error.to_string())?;
        socket.set_write_timeout(Some(PATIENCE)).map_err(|error| error.to_string())?;
        Ok(Self { socket, to })
    }

    /// Sends lines of `NAME=value`.
    pub(super) fn send(&self, state: &str) -> std::io::Result<()> {
        self.socket.send_to_addr(state.as_bytes(), &self.to).map(drop)
    }
}

/// The abstract namespace is Linux's alone.
#[cfg(target_os = "linux")]
fn of_abstract(name: &[u8]) -> std::io::Result<SocketAddr> {
    <SocketAddr as std::os::linux::net::SocketAddrExt>::from_abstract_name(name)
}

#[cfg(not(target_os = "linux"))]
fn of_abstract(_: &[u8]) -> std::io::Result<SocketAddr> {
    Err(std::io::ErrorKind::Unsupported.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hear(socket: &UnixDatagram) -> String {
        let mut word = [0; 64];
        let length = socket.recv(&mut word).unwrap();
        String::from_utf8(word[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_word_goes_to_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify");
        let listener = UnixDatagram::bind(&path).unwrap();
        Notify::to(path.as_os_str()).unwrap().send("READY=1").unwrap();
        assert_eq!(hear(&listener), "READY=1");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_word_goes_to_an_abstract_name() {
        let name = format!("plimsoll-{}", std::process::id());
        let listener = UnixDatagram::bind_addr(&of_abstract(name.as_bytes()).unwrap()).unwrap();
        Notify::to(OsStr::new(&format!("@{name}"))).unwrap().send("WATCHDOG=1").unwrap();
        assert_eq!(hear(&listener), "WATCHDOG=1");
    }

    #[test]
    fn a_name_that_is_no_address_is_refused() {
        let why = Notify::to(OsStr::new("vsock:2:1234")).unwrap_err();
        assert!(why.contains("absolute path"), "{why}");
    }
}
