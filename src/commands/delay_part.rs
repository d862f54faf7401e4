//! `plimsoll delay-part`: the process behind `sweep --db-rtt`, which makes PostgreSQL far away.
//!
//! **Invariant:** its one line of output says where it listens; a line of its standard input is another delay, and its end the end.

use std::io;
use std::net::{Ipv4Addr, TcpListener};

use super::{fail, print};
use crate::config::sweep::DelayArgs;
use crate::exit::Exit;
use crate::sweep::delay;

/// Listens on a free port of loopback and passes bytes on, late.
pub(crate) fn run(args: &DelayArgs) -> Exit {
    match listen(args) {
        Ok(()) => Exit::Done,
        Err(error) => fail(Exit::System, format_args!("the wire to {} broke: {error}", args.to)),
    }
}

fn listen(args: &DelayArgs) -> io::Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    print(format_args!("{}\n", listener.local_addr()?));
    delay::run(listener, args.to, args.one_way, io::stdin())
}
