//! conductor
fn main() {}
