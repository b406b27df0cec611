//! An upstream as its clients see it, over loopback.

mod client;
mod faults;
mod serving;
