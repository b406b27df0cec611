//! The control plane with real processes: the conductor, Envoys, certificates and signals.

mod identity;
mod ports;
mod probes;
mod status;
mod survival;
mod world;
