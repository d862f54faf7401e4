//! Where the admin side listens: an address for reads, a Unix socket for reads and changes.
//!
//! **Invariant:** the socket is its owner's alone from birth, and takes the place of a dead service's file only, never of a live
//! one's or of a file that is something else, also where two services start at once.

use std::fmt;
use std::fs::{self, DirBuilder, Permissions};
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::{DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use socket2::{Domain, SockAddr, Type};

use crate::config::admin::{DEFAULT_ADDRESS, Or, default_socket};

/// The longest path of a socket (unix(7): `sun_path`, less the zero at its end).
const LONGEST_PATH: usize = 107;

/// Names for a socket's first folder that are tried: one that is taken is next to never.
const MOST_CRADLES: u32 = 16;

/// The listeners that could be opened.
#[derive(Debug)]
pub struct Doors {
    /// For reads.
    pub tcp: Door<(TcpListener, SocketAddr)>,
    /// For reads and changes.
    pub socket: Door<Socket>,
}

/// One of them, or why it is not there.
#[derive(Debug)]
pub enum Door<T> {
    /// It is open.
    Open(T),
    /// It was said to be off.
    Off,
    /// Nobody asked for it, and it cannot be had; why, for people.
    Missing(String),
}

/// What was asked for and cannot be had.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoDoor(String);

/// The Unix socket; its file goes with it.
#[derive(Debug)]
pub struct Socket {
    pub(super) listener: UnixListener,
    path: PathBuf,
    /// By which the file is known to be ours still.
    identity: Identity,
}

/// The device and number of a file.
type Identity = (u64, u64);

/// The folder in which a socket is made; it goes when it is dropped, with what is left in it.
struct Cradle(PathBuf);

impl Doors {
    /// Opens what is given, or where nothing is given the defaults, as far as they can be had; `port` names the socket.
    pub fn open(
        admin: Option<&Or<SocketAddr>>,
        socket: Option<&Or<PathBuf>>,
        port: u16,
    ) -> Result<Self, NoDoor> {
        let tcp = open(admin, &DEFAULT_ADDRESS, |address| listen(*address), "--admin ADDR:PORT")?;
        let by_default = default_socket(port);
        let socket = match socket {
            None => open(None, &by_default, |path| Socket::bind_in_own_folder(path), "--admin-socket PATH")?,
            given => open(given, &by_default, |path| Socket::bind(path), "--admin-socket PATH")?,
        };
        Ok(Self { tcp, socket })
    }

    /// What is open, for people: a word and a place each.
    pub fn describe(&self) -> [(&'static str, String); 2] {
        [("admin", self.tcp.to_string()), ("socket", self.socket.to_string())]
    }

    /// Whether nobody can come in.
    pub fn is_shut(&self) -> bool {
        !matches!(self, Self { tcp: Door::Open(_), .. } | Self { socket: Door::Open(_), .. })
    }
}

fn open<P, T>(
    given: Option<&Or<P>>,
    by_default: &P,
    open: impl Fn(&P) -> Result<T, String>,
    way_out: &str,
) -> Result<Door<T>, NoDoor> {
    match given {
        Some(Or::Off) => Ok(Door::Off),
        Some(Or::At(place)) => open(place)
            .map(Door::Open)
            .map_err(|why| NoDoor(format!("{why}. Choose another by {way_out}, or `off`"))),
        None => Ok(open(by_default)
            .map_or_else(|why| Door::Missing(format!("off: {why}; {way_out} opens another")), Door::Open)),
    }
}

fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), String> {
    let opened = TcpListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok((listener, address))
    });
    opened.map_err(|error| match error.kind() {
        ErrorKind::AddrInUse => format!("{address} is in use by another program"),
        _ => format!("cannot listen on {address}: {error}"),
    })
}

impl Socket {
    /// In a folder that is made where it is missing, and has to be our own.
    fn bind_in_own_folder(path: &Path) -> Result<Self, String> {
        if let Some(folder) = path.parent() {
            make_own(folder).map_err(|why| format!("{}: {why}", folder.display()))?;
        }
        Self::bind(path)
    }

