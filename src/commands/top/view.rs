//! What is shown, and how.
//!
//! **Invariant:** the last answer stays on the screen until a new one comes, and beside it what became of the question since.

use super::keys::Action;
use crate::commands::service::Trouble;
use crate::commands::status::workers::Order;
use crate::telemetry::status::Status;

/// What stands on the screen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Showing {
    /// The service.
    Service,
    /// The same, and above it the keys.
    Keys,
    /// Nothing any more: an end was asked for.
    Nothing,
}

/// What is shown.
#[derive(Debug)]
pub(super) struct View {
    /// The last answer.
    pub(super) status: Status,
    /// Why there is no newer one.
    pub(super) trouble: Option<String>,
    /// Whether it is held still.
    pub(super) is_still: bool,
    /// In which order the workers stand.
    pub(super) order: Order,
    /// How many rows stand above the first one that is shown.
    pub(super) above: usize,
    /// What stands on the screen.
    pub(super) showing: Showing,
    /// Whether colours are shown.
    pub(super) colours: bool,
    /// Rows that there is room for.
    room: usize,
}

impl View {
    /// One of a first answer.
    pub(super) fn of(status: Status, colours: bool) -> Self {
        Self {
            status,
            trouble: None,
            is_still: false,
            order: Order::default(),
            above: 0,
            showing: Showing::Service,
            colours,
            room: 1,
        }
    }

    /// Whether nobody asked for an end.
    pub(super) fn is_open(&self) -> bool {
        self.showing != Showing::Nothing
    }

    /// Takes an answer; whether that changes what is shown.
    pub(super) fn receive(&mut self, answer: Result<Status, Trouble>) -> bool {
        match answer {
            _ if self.is_still => return false,
            Ok(status) => {
                self.status = status;
                self.trouble = None;
            }
            Err(trouble) => self.trouble = Some(trouble.to_string()),
        }
        self.scroll_to(self.above);
        true
    }

    /// Remembers how many rows there was room for.
    pub(super) fn note_room(&mut self, rows: usize) {
        self.room = rows.max(1);
        self.scroll_to(self.above);
    }

    /// Does what a key asked for; whether that changes what is shown.
    pub(super) fn act(&mut self, action: Action) -> bool {
        match action {
            Action::Back | Action::Help if self.showing == Showing::Keys => self.showing = Showing::Service,
            Action::Quit | Action::Back => self.showing = Showing::Nothing,
            Action::Help => self.showing = Showing::Keys,
            Action::Hold => self.is_still = !self.is_still,
            Action::Sort => self.order = self.order.next(),
            Action::Down => self.scroll_to(self.above + 1),
            Action::Up => self.scroll_to(self.above.saturating_sub(1)),
            Action::PageDown => self.scroll_to(self.above + self.room),
            Action::PageUp => self.scroll_to(self.above.saturating_sub(self.room)),
            Action::First => self.scroll_to(0),
            Action::Last => self.scroll_to(usize::MAX),
        }
        true
    }

    /// So many rows above, or as many as leave no room empty.
    fn scroll_to(&mut self, above: usize) {
        // One more than workers: what those that have ended did may have a row of its own.
        let rows = self.status.processes.iter().map(|process| process.workers.len()).sum::<usize>() + 1;
        self.above = above.min(rows.saturating_sub(self.room));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::service::read_status;
    use crate::commands::status::fixture::{busy, quiet};

    #[test]
    fn scrolling_ends_at_both_ends_and_pages_are_as_high_as_the_room() {
        let mut view = View::of(busy(30, 1), false);
        view.note_room(10);
        let mut after = |action| {
            assert!(view.act(action));
            view.above
        };
        assert_eq!(after(Action::Up), 0);
        assert_eq!(after(Action::Down), 1);
        assert_eq!(after(Action::PageDown), 11);
        assert_eq!(after(Action::Last), 21);
        assert_eq!(after(Action::Down), 21);
        assert_eq!(after(Action::PageUp), 11);
        assert_eq!(after(Action::First), 0);
    }

    #[test]
    fn with_fewer_workers_than_before_no_room_is_left_empty() {
        let mut view = View::of(busy(30, 1), false);
        view.note_room(10);
        view.act(Action::Last);
        assert!(view.receive(Ok(busy(12, 1))));
        assert_eq!(view.above, 3);
    }

    #[test]
    fn a_service_that_went_away_leaves_its_last_answer_and_may_come_back() {
        let mut view = View::of(busy(1, 2), false);
        assert!(view.receive(read_status("")));
        assert!(view.trouble.is_some() && view.status.ready);
        assert!(view.receive(Ok(quiet())));
        assert!(view.trouble.is_none() && view.status.totals.requests() == 0);
    }

    #[test]
    fn what_is_held_still_takes_no_answer_until_it_goes_on() {
        let mut view = View::of(busy(1, 2), false);
        view.act(Action::Hold);
        assert!(!view.receive(Ok(quiet())));
        assert!(view.status.totals.requests() > 0);
        view.act(Action::Hold);
        assert!(view.receive(Ok(quiet())));
    }

    #[test]
    fn escape_closes_the_keys_first_and_then_the_view() {
        let mut view = View::of(quiet(), false);
        view.act(Action::Help);
        view.act(Action::Back);
        assert!(view.showing == Showing::Service);
        view.act(Action::Back);
        assert!(!view.is_open());
    }
}
