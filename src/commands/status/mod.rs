//! `plimsoll status`: how a running service does, as a table of its workers and in sentences.
//!
//! [`head`] says which service it is, [`workers`] is the table, [`servers`] the one of the
//! database's servers, [`wait`] what the measured wait says about the pool, [`page`] all of it.
//!
//! **Invariant:** everything shown is from one page of the service, so that its numbers go together.

use std::io::{self, IsTerminal as _, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use super::asker::Asker;
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
pub(super) mod servers;
pub(super) mod wait;
pub(super) mod workers;

/// What the rates are of at the least, in seconds: of a shorter while they would be chance.
const LEAST_WHILE: f64 = 0.95;
/// How long to wait for such a while.
const WHILE: Duration = Duration::from_secs(1);

/// How long to wait for an answer before looking whether a signal has come.
const TICK: Duration = Duration::from_millis(100);

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
    let form = if args.json { Form::Json } else { Form::Page };
    match args.watch {
        None => once(&service, form),
        Some(every) => watch(service, form, every),
    }
}

fn once(service: &Service, form: Form) -> Exit {
    let text = match form {
        Form::Json => ask(service).map(|page| in_a_line(&page)),
        Form::Page => status_of_a_while(service).map(|status| {
            let screen = Screen::of_stdout();
            render(&page::draw(&status, screen.width).lines(None), screen.colours)
        }),
    };
    match text {
        Ok(text) => show(&text).map_or(Exit::Done, |error| cannot_print(&error)),
        Err(trouble) => fail(Exit::Failed, trouble),
    }
}

/// Until a signal, or until nobody reads any more. A service that goes away may come back, but one has to be there in the beginning.
fn watch(service: Service, form: Form, every: Duration) -> Exit {
    let started =
        Asker::start(every, move || ask(&service)).and_then(|asker| Ok((asker, Interrupt::listen()?)));
    let (asker, interrupt) = match started {
        Ok(started) => started,
        Err(error) => return fail(Exit::System, format_args!("the watch cannot begin: {error}")),
    };
    let mut is_first = true;
    while !interrupt.within(Duration::ZERO) {
        let answer = match asker.within(TICK) {
            Ok(Some(answer)) => answer,
            Ok(None) => continue,
            Err(error) => return fail(Exit::Failed, error),
        };
        let screen = Screen::of_stdout();
        let text = match (form.text(answer, &screen), is_first) {
            (Ok(text), _) => text,
            (Err(trouble), true) => return fail(Exit::Failed, trouble),
            (Err(trouble), false) if form.is_drawn_anew(&screen) => {
                anew(&format!("{trouble}\ntrying again; Ctrl-C ends it"))
            }
            (Err(trouble), false) => {
                say(format_args!("{trouble}; trying again"));
                continue;
            }
        };
        let blank = if is_first || form == Form::Json || screen.is_terminal { "" } else { "\n" };
        if let Some(error) = show(&format!("{blank}{text}")) {
            return cannot_print(&error);
        }
        is_first = false;
    }
    if form.is_drawn_anew(&Screen::of_stdout()) {
        // What a shell says next begins a line.
        let _ = show("\n");
    }
    Exit::Done
}

/// In which form it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// For people.
    Page,
    /// As the service gives it; a page of another version is for a script to judge.
    Json,
}

impl Form {
    /// Whether each page takes the place of the one before.
    fn is_drawn_anew(self, screen: &Screen) -> bool {
        self == Self::Page && screen.is_terminal
    }

    /// What a watch prints of an answer.
    fn text(self, answer: Result<String, Trouble>, screen: &Screen) -> Result<String, Trouble> {
        if self == Self::Json {
            return answer.map(|page| in_a_line(&page));
        }
        let page = page::draw(&read_status(&answer?)?, screen.width);
        if self.is_drawn_anew(screen) {
            Ok(anew(&render(&page.lines(screen.height), screen.colours)))
        } else {
            Ok(render(&page.lines(None), screen.colours))
        }
    }
}

fn ask(service: &Service) -> Result<String, Trouble> {
    service.page("/status.json")
}

fn in_a_line(page: &str) -> String {
    page.trim_end().replace('\n', " ") + "\n"
}

/// Where the service was not watched until now, its rates are of no time at all: asks again a second later.
fn status_of_a_while(service: &Service) -> Result<Status, Trouble> {
    let status = service.status()?;
    if status.recent.seconds >= LEAST_WHILE {
        return Ok(status);
    }
    let is_terminal = io::stderr().is_terminal();
    let progress = |text: &str| {
        if is_terminal {
            let _ = write!(io::stderr(), "\r{text}{REST_OF_LINE}");
        }
    };
    progress("measuring for a second …");
    let end = Instant::now() + WHILE;
    while Instant::now() < end {
        thread::park_timeout(end.saturating_duration_since(Instant::now()));
    }
    progress("");
    service.status()
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
