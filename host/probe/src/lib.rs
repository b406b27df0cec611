//! Residency probes: does what the policies promise of a tenant's data hold, from the gateway to the
//! stores?
//!
//! A [`run::Prober`] does for each tenant what [`mod@plan`] says: through the gateway of its home it
//! writes a sentinel to each store, reads it, lets every other region try the same, and deletes it.
//! [`judge`] turns what was seen into a verdict, and [`schedule`] says when. How requests are sent is
//! the [`World`]'s.
//!

pub mod config;
pub mod judge;
pub mod observe;
pub mod plan;
pub mod run;
pub mod schedule;

pub use config::Config;
pub use judge::{Judgement, Verdict};
pub use run::{Prober, World};
