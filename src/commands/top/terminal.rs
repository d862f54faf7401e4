//! The terminal while `top` has it: the alternate screen, and keys as they are pressed.
//!
//! **Invariant:** it is given back on every way out: an end, an error, and a panic, whose message then stands on the screen that was there before.

use std::io::{self, Stdout};

use ratatui::Frame;
use ratatui::backend::CrosstermBackend;

/// The terminal, until this is dropped.
pub(super) struct Terminal {
    screen: ratatui::Terminal<CrosstermBackend<Stdout>>,
    // Below the screen, so that it is dropped after it: the screen shows the cursor again as it goes.
    _given_back: GivenBack,
}

/// Gives the terminal back when dropped; a panic's hook has done so before.
struct GivenBack;

impl Terminal {
    /// Takes it.
    pub(super) fn take() -> io::Result<Self> {
        // Made first: half of what follows may be done when it fails.
        let given_back = GivenBack;
        let screen = ratatui::try_init()?;
        Ok(Self { screen, _given_back: given_back })
    }

    /// Draws a frame, and gives what the drawing gave.
    pub(super) fn draw<T: Default>(&mut self, draw: impl FnOnce(&mut Frame<'_>) -> T) -> io::Result<T> {
        let mut given = T::default();
        self.screen.draw(|frame| given = draw(frame))?;
        Ok(given)
    }
}

impl Drop for GivenBack {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _ = ratatui::try_restore();
    }
}
