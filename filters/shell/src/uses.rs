use engine::warrant::{Uncounted, Uses};
use proxy_wasm::hostcalls;
use proxy_wasm::types::Status;

/// How often a count is tried: each time that it fails, another worker has counted.
const ATTEMPTS: usize = 64;

/// A number that the host gives to no version of a value before it has given four thousand million
/// others. A write that expects it makes a value that is not there, and never replaces one.
const NO_VERSION: u32 = u32::MAX;

/// Uses of warrants, counted for all workers of a proxy in the data that its machines share.
///
/// A count lasts as long as the proxy keeps machines of this `vm_id`: over pushed configurations, not
/// over a restart, and each gateway counts for itself.
#[derive(Debug, Clone, Copy)]
pub struct SharedUses;

impl Uses for SharedUses {
    fn take(&mut self, key: &str, most: u64) -> Result<bool, Uncounted> {
        for _ in 0..ATTEMPTS {
            let (value, version) = hostcalls::get_shared_data(key).map_err(|_| Uncounted)?;
            let (used, version) = match (value, version) {
                (None, None) => (0, NO_VERSION),
                (Some(value), Some(version)) => {
                    let value: [u8; 8] = value.try_into().map_err(|_| Uncounted)?;
                    (u64::from_le_bytes(value), version)
                }
                _ => return Err(Uncounted),
            };
            if used >= most {
                return Ok(false);
            }
            let next = used.saturating_add(1).to_le_bytes();
            match hostcalls::set_shared_data(key, Some(&next), Some(version)) {
                Ok(()) => return Ok(true),
                Err(Status::CasMismatch) => {}
                Err(_) => return Err(Uncounted),
            }
        }
        Err(Uncounted)
    }
}
