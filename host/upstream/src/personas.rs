//! Who calls in the demo.

use serde_json::Map;

use crate::tokens::{AUDIENCE, Claims, ISSUER, Issuer};

/// How long a persona's token is good, in seconds.
pub const LIFETIME: u64 = 8 * 60 * 60;

/// A caller of the demo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Persona {
    /// How command lines and tables call it; also the token's `sub`.
    pub name: &'static str,
    /// The tenant it works for.
    pub tenant: &'static str,
    /// Its roles.
    pub roles: &'static [&'static str],
    /// What it may use data for.
    pub purposes: &'static [&'static str],
    /// How it was authenticated.
    pub acr: &'static str,
    /// What is wrong with its token, if anything.
    pub flaw: Option<Flaw>,
}

/// Why a token is not to be accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// It ran out an hour ago.
    Expired,
    /// Another key than the issuer's signed it.
    ForeignKey,
}

/// Sees pseudonyms: hashed e-mail, partial phone, no salary.
pub const ANALYST_ACME: Persona = Persona {
    name: "analyst@acme",
    tenant: "acme",
    roles: &["analyst"],
    purposes: &["analytics", "support"],
    acr: "1",
    flaw: None,
};

/// Sees all of its tenant, and what was masked for others.
pub const ADMIN_ACME: Persona = Persona {
    name: "admin@acme",
    tenant: "acme",
    roles: &["admin"],
    purposes: &["administration", "support"],
    acr: "2",
    flaw: None,
};

/// Helps customers of its tenant.
pub const SUPPORT_ACME: Persona = Persona {
    name: "support@acme",
    tenant: "acme",
    roles: &["support"],
    purposes: &["support"],
    acr: "1",
    flaw: None,
};

/// Checks, and changes nothing.
pub const AUDITOR_ACME: Persona = Persona {
    name: "auditor@acme",
    tenant: "acme",
    roles: &["auditor"],
    purposes: &["audit"],
    acr: "2",
    flaw: None,
};

/// The same after a second factor: for what the policy asks it for.
pub const MFA_AUDITOR_ACME: Persona = Persona {
    name: "mfa_auditor@acme",
    acr: "mfa",
    ..AUDITOR_ACME
};

/// A second tenant of the same region.
pub const ANALYST_GLOBEX: Persona = Persona {
    name: "analyst@globex",
    tenant: "globex",
    ..ANALYST_ACME
};

/// A tenant of the United States.
pub const ANALYST_INITECH: Persona = Persona {
    name: "analyst@initech",
    tenant: "initech",
    ..ANALYST_ACME
};

/// A tenant of Asia and the Pacific.
pub const ANALYST_HOOLI: Persona = Persona {
    name: "analyst@hooli",
    tenant: "hooli",
    ..ANALYST_ACME
};

/// A well-signed token of a tenant that no directory knows.
pub const NOBODY_NOWHERE: Persona = Persona {
    name: "nobody@nowhere",
    tenant: "nowhere",
    ..ANALYST_ACME
};

/// An admin whose token ran out.
pub const EXPIRED_ACME: Persona = Persona {
    name: "expired@acme",
    flaw: Some(Flaw::Expired),
    ..ADMIN_ACME
};

/// Somebody who made an admin's token with a key of their own.
pub const FORGED_ACME: Persona = Persona {
    name: "forged@acme",
    flaw: Some(Flaw::ForeignKey),
    ..ADMIN_ACME
};

/// Everybody.
pub const ALL: [Persona; 11] = [
    ANALYST_ACME,
    ADMIN_ACME,
    SUPPORT_ACME,
    AUDITOR_ACME,
    MFA_AUDITOR_ACME,
    ANALYST_GLOBEX,
    ANALYST_INITECH,
    ANALYST_HOOLI,
    NOBODY_NOWHERE,
    EXPIRED_ACME,
    FORGED_ACME,
];

/// The persona of a name.
#[must_use]
pub fn named(name: &str) -> Option<Persona> {
    ALL.into_iter().find(|persona| persona.name == name)
}

impl Persona {
    /// What its token says; `now` in seconds since 1970. One `jti` a second: set another where
    /// each request needs its own.
    #[must_use]
    pub fn claims(&self, now: u64) -> Claims {
        let exp = match self.flaw {
            Some(Flaw::Expired) => now.saturating_sub(60 * 60),
            _ => now + LIFETIME,
        };
        let owned = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        Claims {
            sub: self.name.to_owned(),
            tenant: self.tenant.to_owned(),
            roles: owned(self.roles),
            purposes: owned(self.purposes),
            acr: self.acr.to_owned(),
            jti: format!("{}-{now}", self.name),
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            iat: exp.saturating_sub(LIFETIME),
            exp,
            extra: Map::new(),
        }
    }

    /// Its token, flaw and all.
    #[must_use]
    pub fn token(&self, issuer: &Issuer, now: u64) -> String {
        let claims = self.claims(now);
        match self.flaw {
            Some(Flaw::ForeignKey) => issuer.impostor().token(&claims),
            Some(Flaw::Expired) | None => issuer.token(&claims),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Region;

    #[test]
    fn every_persona_has_a_name_of_its_own_and_a_home_unless_it_is_nobody() {
        for persona in ALL {
            assert_eq!(named(persona.name), Some(persona));
            let home = Region::of_tenant(persona.tenant);
            assert_eq!(home.is_none(), persona == NOBODY_NOWHERE, "{persona:?}");
        }
    }

    #[test]
    fn only_the_expired_token_has_run_out() {
        let now = 1_800_000_000;
        for persona in ALL {
            let claims = persona.claims(now);
            assert_eq!(claims.exp <= now, persona.flaw == Some(Flaw::Expired));
            assert!(claims.iat <= now && claims.iat < claims.exp);
        }
    }
}
