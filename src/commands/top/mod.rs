//! `plimsoll top`: a running service on a terminal, live.
//!
//! [`keys`] says what a key means, [`view`] is what is shown and how, [`draw`] draws it, [`terminal`] gives the terminal back.
//!
//! **Invariant:** the terminal is as it was before, however this ends; and keys are heard while the service does not answer.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use ratatui::crossterm::event::{self, Event};

use super::asker::Asker;
use super::fail;
use super::interrupt::Interrupt;
use super::screen::Screen;
use super::service::{Service, Trouble};
use crate::config::TopArgs;
use crate::exit::Exit;
use crate::telemetry::status::Status;

mod draw;
mod keys;
mod terminal;
mod view;

use terminal::Terminal;
use view::View;

/// How long to wait for a key before looking at what else has come.
const TICK: Duration = Duration::from_millis(100);

/// Asks once to see that there is somebody, and shows what is answered until a key or a signal ends it.
pub(crate) fn run(args: &TopArgs) -> Exit {
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        let why = "top draws on a terminal and hears its keys, and standard input or output is none: `plimsoll status --watch` prints \
                   anywhere";
        return fail(Exit::Failed, why);
    }
    let service = match Service::to_read(&args.reader) {
        Ok(service) => service,
        Err(error) => return fail(Exit::Settings, error),
    };
    let status = match service.status() {
        Ok(status) => status,
        Err(trouble) => return fail(Exit::Failed, trouble),
    };
    let view = View::of(status, Screen::of_stdout().colours);
    match show(view, service, args.every) {
        Ok(()) => Exit::Done,
        Err(error) => fail(Exit::Failed, format_args!("the terminal cannot be used: {error}")),
    }
}

/// Until an end is asked for.
fn show(mut view: View, service: Service, every: Duration) -> io::Result<()> {
    let asker: Asker<Result<Status, Trouble>> = Asker::start(every, move || service.status())?;
    let interrupt = Interrupt::listen()?;
    let mut terminal = Terminal::take()?;
    let mut is_changed = true;
    while view.is_open() && !interrupt.within(Duration::ZERO) {
        if is_changed {
            let room = terminal.draw(|frame| draw::draw(frame, &view))?;
            view.note_room(room);
        }
        is_changed = false;
        if event::poll(TICK)? {
            match event::read()? {
                Event::Key(key) => is_changed = keys::action(key).is_some_and(|action| view.act(action)),
                Event::Resize(..) => is_changed = true,
                _ => {}
            }
        }
        while let Some(answer) = asker.within(Duration::ZERO)? {
            is_changed |= view.receive(answer);
        }
    }
    Ok(())
}
