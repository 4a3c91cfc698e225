//! The monotonic clock types of the state machines' timeouts.
//!
//! The core never reads the clock. Drivers pass `now`, so a simulation can use virtual time.

pub use std::time::Duration;
pub use web_time::Instant;
