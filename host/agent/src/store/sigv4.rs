//! Signatures of requests to S3
//! (<https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html>).
//!
//! Signed are the host, the time and the body's digest, and with them method, path and query. The
//! context token is not: the guard takes it off.

use hmac::{Hmac, KeyInit, Mac};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

const SIGNED: &str = "host;x-amz-content-sha256;x-amz-date";

/// Who signs.
pub(super) struct Key {
    pub id: String,
    pub secret: String,
}

/// What is signed. Path and query are as they are sent, in their canonical form: nothing in them needs
/// an escape, and each parameter has its `=`.
pub(super) struct Unsigned<'a> {
    pub method: &'a str,
    pub host: &'a str,
    pub path: &'a str,
    pub query: &'a str,
    pub body: &'a [u8],
}

/// The headers that a signed request has, beside its host. `None` if the secret can be no key.
pub(super) fn sign(
    key: &Key,
    region: &str,
    request: &Unsigned<'_>,
    now: Timestamp,
) -> Option<[(&'static str, String); 3]> {
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let (day, _) = time.split_once('T')?;
    let body = hex(&Sha256::digest(request.body));
    let canonical = format!(
        "{}\n{}\n{}\nhost:{}\nx-amz-content-sha256:{body}\nx-amz-date:{time}\n\n{SIGNED}\n{body}",
        request.method, request.path, request.query, request.host
    );
    let scope = format!("{day}/{region}/s3/aws4_request");
    let digest = hex(&Sha256::digest(canonical));
    let text = format!("{ALGORITHM}\n{time}\n{scope}\n{digest}");
    let mut signing = format!("AWS4{}", key.secret).into_bytes();
    for part in [day, region, "s3", "aws4_request"] {
        signing = mac(&signing, part)?;
    }
    let signature = hex(&mac(&signing, &text)?);
    let authorization = format!(
        "{ALGORITHM} Credential={}/{scope},SignedHeaders={SIGNED},Signature={signature}",
        key.id
    );
    Some([
        ("authorization", authorization),
        ("x-amz-content-sha256", body),
        ("x-amz-date", time),
    ])
}

fn mac(key: &[u8], text: &str) -> Option<Vec<u8>> {
    let mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    let mac = mac.chain_update(text).finalize();
    Some(mac.into_bytes().to_vec())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the page above that sign these headers and no others.
    #[test]
    fn signs_as_the_documentation_does() {
        let key = Key {
            id: "AKIAIOSFODNN7EXAMPLE".into(),
            secret: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
        };
        let now: Timestamp = "2013-05-24T00:00:00Z".parse().unwrap();
        for (query, signature) in [
            (
                "lifecycle=",
                "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
            ),
            (
                "max-keys=2&prefix=J",
                "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
            ),
        ] {
            let request = Unsigned {
                method: "GET",
                host: "examplebucket.s3.amazonaws.com",
                path: "/",
                query,
                body: b"",
            };
            let [(_, authorization), ..] = sign(&key, "us-east-1", &request, now).unwrap();
            assert_eq!(
                authorization,
                format!(
                    "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request,\
                     SignedHeaders=host;x-amz-content-sha256;x-amz-date,Signature={signature}"
                )
            );
        }
    }
}
