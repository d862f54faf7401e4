//! Keeps the private PostgreSQL while the service runs.
//!
//! **Invariant:** it is stopped with the service, last; while it runs, a death of it is answered with a restart.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::signals::Signals;
use crate::commands::{fail, say};
use crate::config::DatabaseArgs;
use crate::database::Config;
use crate::database::embedded::{self, Embedded, EmbeddedError};
use crate::exit::Exit;

/// Time between attempts to start it again.
const PAUSE: Duration = Duration::from_millis(300);

/// Time between looks at its disk.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// A running private PostgreSQL and the task that keeps it.
pub(super) struct Private {
    /// How to connect to it.
    pub(super) config: Config,
    /// Where its cluster lies.
    pub(super) place: String,
    stop: oneshot::Sender<()>,
    kept: JoinHandle<()>,
}

/// Starts it; a stop signal that comes meanwhile ends the start, cleanly.
pub(super) async fn start(
    args: &DatabaseArgs,
    connections: u32,
    signals: &mut Signals,
) -> Result<Private, Exit> {
    let options = embedded::Options {
        data_dir: args.data_dir.clone().unwrap_or_else(embedded::default_data_dir),
        pg_bin: args.pg_bin.clone(),
        tcp_port: args.private_pg_tcp,
        max_connections: connections,
    };
    let mut starting = tokio::task::spawn_blocking(move || {
        Embedded::start(&options, &mut |line| say(format_args!("private PostgreSQL: {line}")))
    });
    let (started, stopped) = tokio::select! {
        started = &mut starting => (started, false),
        _ = signals.next_stop() => (starting.await, true),
    };
    let mut embedded = match started {
        Ok(Ok(embedded)) => embedded,
        Ok(Err(error)) => return Err(fail(exit_code(&error), error)),
        Err(panic) => {
            return Err(fail(Exit::Failed, format_args!("starting the private PostgreSQL failed: {panic}")));
        }
    };
    if stopped {
        let _ = tokio::task::spawn_blocking(move || embedded.stop()).await;
        return Err(Exit::Done);
    }
    let (stop, told) = oneshot::channel();
    Ok(Private {
        config: embedded.config(),
        place: embedded.cluster_dir().display().to_string(),
        stop,
        kept: tokio::task::spawn_local(keep(embedded, told)),
    })
}

impl Private {
    /// Stops it and waits until it has.
    pub(super) async fn stop(self) {
        let _ = self.stop.send(());
        let _ = self.kept.await;
    }
}

async fn keep(mut embedded: Embedded, mut told: oneshot::Receiver<()>) {
    loop {
        tokio::select! {
            _ = &mut told => break,
            () = embedded.died() => tracing::warn!("the private PostgreSQL died; starting it again"),
            () = tokio::time::sleep(LOOK_EVERY) => {
                mind_disk(&mut embedded);
                continue;
            }
        }
        let mut is_told = false;
        loop {
            let restart = tokio::task::spawn_blocking(move || {
                let outcome = embedded.restart();
                (embedded, outcome)
            });
            let Ok((returned, outcome)) = restart.await else {
                tracing::error!("the private PostgreSQL cannot be kept any longer");
                return;
            };
            embedded = returned;
            match outcome {
                Ok(()) => break,
                // A disk that is full stays so for hours, and this is tried again all the time.
                Err(error) if is_told => tracing::debug!("the private PostgreSQL does not start: {error}"),
                Err(error) => {
                    tracing::error!("the private PostgreSQL does not start again, trying on: {error}");
                    is_told = true;
                }
            }
            tokio::select! {
                _ = &mut told => return,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }
    match tokio::task::spawn_blocking(move || embedded.stop()).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!("the private PostgreSQL did not stop: {error}"),
        Err(panic) => tracing::error!("stopping the private PostgreSQL failed: {panic}"),
    }
}

/// Has it refuse writes while its disk is full, and says so once.
fn mind_disk(embedded: &mut Embedded) {
    const MIB: u64 = 1024 * 1024;
    match embedded.mind_disk() {
        Ok(None) => {}
        Ok(Some(disk)) if disk.is_full => tracing::warn!(
            "the disk of the private PostgreSQL is full, {} MiB are free: it takes no writes, so that reads go on. Free {} MiB where {} \
             lies, and it takes them again",
            disk.free / MIB,
            disk.enough / MIB,
            embedded.cluster_dir().display()
        ),
        Ok(Some(disk)) => {
            tracing::info!(
                "the private PostgreSQL takes writes again, {} MiB of its disk are free",
                disk.free / MIB
            );
        }
        Err(error) => tracing::debug!("the private PostgreSQL's disk is not watched: {error}"),
    }
}

/// What a script is told: whether another setting helps, another program is in the way, or there is no PostgreSQL.
pub(in crate::commands) fn exit_code(error: &EmbeddedError) -> Exit {
    match error {
        EmbeddedError::NotADirectory { .. }
        | EmbeddedError::Exposed { .. }
        | EmbeddedError::Blocked { .. }
        | EmbeddedError::NotACluster { .. }
        | EmbeddedError::ForeignOwner { .. }
        | EmbeddedError::BinariesIncomplete { .. } => Exit::Settings,
        EmbeddedError::InUse { .. } | EmbeddedError::TcpPort { .. } => Exit::System,
        EmbeddedError::NoBinaries { .. }
        | EmbeddedError::UnsupportedVersion { .. }
        | EmbeddedError::NoBinariesForCluster { .. } => Exit::DatabaseUnreached,
        _ => Exit::Failed,
    }
}
