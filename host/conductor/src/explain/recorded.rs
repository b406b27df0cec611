//! Recorded cases (`policies/cases/README.md`), as far as they tell a request.

use std::path::Path;

use anyhow::Context;
use bundle::Patch;
use bundle::cases::read_case;
use serde_json::Value;

use super::Request;
use crate::bundle::KnownAuthorities;

/// A case's request, its time, and what the case changes of the policies.
pub struct Recorded {
    pub request: Request,
    /// In seconds since 1970.
    pub now: u64,
    pub patch: Patch,
    /// Whether it goes on to the upstream, where its `want.json` says that.
    pub allowed: Option<bool>,
}

/// Reads a case's directory; `want.json` may be missing.
pub fn read(directory: &Path) -> anyhow::Result<Recorded> {
    let (input, want) = read_case(directory, &KnownAuthorities)?;
    let Value::Object(claims) = &input.claims else {
        let claims = "its `claims` are no object";
        return Err(anyhow::anyhow!(claims))
            .with_context(|| format!("{} is no case", directory.join("input.json").display()));
    };
    Ok(Recorded {
        request: Request {
            headers: input.headers(),
            region: input.gateway_region.clone(),
            claims: claims.clone(),
            body: input.request.body(),
        },
        now: input.now,
        allowed: want.and_then(|want| want.allow),
        patch: input.patch(),
    })
}
