//! Signatures, checked on all processors where there are many.

use std::num::NonZero;

use crate::key::PublicKey;
use crate::log::Signed;

/// Below this many, starting a thread costs more than it brings.
const FEW: usize = 64;

/// The lines whose signatures fail, in order, and whose signatures they should be.
pub fn that_fail(signed: &[(usize, Signed)]) -> Vec<(usize, PublicKey)> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get);
    if signed.len() < FEW || threads < 2 {
        return check(signed);
    }
    std::thread::scope(|scope| {
        let parts = signed.chunks(signed.len().div_ceil(threads));
        let parts: Vec<_> = parts.map(|part| scope.spawn(|| check(part))).collect();
        let results = parts.into_iter().map(|part| match part.join() {
            Ok(failed) => failed,
            Err(panic) => std::panic::resume_unwind(panic),
        });
        results.flatten().collect()
    })
}

fn check(signed: &[(usize, Signed)]) -> Vec<(usize, PublicKey)> {
    let failed = signed.iter().filter(|(_, signed)| !signed.holds());
    failed
        .map(|(line, signed)| (*line, signed.key.clone()))
        .collect()
}
