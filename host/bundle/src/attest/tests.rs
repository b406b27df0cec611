use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::*;
use crate::Tree;
use crate::key::tests::{key, other};

const NAME: &str = "bundle.tar.gz";

fn files() -> Tree {
    Tree::from_iter([
        ("ig/masking.rego", "package ig.masking\n\nx := 1\n"),
        ("ig/data.json", "{}"),
        ("schema.graphql", "type Query { a: Int }"),
        ("filters/masking.wasm", "\0asm"),
    ])
}

fn made(options: &BuildOptions) -> (Archive, Beside) {
    let archive = Archive::build(&files(), options, &key()).unwrap();
    let sources = Source::of(&files());
    let beside = attest(&archive, NAME, &sources, options, &key()).unwrap();
    (archive, beside)
}

#[test]
fn what_stands_beside_is_the_same_each_time_and_has_no_time_unless_it_is_given() {
    let (archive, beside) = made(&BuildOptions::default());
    assert_eq!(made(&BuildOptions::default()).1, beside);
    let keys = PublicKeys::one(key().public());
    verify(
        &archive,
        NAME,
        Some(&beside.sbom),
        Some(&beside.provenance),
        &keys,
    )
    .unwrap();
    verify(&archive, NAME, None, Some(&beside.provenance), &keys).unwrap();
    verify(&archive, NAME, None, None, &keys).unwrap();
    let bill: Value = serde_json::from_slice(&beside.sbom).unwrap();
    assert_eq!(bill["specVersion"], "1.6");
    assert_eq!(bill["metadata"].get("timestamp"), None);
    let components = bill["components"].as_array().unwrap();
    assert_eq!(components.len(), 5);
    assert_eq!(components[1]["type"], "library");
    assert_eq!(components[1]["properties"][0]["value"], "masking");

    let dated = BuildOptions {
        source_date: Some(1_767_225_600),
        ..BuildOptions::default()
    };
    let bill: Value = serde_json::from_slice(&made(&dated).1.sbom).unwrap();
    assert_eq!(bill["metadata"]["timestamp"], "2026-01-01T00:00:00Z");
}

#[test]
fn what_belongs_to_another_bundle_or_is_of_another_key_is_refused() {
    let (archive, beside) = made(&BuildOptions::default());
    let scoped = BuildOptions {
        scope: "other".into(),
        ..BuildOptions::default()
    };
    let (_, foreign) = made(&scoped);
    let keys = PublicKeys::one(key().public());
    let text = String::from_utf8(beside.sbom.clone()).unwrap();
    let without = text.replacen("file:ig/data.json\",", "file:x\",", 1);
    let renamed = text.replace(
        "\"name\": \"schema.graphql\"",
        "\"name\": \"other.graphql\"",
    );
    let spaced = text.replacen("{", "{ ", 1);
    let mut envelope: Envelope = serde_json::from_slice(&beside.provenance).unwrap();
    let statement = STANDARD.decode(&envelope.payload).unwrap();
    let statement = String::from_utf8(statement).unwrap();
    let statement = statement.replace("conductor\":\"", "conductor\":\"9");
    envelope.payload = STANDARD.encode(statement);
    let forged = serde_json::to_vec(&envelope).unwrap();
    let mut twice: Envelope = serde_json::from_slice(&beside.provenance).unwrap();
    twice.signatures.push(twice.signatures[0].clone());
    let twice = serde_json::to_vec(&twice).unwrap();
    let good = (&beside.sbom[..], &beside.provenance[..]);
    for (sbom, provenance, want) in [
        (
            &foreign.sbom[..],
            good.1,
            "cdx.json: it is of another bundle",
        ),
        (
            good.0,
            &foreign.provenance[..],
            "intoto.json: it is about another bundle",
        ),
        (renamed.as_bytes(), good.1, "does not list `schema.graphql`"),
        (
            without.as_bytes(),
            good.1,
            "names another bundle.tar.gz.cdx.json",
        ),
        (
            spaced.as_bytes(),
            good.1,
            "names another bundle.tar.gz.cdx.json",
        ),
        (b"{", good.1, "no bill of materials"),
        (good.0, b"{}", "no DSSE envelope"),
        (good.0, &forged[..], "signature is none of the key"),
        (good.0, &twice[..], "has 2"),
    ] {
        let error = verify(&archive, NAME, Some(sbom), Some(provenance), &keys).expect_err(want);
        assert!(error.to_string().contains(want), "{want}: {error}");
    }
    let others = PublicKeys::one(other().public());
    assert!(verify(&archive, NAME, None, Some(good.1), &others).is_err());
}

/// The protocol's own example (secure-systems-lab/dsse, protocol.md).
#[test]
fn what_is_signed_is_the_protocols() {
    let want = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world";
    assert_eq!(pae("http://example.com/HelloWorld", b"hello world"), want);
}
