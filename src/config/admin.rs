//! Where the admin side is: for `serve`, which opens it, and for the commands that ask it.
//!
//! **Invariant:** whoever serves and whoever asks work the socket's default path out by the same rule.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;

use super::layers::SettingsError;
use super::listen::DEFAULT_PORT;

/// Where reads are answered when nobody says otherwise.
pub const DEFAULT_ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9090);

/// A place, or none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Or<T> {
    /// There.
    At(T),
    /// Nowhere: `off`.
    Off,
}

/// The section of settings on the admin side.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Admin side")]
pub struct AdminArgs {
    /// Answer /healthz, /readyz, /metrics, /connections.json, /status.json and the live page there, reads only; or `off` [default: 127.0.0.1:9090, off when that is taken]
    #[arg(long, value_name = "ADDR:PORT", env = "PLIMSOLL_ADMIN", value_parser = parse_address)]
    pub admin: Option<Or<SocketAddr>>,
    /// Answer the same, and changes, on a Unix socket that only this user may open; or `off` [default: in the runtime directory, named by the port]
    #[arg(long, value_name = "PATH", env = "PLIMSOLL_ADMIN_SOCKET", value_parser = parse_path)]
    pub admin_socket: Option<Or<PathBuf>>,
}

/// A place of the admin side, as somebody who asks goes there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Over TCP: reads only.
    Tcp {
        /// Where.
        address: SocketAddr,
        /// The service that is meant, by a port that it serves on; another one is not to answer. None where any may.
        of_port: Option<u16>,
    },
    /// By a Unix socket: reads and changes.
    Socket(PathBuf),
}

impl<T: FromStr> FromStr for Or<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        if text.eq_ignore_ascii_case("off") { Ok(Self::Off) } else { text.parse().map(Self::At) }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { address, .. } => write!(formatter, "http://{address}"),
            Self::Socket(path) => write!(formatter, "{}", path.display()),
        }
    }
}

/// What was given of the two places.
type Given = (Option<Or<SocketAddr>>, Option<Or<PathBuf>>);

/// Where a running service is asked: what is given, else its socket, else 127.0.0.1:9090.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Which service")]
pub struct ReaderArgs {
    /// Ask there over TCP [env: `PLIMSOLL_ADMIN`] [default: 127.0.0.1:9090, where the socket does not answer]
    #[arg(long, value_name = "ADDR:PORT", value_parser = parse_address)]
    pub admin: Option<Or<SocketAddr>>,
    /// Ask by this Unix socket [env: `PLIMSOLL_ADMIN_SOCKET`] [default: in the runtime directory, named by --port]
    #[arg(long, value_name = "PATH", value_parser = parse_path)]
    pub admin_socket: Option<Or<PathBuf>>,
    /// The port that the service serves on; names its socket.
    #[arg(long, env = "PORT", default_value_t = DEFAULT_PORT)]
    pub port: u16,
}

/// Reads `ADDR:PORT` or `off`.
pub fn parse_address(text: &str) -> Result<Or<SocketAddr>, String> {
    text.parse()
        .map_err(|_| "write an address and a port, as in 127.0.0.1:9090 or [::1]:9090, or `off`".into())
}

/// Reads a path or `off`.
pub fn parse_path(text: &str) -> Result<Or<PathBuf>, String> {
    if text.is_empty() {
        return Err("write the path of a socket, or `off`".into());
    }
    text.parse().map_err(|_| "not a path".into())
}

/// The folder of admin sockets: in the runtime directory (XDG Base Directory Specification), which root has as `/run`; without one,
/// in the temporary folder.
pub fn socket_folder() -> PathBuf {
    let user = rustix::process::getuid();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|path| path.is_absolute());
    match runtime {
        _ if user.is_root() => PathBuf::from("/run/plimsoll"),
        Some(runtime) => runtime.join("plimsoll"),
        None => std::env::temp_dir().join(format!("plimsoll-{}", user.as_raw())),
    }
}

/// The socket of the service on this port, unless its settings say otherwise.
pub fn default_socket(port: u16) -> PathBuf {
    socket_folder().join(format!("{port}.sock"))
}

