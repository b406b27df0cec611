//! Whose request it is, by the words of a token that nobody here verifies: the guard does.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use engine::context::ContextToken;

use crate::names::{Tenant, Token};

/// The tenant that a token names, if it can be read and its name can stand in others.
pub(crate) fn tenant(token: &Token) -> Option<Tenant> {
    let mut parts = token.as_str().split('.');
    let (_, payload) = (parts.next()?, parts.next()?);
    let claims = URL_SAFE_NO_PAD.decode(payload).ok()?;
    let claims: ContextToken = serde_json::from_slice(&claims).ok()?;
    claims.tenant.try_into().ok()
}

#[cfg(test)]
mod tests {
    use engine::context::ContextKeys;

    use super::*;

    fn token(text: impl Into<String>) -> Token {
        Token::try_from(text.into()).unwrap()
    }

    #[test]
    fn the_tenant_is_read_and_not_believed() {
        let claims = |tenant: &str| ContextToken {
            jti: "dec_1".into(),
            tenant: tenant.into(),
            home: "eu".into(),
            region: "eu".into(),
            iat: 1,
            exp: 2,
            warrant: None,
        };
        let keys = "test:QUJDREVGR0hJSktMTU5PUFFSU1RVVldYWVphYmNkZWY";
        let keys = ContextKeys::parse(keys, "eu").unwrap();
        let good = claims("acme").sign(&keys).unwrap();
        let acme = Tenant::try_from("acme".to_owned()).ok();
        assert_eq!(tenant(&token(good.clone())), acme);
        assert_eq!(tenant(&token(format!("{good}x"))), acme);
        let climbing = claims("../globex").sign(&keys).unwrap();
        for bad in [climbing.as_str(), "", "x", "a.b.c", "a.e30.c"] {
            assert_eq!(tenant(&token(bad)), None, "{bad}");
        }
    }
}
