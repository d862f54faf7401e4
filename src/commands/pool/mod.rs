//! `plimsoll pool`: changes the pools of a running service.
//!
//! **Invariant:** what is printed is what the service says it did; nothing is judged here.

use super::service::Service;
use super::{fail, print};
use crate::config::PoolArgs;
use crate::config::pool::{Change, ResizeArgs};
use crate::exit::Exit;

/// Asks for the change and prints what was done.
pub(crate) fn run(args: &PoolArgs) -> Exit {
    let (socket, path) = match &args.change {
        Change::Resize(resize) => (&resize.socket, resize_path(resize)),
        Change::Pause(socket) => (socket, "/pool/pause".to_owned()),
        Change::Resume(socket) => (socket, "/pool/resume".to_owned()),
    };
    let service = match Service::to_change(&socket.reader()) {
        Ok(service) => service,
        Err(error) => return fail(Exit::Settings, error),
    };
    match service.change(&path) {
        Ok(done) => {
            print(format_args!("{}\n", done.trim_end()));
            Exit::Done
        }
        Err(trouble) => fail(Exit::Failed, trouble),
    }
}

fn resize_path(args: &ResizeArgs) -> String {
    match (args.per_core, args.total) {
        (_, Some(total)) => format!("/pool/resize?total={total}"),
        (per_core, None) => format!("/pool/resize?per_core={}", per_core.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        pool: PoolArgs,
    }

    fn path(words: &[&str]) -> Result<String, clap::Error> {
        let cli = Cli::try_parse_from([&["pool", "resize"], words].concat())?;
        let Change::Resize(resize) = cli.pool.change else { unreachable!("the words name it") };
        Ok(resize_path(&resize))
    }

    #[test]
    fn a_size_is_for_each_core_or_in_all_and_never_both_or_neither() {
        assert_eq!(path(&["5"]).unwrap(), "/pool/resize?per_core=5");
        assert_eq!(path(&["4.5"]).unwrap(), "/pool/resize?per_core=4.5");
        assert_eq!(path(&["--total", "12"]).unwrap(), "/pool/resize?total=12");
        for words in [&[][..], &["5", "--total", "12"], &["0"], &["auto"], &["--total", "0"]] {
            assert!(path(words).is_err(), "{words:?}");
        }
    }
}
