//! The monotonic clock that the machines' timers count on.
//!
//! The core never reads it: drivers pass `now` in, so a simulation can run on virtual time.

pub use std::time::Duration;
pub use web_time::Instant;
