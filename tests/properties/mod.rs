//! What holds of any input to the running service: streams cut anywhere, rows with any content, settings from any layer.
//!
//! What holds of the parts by themselves is in the crate, `src/properties`.
//!
//! **Invariant:** what is expected comes from elsewhere than what is tested: another way to send, another parser, the table itself.

mod layers;
mod rows;
mod streams;