    fn bind(path: &Path) -> Result<Self, String> {
        if path.as_os_str().len() > LONGEST_PATH {
            return Err(format!(
                "{} is longer than the {LONGEST_PATH} bytes of a socket's path",
                path.display()
            ));
        }
        let dead = find_dead(path)?;
        Self::put(path, dead).map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => format!("{} is another service's, which came first", path.display()),
            _ => format!("no socket can be made at {}: {error}", path.display()),
        })
    }

    /// Makes the socket in a folder that nobody else may enter, closes it to others, and puts it in its place, in which nothing but
    /// the `dead` one may be.
    fn put(path: &Path, dead: Option<Identity>) -> io::Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let cradle = Cradle::make(folder)?;
        let first = cradle.socket();
        let listener = UnixListener::bind(&first)?;
        fs::set_permissions(&first, Permissions::from_mode(0o600))?;
        listener.set_nonblocking(true)?;
        let identity = identify(&fs::symlink_metadata(&first)?);
        if let Some(dead) = dead {
            cradle.take_out(path, dead)?;
        }
        // Unlike a rename, this fails where another service's has come meanwhile.
        fs::hard_link(&first, path)?;
        Ok(Self { listener, path: path.to_owned(), identity })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|file| identify(&file) == self.identity) {
            // Where that fails, the next service finds it dead.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Cradle {
    /// Makes one by a name that nobody has: what is there already is not ours, whatever it is.
    fn make(folder: &Path) -> io::Result<Self> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut number = now.subsec_nanos() ^ std::process::id().rotate_left(16);
        for _ in 0..MOST_CRADLES {
            let cradle = folder.join(format!(".{number:08x}"));
            match DirBuilder::new().mode(0o700).create(&cradle) {
                Ok(()) => return Ok(Self(cradle)),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => number = number.wrapping_add(1),
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("no folder can be made for it by a name of its own"))
    }

    fn socket(&self) -> PathBuf {
        self.0.join("s")
    }

    fn dead(&self) -> PathBuf {
        self.0.join("d")
    }

    /// Takes the dead socket away; what is another's by now is put back.
    fn take_out(&self, path: &Path, dead: Identity) -> io::Result<()> {
        match fs::rename(path, self.dead()) {
            Ok(()) if identify(&fs::symlink_metadata(self.dead())?) == dead => Ok(()),
            Ok(()) => {
                fs::hard_link(self.dead(), path)?;
                Err(ErrorKind::AlreadyExists.into())
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        }
    }
}

impl Drop for Cradle {
    fn drop(&mut self) {
        // What is not there need not go, and what stays is an empty folder of ours.
        let _ = fs::remove_file(self.socket());
        let _ = fs::remove_file(self.dead());
        let _ = fs::remove_dir(&self.0);
    }
}

fn identify(file: &fs::Metadata) -> Identity {
    (file.dev(), file.ino())
}

/// Makes a folder of our own, or sees that the one that is there is: in a temporary folder anybody may have put one there.
fn make_own(folder: &Path) -> Result<(), String> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => return Ok(()),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(format!("the socket's folder cannot be made: {error}")),
    }
    let found = fs::symlink_metadata(folder).map_err(|error| error.to_string())?;
    if !found.is_dir() || found.uid() != rustix::process::geteuid().as_raw() || found.mode() & 0o022 != 0 {
        return Err("it is no folder of this user's alone".into());
    }
    Ok(())
}

/// Sees that nothing at the path is in use; a dead service's socket may be there.
fn find_dead(path: &Path) -> Result<Option<Identity>, String> {
    let shown = path.display();
    let file = match fs::symlink_metadata(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("{shown}: {error}")),
    };
    if !file.file_type().is_socket() {
        return Err(format!("{shown} is there and is no socket"));
    }
    match knock(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(Some(identify(&file))),
        // Whose queue is full is alive, though it may not take anybody in: that is not waited for.
        Err(error) if error.kind() == ErrorKind::WouldBlock => {
            Err(format!("{shown} is another service's, which is busy"))
        }
        Ok(()) => Err(format!("{shown} is another service's, which answers")),
        Err(error) => Err(format!("{shown} is there, and whose it is cannot be told: {error}")),
    }
}

/// Connects, without waiting.
fn knock(path: &Path) -> io::Result<()> {
    let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.connect(&SockAddr::unix(path)?)
}

