//! A region with a real Envoy under load, to which things happen that happen: it is killed, disks get full and
//! fail, clocks jump.

mod cases;
mod clients;
mod clock;
mod disk;
mod envoy;
mod mounted;
mod train;
mod world;
