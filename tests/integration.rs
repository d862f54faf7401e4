//! Integration tests.
#![cfg(test)]

mod embedded;
mod schema;
