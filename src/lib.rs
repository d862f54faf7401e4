//! Plimsoll: a TechEmpower-style web service in front of PostgreSQL that knows its own load line.
//!
//! The modules in the order in which a request, and before it the program, meets them:
//!
//! 1. [`cli`] says which command was asked for, [`config`] with which settings.
//! 2. [`commands`] has one file for each command; `serve` puts the house together.
//! 3. `supervisor` starts and keeps several processes where that is asked for; each of them serves.
//! 4. [`server`] owns sockets: it opens listeners, accepts connections, and runs each on one worker thread.
//! 5. [`http`] turns one request into one response: framing rules, router, a handler for each route.
//! 6. [`database`] answers the handlers' questions from PostgreSQL: the plan, the pool, the lanes, and a private
//!    PostgreSQL where none is named.
//! 7. [`load`] measures a server from outside, and names nothing of the above but its settings.
//! 8. [`kernel`] reads what the kernel says of limits, memory and sockets.
//! 9. [`telemetry`] is what workers count, and what follows from it for whoever looks; [`tuning`] says which settings follow.
//! 10. `sweep` starts servers and loads over a grid of settings, and says which serves best.
//! 11. `properties` is what holds of any input, for tests and for `fuzz/`; no part of the program.
//!
//! **Invariant:** imports go one way, `main → cli → commands → supervisor → server → http → database → telemetry`; [`config`],
//! [`kernel`], [`tuning`], [`exit`] and [`logging`] are leaves. `tests/tidy/` holds this.

pub mod cli;
pub mod commands;
pub mod config;
pub mod database;
pub mod exit;
pub mod http;
pub mod kernel;
pub mod load;
pub mod logging;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod properties;
pub mod server;
mod supervisor;
mod sweep;
pub mod telemetry;
pub mod tuning;

pub use cli::run;
