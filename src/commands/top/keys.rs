//! What a key means.
//!
//! **Invariant:** Ctrl-C ends it whatever is shown: in raw mode it is a key and no signal.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What can be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// End.
    Quit,
    /// Close what is open over the view, or end.
    Back,
    /// Hold the view still, or let it go on.
    Hold,
    /// Put the workers in the next order.
    Sort,
    /// Move so many rows down.
    Down,
    /// Move a row up.
    Up,
    /// Move a page down.
    PageDown,
    /// Move a page up.
    PageUp,
    /// Move to the first row.
    First,
    /// Move to the last row.
    Last,
    /// Show the keys, or hide them.
    Help,
}

/// Each action that is explained: its keys, and what they do.
pub(super) const EXPLAINED: [(&str, &str); 6] = [
    ("q, Esc, Ctrl-C", "end"),
    ("p, space", "hold the view still, and go on"),
    ("s", "put the workers in the next order"),
    ("↑ ↓, PgUp PgDn", "scroll the workers"),
    ("Home, End", "the first and the last worker"),
    ("?, h", "show and hide this"),
];

/// What a key that was pressed stands for, if anything.
pub(super) fn action(key: KeyEvent) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    if key.modifiers.contains(KeyModifiers::CONTROL) {
        return matches!(key.code, KeyCode::Char('c' | 'C' | 'd' | 'D')).then_some(Action::Quit);
    }
    Some(match key.code {
        KeyCode::Char('q' | 'Q') => Action::Quit,
        KeyCode::Esc => Action::Back,
        KeyCode::Char('p' | 'P' | ' ') => Action::Hold,
        KeyCode::Char('s' | 'S') => Action::Sort,
        KeyCode::Down | KeyCode::Char('j') => Action::Down,
        KeyCode::Up | KeyCode::Char('k') => Action::Up,
        KeyCode::PageDown => Action::PageDown,
        KeyCode::PageUp => Action::PageUp,
        KeyCode::Home | KeyCode::Char('g') => Action::First,
        KeyCode::End | KeyCode::Char('G') => Action::Last,
        KeyCode::Char('?' | 'h') => Action::Help,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_is_promised_does_something() {
        let plain = |code| action(KeyEvent::new(code, KeyModifiers::NONE));
        assert_eq!(plain(KeyCode::Char('q')), Some(Action::Quit));
        assert_eq!(plain(KeyCode::Esc), Some(Action::Back));
        assert_eq!(plain(KeyCode::Char('p')), Some(Action::Hold));
        assert_eq!(plain(KeyCode::Char('s')), Some(Action::Sort));
        assert_eq!(plain(KeyCode::Down), Some(Action::Down));
        assert_eq!(plain(KeyCode::End), Some(Action::Last));
        assert_eq!(plain(KeyCode::Char('?')), Some(Action::Help));
        assert_eq!(plain(KeyCode::Char('x')), None);
    }

    #[test]
    fn ctrl_c_ends_it_and_ctrl_with_others_does_nothing() {
        let control = |code| action(KeyEvent::new(KeyCode::Char(code), KeyModifiers::CONTROL));
        assert_eq!(control('c'), Some(Action::Quit));
        assert_eq!(control('s'), None);
    }
}
