//! The bytes of a file that are hashed for the signature.
//!
//! As OPA's bundle signing has it (open-policy-agent/opa, v1/bundle/hash.go and verify.go): structured
//! files are parsed, so that blanks and the order of members do not count, and written in the way of
//! Go's `encoding/json` without HTML escapes, with the members of objects in the order of their names
//! and numbers as they stand. Of any other file the bytes are taken as they are.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};

use crate::tree::base;

/// Whether OPA takes a file for a structured one.
pub fn is_structured(name: &str) -> bool {
    ["data.json", "data.yaml", "signatures.json", ".manifest"].contains(&base(name))
}

/// The bytes that are hashed.
///
/// # Errors
/// It is a structured file and no JSON.
pub fn canonical<'b>(name: &str, bytes: &'b [u8]) -> Result<Cow<'b, [u8]>, serde_json::Error> {
    if !is_structured(name) {
        return Ok(Cow::Borrowed(bytes));
    }
    // This one bounds the depth, which is not looked at where values stay as they are written.
    serde_json::from_slice::<Value>(bytes)?;
    let mut out = Vec::with_capacity(bytes.len());
    write(serde_json::from_slice::<&RawValue>(bytes)?, &mut out)?;
    Ok(Cow::Owned(out))
}

/// The SHA-256 of a file for the signature, hexadecimal.
///
/// # Errors
/// As [`canonical`].
pub fn hash(name: &str, bytes: &[u8]) -> Result<String, serde_json::Error> {
    Ok(hex(&Sha256::digest(canonical(name, bytes)?)))
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

fn write(value: &RawValue, out: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let text = value.get();
    match text.as_bytes().first() {
        Some(b'{') => {
            let members: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
            out.push(b'{');
            for (at, (name, value)) in members.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                string(&name, out);
                out.push(b':');
                write(value, out)?;
            }
            out.push(b'}');
        }
        Some(b'[') => {
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            out.push(b'[');
            for (at, value) in items.into_iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(value, out)?;
            }
            out.push(b']');
        }
        Some(b'"') => string(&serde_json::from_str::<String>(text)?, out),
        // Numbers to the last digit, and the three words.
        _ => out.extend_from_slice(text.as_bytes()),
    }
    Ok(())
}

fn string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(br#"\""#),
            '\\' => out.extend_from_slice(br"\\"),
            '\u{8}' => out.extend_from_slice(br"\b"),
            '\u{c}' => out.extend_from_slice(br"\f"),
            '\n' => out.extend_from_slice(br"\n"),
            '\r' => out.extend_from_slice(br"\r"),
            '\t' => out.extend_from_slice(br"\t"),
            '\0'..'\u{20}' | '\u{2028}' | '\u{2029}' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
            }
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::Sha512;

    /// From the tokens of OPA's own tests: v1/bundle/bundle_test.go, `TestReadWithSignaturesWithBaseDir`.
    #[test]
    fn hashes_are_those_of_opas_tests() {
        for (name, text, want) in [
            (
                "foo/bar/.manifest",
                r#"{"revision": "quickbrownfaux"}"#,
                "507a2c38a1441db58d2cb87982c42aa91a4342ef422a6b542eddebeef6f0412f",
            ),
            (
                "foo/bar/a/b/c/data.json",
                "[1,2,3]",
                "a615eeaee21de5179de080de8c3052c8da901138406ba71c38c032845f7d54f4",
            ),
            (
                "foo/bar/http/policy/policy.rego",
                "package example",
                "f664461e303b37c20c5e0be2900881678cdf8e860aa433a5a14d494ba3c66649",
            ),
        ] {
            assert_eq!(hash(name, text.as_bytes()).unwrap(), want, "{name}");
        }
        // `TestVerifyBundleFileHash`, SHA-512.
        for (name, text, want) in [
            (
                "a/b/c/data.json",
                "[1,2,3]",
                "60f7b5dc86ded48785436192a08dbfd04894d7f1b417c4f8d3714679a7f78cb3c833f16a8559a1cf1f32968747dc1d95ef34826263dacf125ded8f5c374be4c0",
            ),
            (
                "policy.wasm",
                "modules-compiled-as-wasm-binary",
                "4f73765168fd8b5c294b739436da312cc5e979faf09f67bf576d36ea79a4f79c70cbb3c33d06ff65f531a9f42abd0a8f4daacc554cb521837e876dc28f56ce89",
            ),
        ] {
            let bytes = canonical(name, text.as_bytes()).unwrap();
            assert_eq!(hex(&Sha512::digest(bytes)), want, "{name}");
        }
    }

    #[test]
    fn structured_files_are_written_as_go_does() {
        let text = "{ \"b\": [1.50, 1e400, -0, 123.45678911111111111111111111111111], \"a\": {\"\\u007f\": null, \
                    \"<&>\": \"\\u2028\\u0007\\b\\f\\n\\/é\\ud83d\\ude00\"} }";
        let want = "{\"a\":{\"<&>\":\"\\u2028\\u0007\\b\\f\\n/é😀\",\"\u{7f}\":null},\
                    \"b\":[1.50,1e400,-0,123.45678911111111111111111111111111]}";
        // A number beyond a double's range is none for this project, whatever it is for OPA.
        assert!(canonical("data.json", text.as_bytes()).is_err());
        let (text, want) = (text.replace("1e400", "1e40"), want.replace("1e400", "1e40"));
        let seen = canonical("x/data.json", text.as_bytes()).unwrap();
        assert_eq!(std::str::from_utf8(&seen).unwrap(), want);
        let raw = canonical("masking.json", text.as_bytes()).unwrap();
        assert_eq!(&*raw, text.as_bytes());
        let deep = "[".repeat(100_000);
        assert!(canonical("data.json", deep.as_bytes()).is_err());
    }
}
