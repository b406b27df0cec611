//! Signed texts: a change of one is none, or says the same.

use std::cell::RefCell;
use std::sync::LazyLock;

use engine::context::{ContextKeys, ContextToken, WarrantUse};
use engine::warrant::{AuthorityBinding, Jwk, Operation, Registry, Warrant, Warrants};
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::json;

use crate::bytes::Bytes;
use crate::setting::KEYS;

const NOW: u64 = 1_030;

static CONTEXT_KEYS: LazyLock<ContextKeys> =
    LazyLock::new(|| ContextKeys::parse(KEYS, "eu").expect("they are keys"));

/// Tokens of several tenants, with and without a warrant.
static TOKENS: LazyLock<Vec<(ContextToken, String)>> = LazyLock::new(|| {
    let token = |tenant: &str, warrant: Option<WarrantUse>| {
        let token = ContextToken {
            jti: format!("dec_{tenant}"),
            tenant: tenant.into(),
            home: if warrant.is_some() { "us" } else { "eu" }.into(),
            region: "eu".into(),
            iat: 1_000,
            exp: 1_060,
            warrant,
        };
        let text = token.sign(&CONTEXT_KEYS).expect("it can be written");
        (token, text)
    };
    let used = warrant("initech", &key(1)).in_use();
    vec![
        token("acme", None),
        token("globex", None),
        token("initech", Some(used)),
    ]
});

fn key(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).expect("it is a key")
}

fn warrant(tenant: &str, key: &SigningKey) -> Warrant {
    Warrant {
        jti: format!("wrt_{tenant}"),
        tenant: tenant.into(),
        src: "us".into(),
        dst: "eu".into(),
        operations: vec![Operation::Read],
        purpose: "audit".into(),
        iat: 1_000,
        nbf: 1_000,
        exp: 2_000,
        max_uses: Some(1),
        binding: AuthorityBinding {
            authority: "court".into(),
            key: Jwk::of(key.verifying_key()).thumbprint(),
            jurisdiction: "EU".into(),
            case_reference: "C-1/26".into(),
        },
    }
}

/// Warrants under two keys of one authority.
static WARRANTS: LazyLock<Vec<(Warrant, String)>> = LazyLock::new(|| {
    let signed = |tenant: &str, seed| {
        let key = key(seed);
        let warrant = warrant(tenant, &key);
        let input = warrant.signing_input().expect("it can be written");
        let signature: Signature = key.sign(input.as_bytes());
        let text = warrant.compact(&signature).expect("it can be written");
        (warrant, text)
    };
    vec![
        signed("initech", 1),
        signed("hooli", 1),
        signed("initech", 2),
    ]
});

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let keys = [1, 2].map(|seed| Jwk::of(key(seed).verifying_key()));
    let data = json!({"ig": {
        "regions": {"eu": {"jurisdiction": "EU"}, "us": {"jurisdiction": "EU"}},
        "authorities": {"court": {"jurisdictions": ["EU"], "keys": keys}},
    }});
    Registry::read(&data).expect("it is a registry")
});

thread_local! {
    static AUTHENTIC: RefCell<Warrants> = RefCell::new(Warrants::new(REGISTRY.clone()));
}

/// A valid text with a few changes: bytes set, flipped in one bit, put in or taken out, its end cut off,
/// and its parts exchanged for another's.
fn changed(texts: &[&str], bytes: &mut Bytes<'_>) -> Vec<u8> {
    let mut text = bytes.pick(texts).as_bytes().to_vec();
    for _ in 0..1 + bytes.below(4) {
        let at = usize::from(bytes.next()) << 8 | usize::from(bytes.next());
        let at = at % (text.len() + 1);
        let what = bytes.next();
        match bytes.below(8) {
            0 => text.insert(at, what),
            1 if at < text.len() => drop(text.remove(at)),
            2 if at < text.len() => text[at] ^= 1 << (what % 8),
            3 => text.truncate(at),
            4 => {
                // The texts' parts, between dots.
                let other = bytes.pick(texts).as_bytes();
                let mut parts: Vec<&[u8]> = text.split(|b| *b == b'.').collect();
                let part = usize::from(what) % parts.len();
                let others: Vec<&[u8]> = other.split(|b| *b == b'.').collect();
                if let Some(new) = others.get(part) {
                    parts[part] = new;
                }
                text = parts.join(&b'.');
            }
            5 => {
                let other = bytes.pick(texts).as_bytes();
                text = [&text[..at], &other[at.min(other.len())..]].concat();
            }
            _ if at < text.len() => text[at] = what,
            _ => {}
        }
    }
    text
}

/// Context tokens and warrants with changes, or any bytes: none verifies but with the claims that were
/// signed.
pub fn tokens(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    match bytes.below(4) {
        0 => token(&changed(&texts(&TOKENS), &mut bytes)),
        1 => warranted(&changed(&texts(&WARRANTS), &mut bytes)),
        2 => token(bytes.rest()),
        _ => warranted(bytes.rest()),
    }
}

fn texts<T>(signed: &[(T, String)]) -> Vec<&str> {
    signed.iter().map(|(_, text)| text.as_str()).collect()
}

fn token(text: &[u8]) {
    if let Ok(claims) = ContextToken::verify(text, &CONTEXT_KEYS, "eu", NOW) {
        let signed = TOKENS.iter().find(|(_, t)| t.as_bytes() == text);
        assert_eq!(signed.map(|(claims, _)| claims), Some(&claims));
    }
}

fn warranted(text: &[u8]) {
    let read = AUTHENTIC.with_borrow_mut(|known| known.authenticate(text));
    if let Ok(read) = read {
        // Of a signature (r, s) of ECDSA, (r, -s) is one as well: what was signed is what counts.
        let input = |text: &[u8]| text.rsplitn(2, |b| *b == b'.').nth(1).map(<[u8]>::to_vec);
        let signed = WARRANTS
            .iter()
            .find(|(_, t)| input(t.as_bytes()) == input(text));
        assert_eq!(signed.map(|(claims, _)| claims), Some(&*read));
    }
}
