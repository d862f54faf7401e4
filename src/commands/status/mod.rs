//! `plimsoll status`: how a running service does, as a table of its workers and in sentences.
//!
//! [`head`] says which service it is, [`workers`] is the table, [`wait`] what the measured wait says about the pool, [`page`] all of it.
//!
//! **Invariant:** everything shown is from one page of the service, so that its numbers go together.

use std::io::{self, IsTerminal as _, Write as _};
use std::time::Duration;

use super::interrupt::Interrupt;
use super::screen::Screen;
use super::screen::line::render;
use super::service::{Service, Trouble, read_status};
use super::{fail, say};
use crate::config::StatusArgs;
use crate::exit::Exit;
use crate::telemetry::status::Status;

#[cfg(test)]
pub(super) mod fixture;
pub(super) mod head;
pub(super) mod page;
pub(super) mod wait;
pub(super) mod workers;

/// What the rates are of at the least, in seconds: of a shorter while they would be chance.
const LEAST_WHILE: f64 = 0.95;
/// How long to wait for such a while.
const WHILE: Duration = Duration::from_secs(1);

/// Takes the cursor home.
const HOME: &str = "\x1b[H";
/// Clears the rest of the line.
const REST_OF_LINE: &str = "\x1b[K";
/// Clears what lies below the cursor.
const REST_OF_SCREEN: &str = "\x1b[J";

/// Asks once, or again and again, and prints.
pub(crate) fn run(args: &StatusArgs) -> Exit {
    let service = match Service::to_read(&args.reader) {
        Ok(service) => service,
        Err(error) => return fail(Exit::Settings, error),
    };
    let interrupt = match Interrupt::listen() {
        Ok(interrupt) => interrupt,
        Err(error) => return fail(Exit::System, format_args!("signals cannot be caught: {error}")),
    };
    let look = Look { service, interrupt, is_json: args.json };
    match args.watch {
        None => look.once(),
        Some(every) => look.again_and_again(every),
    }
}

/// Somebody who looks.
struct Look {
    service: Service,
    interrupt: Interrupt,
    is_json: bool,
}

impl Look {
    fn once(&self) -> Exit {
        let text = self.text(&Screen::of_stdout(), None);
        match text {
            Ok(Some(text)) => show(&text).map_or(Exit::Done, |error| cannot_print(&error)),
            Ok(None) => Exit::Done,
            Err(trouble) => fail(Exit::Failed, trouble),
        }
    }

    /// Until a signal, or until nobody reads any more. A service that goes away may come back, but one has to be there in the beginning.
    fn again_and_again(&self, every: Duration) -> Exit {
        let mut is_first = true;
        loop {
            let screen = Screen::of_stdout();
            let drawn_anew = screen.is_terminal && !self.is_json;
            let text = match self.text(&screen, screen.height.filter(|_| drawn_anew)) {
                Ok(Some(text)) => text,
                Ok(None) => return Exit::Done,
                Err(trouble) if is_first => return fail(Exit::Failed, trouble),
                Err(trouble) if drawn_anew => format!("{trouble}\ntrying again; Ctrl-C ends it\n"),
                Err(trouble) => {
                    say(format_args!("{trouble}; trying again"));
                    String::new()
                }
            };
            let text = if drawn_anew { anew(&text) } else { text };
            let blank = if drawn_anew || self.is_json || is_first { "" } else { "\n" };
            if let Some(error) = show(&format!("{blank}{text}")) {
                return cannot_print(&error);
            }
            is_first = false;
            if self.interrupt.within(every) {
                // What a shell says next begins a line.
                return if drawn_anew {
                    show("\n").map_or(Exit::Done, |error| cannot_print(&error))
                } else {
                    Exit::Done
                };
            }
        }
    }

    /// What to print; none where a signal came first.
    fn text(&self, screen: &Screen, most_lines: Option<usize>) -> Result<Option<String>, Trouble> {
        let page = self.service.page("/status.json")?;
        if self.is_json {
            // A page of another version is for a script to judge.
            return Ok(Some(page.trim_end().to_owned() + "\n"));
        }
        let Some(status) = self.of_a_while(read_status(&page)?)? else { return Ok(None) };
        Ok(Some(render(&page::draw(&status, screen.width).lines(most_lines), screen.colours)))
    }

    /// Where the service was not watched until now, its rates are of no time at all: asks again a second later.
    fn of_a_while(&self, status: Status) -> Result<Option<Status>, Trouble> {
        if status.recent.seconds >= LEAST_WHILE {
            return Ok(Some(status));
        }
        let is_terminal = io::stderr().is_terminal();
        let progress = |text: &str| {
            if is_terminal {
                let _ = write!(io::stderr(), "\r{text}{REST_OF_LINE}");
            }
        };
        progress("measuring for a second …");
        let ended = self.interrupt.within(WHILE);
        progress("");
        if ended { Ok(None) } else { self.service.status().map(Some) }
    }
}

/// The text in place of what the terminal shows.
fn anew(text: &str) -> String {
    let lines = text.trim_end_matches('\n').replace('\n', &format!("{REST_OF_LINE}\n"));
    format!("{HOME}{lines}{REST_OF_LINE}{REST_OF_SCREEN}")
}

/// Prints, and gives what went wrong.
fn show(text: &str) -> Option<io::Error> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).err()
}

/// A reader that has read enough, as `head`, is no failure.
fn cannot_print(error: &io::Error) -> Exit {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Exit::Done,
        _ => fail(Exit::Failed, format_args!("standard output cannot be written: {error}")),
    }
}
