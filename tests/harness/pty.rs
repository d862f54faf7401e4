//! A program on a terminal of its own: a real one of the kernel's (pty(7)), whose keys are typed and whose glass is read here.
//!
//! **Invariant:** the program is the terminal's session leader, as under a terminal emulator: it hears when the size changes, and when Ctrl-C is
//! typed while the terminal makes a signal of that.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

use super::glass::Glass;
use super::patience::{PATIENCE, wait_until};

/// A terminal with a program on it, which is killed when this is dropped.
pub(crate) struct Pty {
    child: Child,
    keys: File,
    terminal: OwnedFd,
    seen: Arc<Mutex<Seen>>,
    modes_before: LocalModes,
}

/// What the program has written.
struct Seen {
    glass: Glass,
    all: Vec<u8>,
}

fn size(columns: u16, rows: u16) -> Winsize {
    Winsize { ws_col: columns, ws_row: rows, ws_xpixel: 0, ws_ypixel: 0 }
}

impl Pty {
    /// Starts a command that `setsid --ctty` runs, as [`super::ServerSetup::on_a_terminal`] makes them.
    pub(crate) fn start(command: &mut Command, columns: u16, rows: u16) -> Self {
        let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&controller).expect("its access");
        unlockpt(&controller).expect("its lock");
        let name = ptsname(&controller, Vec::new()).expect("its name");
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let terminal = rustix::fs::open(name.as_c_str(), flags, Mode::empty()).expect("its other side");
        tcsetwinsize(&terminal, size(columns, rows)).expect("its size");
        let modes_before = tcgetattr(&terminal).expect("its modes").local_modes;
        let end = || Stdio::from(terminal.try_clone().expect("a descriptor"));
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn();
        let child = child.unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let keys = File::from(controller);
        let output = keys.try_clone().expect("a descriptor");
        let glass = Glass::new(columns.into(), rows.into());
        let seen = Arc::new(Mutex::new(Seen { glass, all: Vec::new() }));
        let reader = Arc::clone(&seen);
        thread::spawn(move || read(output, &reader));
        Self { child, keys, terminal, seen, modes_before }
    }

    /// Presses keys.
    pub(crate) fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).expect("the terminal to take keys");
    }

    /// What stands on the glass.
    pub(crate) fn text(&self) -> String {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).glass.text()
    }

    /// Everything that was written.
    pub(crate) fn written(&self) -> String {
        String::from_utf8_lossy(&self.seen.lock().unwrap_or_else(PoisonError::into_inner).all).into_owned()
    }

    /// Waits until the glass holds these words.
    pub(crate) fn wait_for(&self, words: &str) {
        self.wait_for_glass(words, |text| text.contains(words));
    }

    /// Waits until the glass is as it should be.
    pub(crate) fn wait_for_glass(&self, what: &str, is_so: impl Fn(&str) -> bool) {
        let start = std::time::Instant::now();
        wait_until(what, PATIENCE * 2, || {
            let text = self.text();
            assert!(start.elapsed() < PATIENCE, "no {what} on the glass, where stands\n{text}");
            is_so(&text).then_some(())
        });
    }

    /// Another size.
    pub(crate) fn resize(&self, columns: u16, rows: u16) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.glass.resize(columns.into(), rows.into());
        tcsetwinsize(&self.terminal, size(columns, rows)).expect("its size");
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("a process id");
        kill_process(pid, signal).expect("the signal to be taken");
    }

    /// Waits for its end; gives the exit code.
    pub(crate) fn wait(&mut self, limit: Duration) -> Option<i32> {
        let child = &mut self.child;
        wait_until("the program to end", limit, || child.try_wait().expect("the state of our child")).code()
    }

    /// Whether keys are read in lines and shown again, as before the program came.
    pub(crate) fn is_as_before(&self) -> bool {
        tcgetattr(&self.terminal).expect("its modes").local_modes == self.modes_before
    }
}

fn read(mut output: File, seen: &Mutex<Seen>) {
    let mut part = [0; 4096];
    while let Ok(count @ 1..) = output.read(&mut part) {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.all.extend_from_slice(&part[..count]);
        seen.glass.write(&part[..count]);
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
