//! Everything that speaks to PostgreSQL.

pub mod embedded;
pub mod schema;
