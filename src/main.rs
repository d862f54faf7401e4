//! The `plimsoll` program: parse, run, exit code.

use std::process::ExitCode;

/// Allocations here are small, short-lived and stay on their thread, which is what mimalloc is best at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    plimsoll::run(std::env::args_os()).into()
}
