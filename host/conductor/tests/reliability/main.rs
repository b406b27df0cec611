//! A region with a real Envoy under load, to which things happen that happen: it is killed, clocks jump.

mod clients;
mod clock;
mod envoy;
mod world;
