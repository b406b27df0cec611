//! What stock `openssl` and other people's formats make of our files.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use base64::{Engine, prelude::BASE64_STANDARD};
use proof::KeyFiles;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::stage::*;

fn shell(directory: &Path, line: &str) -> Output {
    Command::new("sh")
        .args(["-c", line])
        .current_dir(directory)
        .env("IG_PROOF_PASSPHRASE", "correct horse battery")
        .output()
        .expect("sh")
}

#[track_caller]
fn says(output: &Output, want: &str) {
    let text = String::from_utf8_lossy(&output.stdout).into_owned()
        + &String::from_utf8_lossy(&output.stderr);
    assert!(text.contains(want), "{text}");
}

#[test]
fn openssl_verifies_a_proof() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    two_hours(path);
    for tenant in ["acme", "globex"] {
        let line = format!(
            "base64 -d {tenant}.sig | openssl dgst -sha256 -verify conductor.pub \
             -signature /dev/stdin {tenant}.payload.json"
        );
        says(&shell(path, &line), "Verified OK");
    }
    let line = "base64 -d acme.sig | openssl dgst -sha256 -verify conductor.pub \
                -signature /dev/stdin globex.payload.json";
    says(&shell(path, line), "Verification failure");
}

#[test]
fn openssl_verifies_a_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    two_hours(path);
    // The text is what stands before the blank line; four bytes of hint stand before the signature.
    let line = "sed '/^$/,$d' checkpoint > text && tail -n 1 checkpoint | cut -d' ' -f3 \
                | base64 -d | tail -c +5 > der \
                && openssl dgst -sha256 -verify conductor.pub -signature der text";
    says(&shell(path, line), "Verified OK");
}

#[test]
fn openssl_reads_the_keys() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let key = KeyFiles::current(path).generate(&passphrase()).unwrap();
    let line = "openssl pkey -in conductor.key -passin env:IG_PROOF_PASSPHRASE -pubout";
    let output = shell(path, line);
    assert!(output.status.success());
    let public = fs::read_to_string(path.join("conductor.pub")).unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), public);
    let line = "openssl asn1parse -in conductor.key";
    let output = shell(path, line);
    for part in ["PBES2", "scrypt", "aes-256-cbc"] {
        says(&output, part);
    }
    let line = "openssl pkey -in conductor.key -passin pass:wrong-one -pubout";
    assert!(!shell(path, line).status.success());
    // The id is what anybody can work out.
    let line = "openssl pkey -pubin -in conductor.pub -outform DER | sha256sum | cut -c1-16";
    says(&shell(path, line), key.public().id());
    // A key that openssl made serves as well.
    let line = "openssl ecparam -name prime256v1 -genkey -noout \
                | openssl pkcs8 -topk8 -v2 aes-256-cbc -passout env:IG_PROOF_PASSPHRASE > k.key \
                && openssl pkey -in k.key -passin env:IG_PROOF_PASSPHRASE -pubout > k.pub \
                && chmod 600 k.key";
    assert!(shell(path, line).status.success());
    let files = KeyFiles {
        private: path.join("k.key"),
        public: path.join("k.pub"),
    };
    files.read(&passphrase()).unwrap();
}

#[test]
fn the_bundle_has_the_fields_of_sigstore() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let key = two_hours(path);
    let bundle: Value =
        serde_json::from_slice(&fs::read(path.join("acme.sigstore.json")).unwrap()).unwrap();
    let payload = fs::read(path.join("acme.payload.json")).unwrap();
    let signature = fs::read_to_string(path.join("acme.sig")).unwrap();
    let base64 = |bytes: &[u8]| BASE64_STANDARD.encode(bytes);
    assert_eq!(
        bundle,
        serde_json::json!({
            "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
            "verificationMaterial": {"publicKey": {"hint": base64(key.public().digest())}},
            "messageSignature": {
                "messageDigest": {
                    "algorithm": "SHA2_256",
                    "digest": base64(&Sha256::digest(&payload)),
                },
                "signature": signature.trim_end(),
            },
        })
    );
}

#[test]
fn a_proof_says_what_the_contract_says() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path();
    let key = two_hours(path);
    let text = fs::read_to_string(path.join("acme.proof.json")).unwrap();
    let mut proof: Value = serde_json::from_str(&text).unwrap();
    let signature = fs::read_to_string(path.join("acme.sig")).unwrap();
    assert_eq!(
        proof["signature"],
        format!("cosign:{}", signature.trim_end())
    );
    let fields = proof.as_object_mut().unwrap();
    fields.remove("signature");
    assert_eq!(
        proof,
        serde_json::json!({
            "tenant": "acme",
            "period": "2026-11-27T10:00Z/PT1H",
            "reads": {"src": "eu", "dst": "eu"},
            "writes": {"src": "eu", "dst": "eu"},
            "nonce": "acme-3f1c",
            "revision": "r-1",
            "filters": {"residency": "ab".repeat(32)},
            "xdsVersion": "7",
            "node": "eu-1",
            "stores": [{"kind": "postgres", "identity": "7443021", "region": "eu"}],
            "sequence": 2,
            "verdict": "PASS",
            "late": false,
            "findings": [],
            "issuedAt": "2026-11-27T10:01:00Z",
            "keyId": key.public().id(),
        })
    );
    let payload = fs::read(path.join("acme.payload.json")).unwrap();
    let payload: Value = serde_json::from_slice(&payload).unwrap();
    assert_eq!(payload, proof);
}
