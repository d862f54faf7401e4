//! One direction of one connection: what was read and is not yet written.
//!
//! **Invariant:** parts leave in the order in which they came, and none before it was released.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

use super::MOST_FLYING;

/// What is read at once.
const PART: usize = 64 * 1024;

/// Something that is on its way.
#[derive(Debug)]
enum Part {
    Bytes(Vec<u8>),
    /// The sender closed its half.
    End,
}

/// How writing went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    /// There was nothing that could be written.
    Idle,
    /// Something was written.
    Moved,
    /// The receiver is gone.
    Broken,
}

/// One direction.
#[derive(Debug)]
pub(super) struct Way {
    /// Whether the sender's socket may have bytes.
    pub(super) may_read: bool,
    /// Whether the receiver's socket may have room.
    pub(super) may_write: bool,
    parts: VecDeque<Part>,
    /// How many parts at the front may be written.
    released: usize,
    /// How much of the first part was.
    written: usize,
    /// Bytes in all parts.
    flying: usize,
    stage: Stage,
}

/// How far it has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The sender may say more.
    Open,
    /// The sender's end was read.
    Ended,
    /// And passed on.
    Over,
}

impl Default for Way {
    fn default() -> Self {
        Self {
            may_read: true,
            may_write: true,
            parts: VecDeque::new(),
            released: 0,
            written: 0,
            flying: 0,
            stage: Stage::Open,
        }
    }
}

impl Way {
    /// Lets the next part go.
    pub(super) fn release(&mut self) {
        self.released += 1;
    }

    /// Whether everything was passed on, the end included.
    pub(super) fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Reads all there is, as far as there is room; how many parts came, each of which is to be released in time.
    pub(super) fn read(&mut self, mut from: &TcpStream) -> usize {
        let mut came = 0;
        while self.may_read && self.stage == Stage::Open && self.flying < MOST_FLYING {
            let mut bytes = vec![0; PART.min(MOST_FLYING - self.flying)];
            match from.read(&mut bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.may_read = false;
                    break;
                }
                // A reset is passed on as an end: what the sender had said is told all the same.
                Ok(0) | Err(_) => {
                    self.stage = Stage::Ended;
                    self.parts.push_back(Part::End);
                }
                Ok(count) => {
                    bytes.truncate(count);
                    bytes.shrink_to_fit();
                    self.flying += count;
                    self.parts.push_back(Part::Bytes(bytes));
                }
            }
            came += 1;
        }
        came
    }

    /// Writes what was released, as far as it is taken.
    pub(super) fn write(&mut self, mut into: &TcpStream) -> Outcome {
        let mut outcome = Outcome::Idle;
        while self.released > 0 && self.may_write {
            let Some(Part::Bytes(bytes)) = self.parts.front() else {
                // The end is the last part. Whoever is gone already needs no end.
                let _ = into.shutdown(Shutdown::Write);
                (self.stage, self.released) = (Stage::Over, 0);
                return Outcome::Moved;
            };
            match into.write(&bytes[self.written..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.may_write = false,
                Ok(0) | Err(_) => return Outcome::Broken,
                Ok(count) => {
                    outcome = Outcome::Moved;
                    self.written += count;
                    if self.written == bytes.len() {
                        self.flying -= self.written;
                        self.written = 0;
                        self.released -= 1;
                        self.parts.pop_front();
                    }
                }
            }
        }
        outcome
    }
}
