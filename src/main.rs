//! The `plimsoll` program: parse, run, exit code.

use std::process::ExitCode;

/// Allocations here are small, short-lived and thread-local, which is what mimalloc is best at.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    ExitCode::SUCCESS
}