impl ReaderArgs {
    /// Where to ask, the first that answers first: what the flags name, else what the environment names, else the defaults.
    pub fn places(&self) -> Result<Vec<Place>, SettingsError> {
        let (admin, socket) = self.given()?;
        let tcp = |address| Place::Tcp { address, of_port: None };
        let by_default = Place::Socket(default_socket(self.port));
        let places = match (admin, socket) {
            (None, None) => {
                vec![by_default, Place::Tcp { address: DEFAULT_ADDRESS, of_port: Some(self.port) }]
            }
            (Some(Or::At(address)), None | Some(Or::Off)) => vec![tcp(address)],
            (Some(Or::At(address)), Some(Or::At(path))) => vec![Place::Socket(path), tcp(address)],
            (_, Some(Or::At(path))) => vec![Place::Socket(path)],
            (Some(Or::Off), None) => vec![by_default],
            (None, Some(Or::Off)) => vec![Place::Tcp { address: DEFAULT_ADDRESS, of_port: Some(self.port) }],
            (Some(Or::Off), Some(Or::Off)) => {
                let why =
                    "--admin and --admin-socket are both off: name the one where the service is to be asked";
                return Err(SettingsError::new(why));
            }
        };
        Ok(places)
    }

    /// The Unix socket, which alone takes changes.
    pub fn socket(&self) -> Result<Place, SettingsError> {
        match self.given()?.1 {
            Some(Or::At(path)) => Ok(Place::Socket(path)),
            None => Ok(Place::Socket(default_socket(self.port))),
            Some(Or::Off) => {
                let why =
                    "changes are taken by the Unix socket only, and --admin-socket is off: name the socket";
                Err(SettingsError::new(why))
            }
        }
    }

    /// What the flags say; the environment is asked where no flag says anything, so that a flag is not mixed with a variable.
    fn given(&self) -> Result<Given, SettingsError> {
        if self.admin.is_some() || self.admin_socket.is_some() {
            return Ok((self.admin.clone(), self.admin_socket.clone()));
        }
        Ok((read("PLIMSOLL_ADMIN", parse_address)?, read("PLIMSOLL_ADMIN_SOCKET", parse_path)?))
    }
}

/// A variable's value; one that is empty counts as not set.
fn read<T>(name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, SettingsError> {
    let Some(value) = std::env::var_os(name).filter(|value| !value.is_empty()) else { return Ok(None) };
    let value = value.to_string_lossy();
    parse(&value).map(Some).map_err(|why| SettingsError::new(format!("{name} is {value:?}: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(args: &ReaderArgs) -> Vec<String> {
        args.places().unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn without_a_word_the_socket_of_the_port_is_asked_and_then_the_default_address() {
        let args = ReaderArgs { port: 8081, ..ReaderArgs::default() };
        let socket = default_socket(8081).display().to_string();
        assert!(socket.ends_with("/8081.sock"), "{socket}");
        assert_eq!(places(&args), [socket, "http://127.0.0.1:9090".to_owned()]);
        let other = args.places().unwrap().pop();
        assert_eq!(other, Some(Place::Tcp { address: DEFAULT_ADDRESS, of_port: Some(8081) }));
    }

    #[test]
    fn what_is_given_wins_and_nothing_else_is_asked() {
        let admin = parse_address("[::1]:7").ok();
        let admin_socket = parse_path("/a.sock").ok();
        assert_eq!(places(&ReaderArgs { admin: admin.clone(), ..ReaderArgs::default() }), ["http://[::1]:7"]);
        let both = ReaderArgs { admin, admin_socket: admin_socket.clone(), port: 1 };
        assert_eq!(places(&both), ["/a.sock", "http://[::1]:7"]);
        assert_eq!(places(&ReaderArgs { admin_socket, ..ReaderArgs::default() }), ["/a.sock"]);
        let off = ReaderArgs { admin: Some(Or::Off), admin_socket: Some(Or::Off), port: 1 };
        assert!(off.places().is_err() && off.socket().is_err());
    }

    #[test]
    fn an_address_without_a_port_is_refused_with_an_example() {
        assert!(parse_address("127.0.0.1").unwrap_err().contains("127.0.0.1:9090"));
        assert_eq!(parse_address("OFF"), Ok(Or::Off));
        assert!(parse_path("").is_err());
    }
}
