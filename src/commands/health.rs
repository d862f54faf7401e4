//! `plimsoll health`: asks a running service whether it is ready for requests.
//!
//! **Invariant:** it ends soon, whatever the other side does, and says why it is not well.

use super::fail;
use crate::config::ReaderArgs;
use crate::exit::Exit;
use crate::telemetry::ask::ask_first;

/// Asks the admin side for `/readyz` and wants a 200.
pub(crate) fn run(args: &ReaderArgs) -> Exit {
    let places = match args.places() {
        Ok(places) => places,
        Err(error) => return fail(Exit::Settings, error),
    };
    match ask_first(&places, "GET", "/readyz") {
        Ok(answer) if answer.status == 200 => Exit::Done,
        Ok(answer) => {
            let why = answer.text();
            fail(
                Exit::Failed,
                format_args!("the service is not ready ({}): {}", answer.status, why.trim_end()),
            )
        }
        Err(error) => fail(Exit::Failed, error),
    }
}
