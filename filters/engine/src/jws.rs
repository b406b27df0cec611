//! Signed texts in the compact form of JWS (RFC 7515, section 7.1), as tokens and warrants have it.
//!
//! Base64url is strict (no padding, no bits left over), and a header holds its three members and no
//! other, so nothing in it can name or bring a key, and a text has one form.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

/// What a kind of text has in its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// The algorithm (RFC 7518, section 3.1).
    pub algorithm: &'static str,
    /// The `typ`.
    pub media: &'static str,
}

/// The header, whole: a text with any other is refused.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Header<'a> {
    alg: &'a str,
    kid: &'a str,
    typ: &'a str,
}

/// A text taken apart, whose signature nobody has looked at.
#[derive(Debug)]
pub(crate) struct Jws<'a> {
    /// The key that is said to have signed.
    pub kid: String,
    /// What was signed: header and payload, as they stand in the text.
    pub signed: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Jws<'a> {
    /// Takes a text apart; `None` if it is not of that kind.
    pub fn parse(text: &'a [u8], kind: Kind) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let (signed, signature) = text.rsplit_once('.')?;
        // A further dot is in no base64url.
        let (header, payload) = signed.split_once('.')?;
        let header = URL_SAFE_NO_PAD.decode(header).ok()?;
        let header: Header<'_> = serde_json::from_slice(&header).ok()?;
        let fits = header.alg == kind.algorithm && header.typ == kind.media;
        fits.then(|| Self {
            kid: header.kid.to_owned(),
            signed,
            payload,
            signature,
        })
    }

    /// The payload's bytes; `None` if it is not base64url.
    pub fn payload(&self) -> Option<Vec<u8>> {
        URL_SAFE_NO_PAD.decode(self.payload).ok()
    }

    /// The signature's bytes; `None` if it is not base64url.
    pub fn signature(&self) -> Option<Vec<u8>> {
        URL_SAFE_NO_PAD.decode(self.signature).ok()
    }
}

/// The header of texts of a kind under one key, encoded; `None` if it can't be written.
pub(crate) fn header(kind: Kind, kid: &str) -> Option<String> {
    let header = Header {
        alg: kind.algorithm,
        kid,
        typ: kind.media,
    };
    Some(URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header).ok()?))
}

/// What is to be signed: an encoded header and a payload. There is room behind it for a signature of
/// so many bytes.
pub(crate) fn signing_input(header: &str, payload: &[u8], signature_bytes: usize) -> String {
    let encoded = |bytes: usize| bytes.div_ceil(3) * 4;
    let size = header.len() + encoded(payload.len()) + encoded(signature_bytes) + 2;
    let mut text = String::with_capacity(size);
    text.push_str(header);
    text.push('.');
    URL_SAFE_NO_PAD.encode_string(payload, &mut text);
    text
}

/// The whole text, from what was signed and its signature.
pub(crate) fn compact(mut signed: String, signature: &[u8]) -> String {
    signed.push('.');
    URL_SAFE_NO_PAD.encode_string(signature, &mut signed);
    signed
}

#[cfg(test)]
mod tests {
    use super::*;

    const KIND: Kind = Kind {
        algorithm: "HS256",
        media: "test+jwt",
    };

    fn text(header: &str, rest: &str) -> Vec<u8> {
        format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header)).into_bytes()
    }

    #[test]
    fn what_is_written_is_read_and_was_sized_once() {
        let signed = signing_input(&header(KIND, "k1").unwrap(), b"{\"a\":1}", 5);
        let (room, input) = (signed.capacity(), signed.clone());
        let written = compact(signed, b"12345");
        assert_eq!(written.capacity(), room);
        let read = Jws::parse(written.as_bytes(), KIND).unwrap();
        assert_eq!((&*read.kid, read.signed), ("k1", &*input));
        assert_eq!(read.payload().unwrap(), b"{\"a\":1}");
        assert_eq!(read.signature().unwrap(), b"12345");
    }

    #[test]
    fn another_header_or_form_is_not_read() {
        let good = r#"{"alg":"HS256","kid":"k1","typ":"test+jwt"}"#;
        assert!(Jws::parse(&text(good, "e30.AA"), KIND).is_some());
        for header in [
            r#"{"alg":"none","kid":"k1","typ":"test+jwt"}"#,
            r#"{"alg":"HS256","kid":"k1","typ":"JWT"}"#,
            r#"{"alg":"HS256","typ":"test+jwt"}"#,
            r#"{"alg":"HS256","kid":"k1","typ":"test+jwt","jwk":{}}"#,
            r#"{"alg":"HS256","kid":"k1","kid":"k2","typ":"test+jwt"}"#,
            "",
        ] {
            assert!(
                Jws::parse(&text(header, "e30.AA"), KIND).is_none(),
                "{header}"
            );
        }
        for rest in ["", "e30"] {
            assert!(Jws::parse(rest.as_bytes(), KIND).is_none(), "{rest}");
        }
        // Padding, bits left over, the other alphabet, a part too many.
        for part in ["e30=", "e31", "e3+0", "e30.e30"] {
            let payload = text(good, &format!("{part}.AA"));
            let payload = Jws::parse(&payload, KIND).unwrap().payload();
            assert_eq!(payload, None, "{part}");
        }
        let signature = text(good, "e30.AA==");
        assert_eq!(Jws::parse(&signature, KIND).unwrap().signature(), None);
    }
}
