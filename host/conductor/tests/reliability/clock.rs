//! Clocks jump.
