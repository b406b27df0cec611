//! Alerts: what is wrong, since when, and who has been told.
//!
//! Receivers are Alertmanagers (API v2) and webhooks. The book of alerts is on disk before anybody is
//! told, and says of each receiver what it knows: after a crash or an outage it is told again until it
//! has taken it.

mod alert;
mod book;
mod config;
mod error;
pub mod run;
mod wire;

pub use alert::{Alert, Severity};
pub use book::{Book, Entry, Status};
pub use config::{Config, Webhook};
pub use error::AlertError;
