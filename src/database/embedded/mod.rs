//! A private PostgreSQL (stub until the real room is merged).
#![allow(missing_docs, clippy::all)]
use std::path::{Path, PathBuf};
pub struct Options {
    pub data_dir: PathBuf,
    pub pg_bin: Option<PathBuf>,
    pub tcp_port: Option<u16>,
    pub max_connections: u32,
}
pub struct Embedded;
#[derive(Debug, thiserror::Error)]
#[error("not built yet")]
pub struct EmbeddedError;
pub fn default_data_dir() -> PathBuf {
    PathBuf::from("/var/lib/plimsoll")
}
impl Embedded {
    pub fn start(_: &Options, _: &mut dyn FnMut(&str)) -> Result<Self, EmbeddedError> {
        Err(EmbeddedError)
    }
    pub fn config(&self) -> tokio_postgres::Config {
        tokio_postgres::Config::new()
    }
    pub fn cluster_dir(&self) -> &Path {
        Path::new("/")
    }
    pub async fn died(&self) {}
    pub fn restart(&mut self) -> Result<(), EmbeddedError> {
        Ok(())
    }
    pub fn stop(&mut self) -> Result<(), EmbeddedError> {
        Ok(())
    }
}
