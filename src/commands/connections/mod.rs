//! `plimsoll connections`: which connections there are, counted by state, age and peer, with a sample of them.
//!
//! **Invariant:** the service counts, and no more rows come than were asked for, so that a million connections are one short page.

use std::time::Duration;

use super::screen::Screen;
use super::screen::line::render;
use super::service::{Service, read_listing};
use super::{fail, print};
use crate::config::ConnectionsArgs;
use crate::exit::Exit;

mod page;

/// Asks once and prints.
pub(crate) fn run(args: &ConnectionsArgs) -> Exit {
    let service = match Service::to_read(&args.reader) {
        Ok(service) => service,
        Err(error) => return fail(Exit::Settings, error),
    };
    let answer = match service.page(&path(args)) {
        Ok(answer) => answer,
        Err(trouble) => return fail(Exit::Failed, trouble),
    };
    if args.json {
        print(format_args!("{}\n", answer.trim_end()));
        return Exit::Done;
    }
    match read_listing(&answer) {
        Ok(listing) => {
            let screen = Screen::of_stdout();
            print(render(&page::draw(&listing, args.rows, screen.width), screen.colours));
            Exit::Done
        }
        Err(trouble) => fail(Exit::Failed, trouble),
    }
}

/// The question. The words of its values need no escaping in a query: RFC 3986, section 3.4, takes colons.
fn path(args: &ConnectionsArgs) -> String {
    let state = args.state.as_ref().map(|state| format!("state={state}"));
    let peer = args.peer.map(|peer| format!("peer={peer}"));
    let idle = args.idle_for.map(|idle| format!("idle_for_s={}", up(idle)));
    let parts = [Some(format!("rows={}", args.rows)), state, peer, idle];
    format!("/connections.json?{}", parts.into_iter().flatten().collect::<Vec<_>>().join("&"))
}

/// Whole seconds, up: nobody is shown who does not fit.
fn up(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::admin::ReaderArgs;
    use crate::config::views::{MOST_ROWS, STATES};
    use crate::telemetry::by::Label as _;
    use crate::telemetry::labels::ConnectionState;
    use crate::telemetry::listing;

    #[test]
    fn the_states_and_the_most_rows_are_those_of_the_service() {
        let words: Vec<&str> = ConnectionState::ALL.iter().map(|state| state.word()).collect();
        assert_eq!(words, STATES);
        assert_eq!(MOST_ROWS, listing::MOST_ROWS);
    }

    #[test]
    fn what_is_asked_for_is_in_the_question() {
        let reader = ReaderArgs::default();
        let mut args =
            ConnectionsArgs { state: None, peer: None, idle_for: None, rows: 20, json: false, reader };
        assert_eq!(path(&args), "/connections.json?rows=20");
        args.state = Some("parked".into());
        args.peer = Some("2001:db8::1".parse().unwrap());
        args.idle_for = Some(Duration::from_millis(1_500));
        assert_eq!(path(&args), "/connections.json?rows=20&state=parked&peer=2001:db8::1&idle_for_s=2");
    }
}
