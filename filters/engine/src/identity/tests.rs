use std::collections::HashMap;

use super::*;
use proptest::prelude::*;

struct Token(HashMap<&'static str, Result<Vec<u8>, Unreadable>>);

impl Claims for Token {
    fn claim(&self, name: &str) -> Result<Option<Vec<u8>>, Unreadable> {
        self.0.get(name).cloned().transpose()
    }
}

fn token() -> Token {
    Token(HashMap::from([
        ("sub", Ok(b"ann".to_vec())),
        ("tenant", Ok(b"acme".to_vec())),
        ("roles", Ok(encode(&["b", "a", "b"]))),
        ("purposes", Ok(encode(&["support"]))),
    ]))
}

#[test]
fn reads_what_envoy_encodes() {
    // Measured on Envoy 1.40: roles ["a","b"].
    let measured = [
        2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0x61, 0, 0, 0x62, 0, 0,
    ];
    assert_eq!(list(&measured).unwrap(), [b"a", b"b"]);
    let who = Identity::read(&token()).unwrap();
    assert_eq!(who.roles, ["a", "b"]);
    assert_eq!(who.acr, None);
    assert_eq!(who.purpose(&[b"support"]), Ok(Some("support")));
    assert_eq!(who.purpose(&[]), Ok(None));
}

#[test]
fn refuses_what_is_missing_or_malformed() {
    let who = Identity::read(&token()).unwrap();
    assert_eq!(who.purpose(&[b"marketing"]), Err(IdentityError::Purpose));
    for odd in [
        &[b"support".as_slice(), b"support"][..],
        &[b""],
        &[b"a b"],
        &[&[0xff]],
    ] {
        assert_eq!(who.purpose(odd), Err(IdentityError::Header("x-ig-purpose")));
    }
    for (claim, value, want) in [
        ("sub", Ok(vec![]), IdentityError::Missing("sub")),
        (
            "tenant",
            Err(Unreadable),
            IdentityError::Malformed("tenant", "readable"),
        ),
        (
            "tenant",
            Ok(vec![0xff]),
            IdentityError::Malformed("tenant", "a short text"),
        ),
        (
            "sub",
            Ok(vec![b'x'; 300]),
            IdentityError::Malformed("sub", "a short text"),
        ),
        (
            "roles",
            Ok(b"analyst".to_vec()),
            IdentityError::Malformed("roles", "a list of short texts"),
        ),
        (
            "roles",
            Ok(encode(&[""])),
            IdentityError::Malformed("roles", "a list of short texts"),
        ),
    ] {
        let mut token = token();
        token.0.insert(claim, value);
        assert_eq!(Identity::read(&token).unwrap_err(), want);
    }
}

proptest! {
    #[test]
    fn any_bytes_are_a_list_or_not(bytes in proptest::collection::vec(0u8..4, 0..40)) {
        if let Some(items) = list(&bytes) {
            let texts: Vec<&str> = items.iter().map(|i| std::str::from_utf8(i).unwrap()).collect();
            prop_assert_eq!(encode(&texts), bytes);
        }
    }
}