impl fmt::Display for Door<(TcpListener, SocketAddr)> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open((_, address)) => write!(formatter, "http://{address}"),
            Self::Off => formatter.write_str("off"),
            Self::Missing(why) => formatter.write_str(why),
        }
    }
}

impl fmt::Display for Door<Socket> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open(socket) => write!(formatter, "{}", socket.path.display()),
            Self::Off => formatter.write_str("off"),
            Self::Missing(why) => formatter.write_str(why),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_its_owners_alone_and_goes_with_the_service() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let socket = Socket::bind(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left there");
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn a_dead_services_socket_is_replaced_and_a_live_ones_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        drop(UnixListener::bind(&path).unwrap());
        let ours = Socket::bind(&path).unwrap();
        let why = Socket::bind(&path).unwrap_err();
        assert!(why.ends_with("is another service's, which answers"), "{why}");
        fs::remove_file(&path).unwrap();
        let next = Socket::bind(&path).unwrap();
        drop(ours);
        assert!(path.exists(), "the file is another's by now");
        drop(next);
    }

    #[test]
    fn of_services_that_start_at_once_one_has_the_socket_and_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        for round in 0..200 {
            if round % 2 == 0 {
                drop(UnixListener::bind(&path).unwrap());
            }
            let start = std::sync::Barrier::new(2);
            let bind = || {
                start.wait();
                Socket::bind(&path)
            };
            let mut made = std::thread::scope(|scope| {
                let other = scope.spawn(bind);
                vec![bind(), other.join().unwrap()]
            });
            made.retain(Result::is_ok);
            assert_eq!(made.len(), 1, "round {round}");
            let owner = made.pop().unwrap().unwrap();
            assert_eq!(identify(&fs::symlink_metadata(&path).unwrap()), owner.identity);
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left there");
        }
    }

    #[test]
    fn a_busy_services_socket_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.sock");
        let socket = socket2::Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        socket.bind(&SockAddr::unix(&path).unwrap()).unwrap();
        socket.listen(0).unwrap();
        let _waiting = std::os::unix::net::UnixStream::connect(&path).unwrap();
        let why = Socket::bind(&path).unwrap_err();
        assert!(why.ends_with("which is busy"), "{why}");
    }

    #[test]
    fn what_is_no_socket_or_too_long_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("text");
        fs::write(&path, "precious").unwrap();
        assert!(Socket::bind(&path).unwrap_err().ends_with("is no socket"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        let long = folder.path().join("x".repeat(LONGEST_PATH));
        assert!(Socket::bind(&long).unwrap_err().contains("107 bytes"));
    }

    #[test]
    fn a_folder_that_others_may_write_to_is_not_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let shared = folder.path().join("shared");
        DirBuilder::new().create(&shared).unwrap();
        fs::set_permissions(&shared, Permissions::from_mode(0o777)).unwrap();
        assert!(
            Socket::bind_in_own_folder(&shared.join("a.sock")).unwrap_err().contains("no folder of this")
        );
        let own = folder.path().join("own");
        let made = Socket::bind_in_own_folder(&own.join("a.sock")).unwrap();
        assert_eq!(fs::metadata(&own).unwrap().mode() & 0o777, 0o700);
        drop(made);
    }

    #[test]
    fn what_was_given_must_be_had_and_a_default_need_not() {
        let folder = tempfile::tempdir().unwrap();
        let held = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = Or::At(held.local_addr().unwrap());
        let socket = Or::At(folder.path().join("a.sock"));
        let why = Doors::open(Some(&taken), Some(&socket), 1).unwrap_err().to_string();
        assert!(why.contains("in use") && why.contains("--admin ADDR:PORT"), "{why}");
        let any = Or::At("127.0.0.1:0".parse().unwrap());
        let doors = Doors::open(Some(&any), Some(&socket), 1).unwrap();
        assert!(!doors.is_shut() && !doors.tcp.to_string().ends_with(":0"), "{}", doors.tcp);
        let shut = Doors::open(Some(&Or::Off), Some(&Or::Off), 1).unwrap();
        assert!(shut.is_shut() && shut.socket.to_string() == "off");
        let door = open(None, &0, |_| Err::<(), _>("taken".into()), "--admin X").unwrap();
        assert!(matches!(door, Door::Missing(why) if why == "off: taken; --admin X opens another"));
    }
}
