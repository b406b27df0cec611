//! The release train: how a bundle of policies gets from a file to every gateway, by degrees, on
//! evidence, and back.
//!
//! [`Record`]s are all there is: one line each in a file that is only added to, each with the hash of
//! the one before it, those of people signed by them. [`Train`] is what they add up to; it says what is
//! allowed next and by whom. [`judge`] looks at what a canary did and says whether it goes on.
//!
//! # Invariants
//! - A release's content never changes: it is named by the SHA-256 of its bundle.
//! - Numbers of releases only grow; going back is a new release of old content.
//! - One release is under way at a time, and only on top of the one that it was tried against.
//! - What people do is signed; what nobody signed can only carry on, or take back, what was signed.
//! - All but [`run`] is pure: no clock, no file, no network.

mod choose;
mod error;
mod judge;
mod keyring;
mod plan;
mod record;
pub mod run;
mod train;

pub use choose::choose;
pub use error::{KeyringError, PlanError, RecordError, TrainError};
pub use judge::{DENIALS, Evidence, GuardSample, Guards, Part, Sample, Verdict, is_over, judge};
pub use keyring::Keyring;
pub use plan::{Among, Plan, Step, Thresholds};
pub use record::{Act, CONDUCTOR, Record, Tried, sign};
pub use train::{Canary, Freeze, Release, Rules, Standing, Train};
