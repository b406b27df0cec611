use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::{Compression, GzBuilder};
use proptest::prelude::*;
use serde_json::{Value, json};
use tar::{EntryType, Header};

use super::*;
use crate::key::tests::{key, other};

const MODULE: &str = "package ig.masking\n\nx := 1\n";

fn policies() -> Tree {
    Tree::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies")).unwrap()
}

fn small() -> Tree {
    Tree::from_iter([
        ("ig/masking.rego", MODULE),
        ("ig/tenants/data.json", r#"{"acme": {"region": "eu"}}"#),
        ("schema.graphql", "type Query { a: Int }"),
    ])
}

fn built(files: &Tree) -> Archive {
    Archive::build(files, &BuildOptions::default(), &key()).unwrap()
}

fn keys() -> PublicKeys {
    PublicKeys::one(key().public())
}

fn gzip(tar: &[u8]) -> Vec<u8> {
    let mut gzip = GzBuilder::new().write(Vec::new(), Compression::fast());
    gzip.write_all(tar).unwrap();
    gzip.finish().unwrap()
}

/// An entry with a name as it is, whatever a tar library thinks of it.
fn entry(name: &[u8], kind: EntryType, content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name);
    header.set_entry_type(kind);
    header.set_mode(0o644);
    header.set_size(content.len() as u64);
    if kind.is_symlink() || kind.is_hard_link() {
        header.set_link_name("elsewhere").unwrap();
    }
    header.set_cksum();
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn packed(files: &[(&str, &str)]) -> Vec<u8> {
    let entries = files
        .iter()
        .map(|(name, text)| entry(name.as_bytes(), EntryType::Regular, text.as_bytes()));
    let mut tar = entries.collect::<Vec<_>>().concat();
    tar.extend([0; 1024]);
    gzip(&tar)
}

fn refused(bytes: &[u8]) -> String {
    let checked = Archive::parse(bytes).and_then(|a| a.check());
    checked.expect_err("it is refused").to_string()
}

#[test]
fn the_same_files_give_the_same_bytes_and_the_same_policies() {
    let files = policies();
    let archive = built(&files);
    assert_eq!(built(&files).bytes(), archive.bytes());
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    let bundle = Bundle::read(&directory).unwrap();
    let unpacked = Bundle::from_archive(&archive).unwrap();
    assert_eq!(
        unpacked,
        Bundle {
            path: unpacked.path.clone(),
            ..bundle
        }
    );
    assert_eq!(archive.manifest().revision, unpacked.revision);
    assert_eq!(archive.manifest().roots(), ["ig"]);
    assert_eq!(archive.manifest().rego_version, Some(1));
    let verified = archive.verify(&keys()).unwrap();
    assert_eq!(verified.keyid, key().id());
    assert!(verified.canonical);
    let claimed = archive.claimed().unwrap().unwrap();
    assert_eq!(claimed.files.len(), files.len() + 1);
    assert_eq!(claimed.algorithm, "ES256");
    crate::examine(&unpacked).unwrap();
}

#[test]
fn what_is_in_the_options_is_in_the_bundle() {
    let options = BuildOptions {
        roots: vec!["ig".into(), "other".into()],
        metadata: serde_json::from_value(json!({"change": "1234"})).unwrap(),
        scope: "write".into(),
        source_date: Some(1_700_000_000),
    };
    let named = key().named("release").unwrap();
    let archive = Archive::build(&small(), &options, &named).unwrap();
    assert_eq!(archive.manifest().metadata["change"], "1234");
    assert_eq!(archive.manifest().roots(), ["ig", "other"]);
    assert_eq!(archive.claimed().unwrap().unwrap().keyid, "release");
    assert_eq!(
        archive.verify_for("write", &keys()).unwrap().keyid,
        "release"
    );
    let error = archive.verify(&keys()).unwrap_err();
    assert!(matches!(error, VerifyError::Scope { .. }), "{error}");
    let by_name: PublicKeys = [key().public()].into_iter().collect();
    let error = archive.verify_for("write", &by_name).unwrap_err();
    assert_eq!(error, VerifyError::UnknownKey("release".into()));
    for roots in [&["nothing"][..], &["ig", "ig/masking"], &["ig/masking"]] {
        let options = BuildOptions {
            roots: roots.iter().map(|r| (*r).to_owned()).collect(),
            ..BuildOptions::default()
        };
        assert!(
            Archive::build(&small(), &options, &key()).is_err(),
            "{roots:?}"
        );
    }
}

/// The archive with another content of one file, or with one more, or without one (`None`), and the
/// signatures that it had.
fn changed(archive: &Archive, name: &str, content: Option<&[u8]>) -> Archive {
    let mut files: Tree = archive.files().iter().filter(|(n, _)| *n != name).collect();
    files.insert(SIGNATURES, archive.signatures.clone().unwrap());
    if let Some(content) = content {
        files.insert(name, content.to_vec());
    }
    Archive::parse(&pack::pack(&files).unwrap()).unwrap()
}

#[test]
fn a_change_of_any_file_is_named() {
    let archive = built(&small());
    let verdict = |archive: &Archive| archive.verify(&keys()).map(|v| v.keyid);
    for (name, content, want) in [
        (
            "ig/masking.rego",
            Some(&b"package ig.masking\n\nx := 2\n"[..]),
            VerifyError::Changed("ig/masking.rego".into()),
        ),
        (
            "ig/tenants/data.json",
            Some(br#"{"acme": {"region": "us"}}"#),
            VerifyError::Changed("ig/tenants/data.json".into()),
        ),
        (
            ".manifest",
            Some(br#"{"revision": "r-another", "rego_version": 1, "roots": ["ig"]}"#),
            VerifyError::Changed(".manifest".into()),
        ),
        (
            "notes.txt",
            Some(b"one more"),
            VerifyError::Added("notes.txt".into()),
        ),
        (
            "schema.graphql",
            None,
            VerifyError::Missing("schema.graphql".into()),
        ),
    ] {
        let error = verdict(&changed(&archive, name, content)).unwrap_err();
        assert_eq!(error, want);
    }
    // What says the same is the same, as with OPA; the bytes are not those that were made.
    let same = br#"{ "acme" : {"region":"eu"} }"#;
    let same = changed(&archive, "ig/tenants/data.json", Some(same));
    let verified = same.verify(&keys()).unwrap();
    assert_eq!(
        (verified.keyid.as_str(), verified.canonical),
        (key().id(), false)
    );

    let foreign = PublicKeys::one(other().public());
    let error = archive.verify(&foreign).unwrap_err();
    assert_eq!(error, VerifyError::Signature(key().id().into()));
    let unsigned = packed(&[(".manifest", r#"{"roots": [""]}"#), ("ig/m.rego", MODULE)]);
    let unsigned = Archive::parse(&unsigned).unwrap();
    assert_eq!(unsigned.verify(&keys()).unwrap_err(), VerifyError::Unsigned);
    assert_eq!(unsigned.claimed().unwrap(), None);
}

#[test]
fn only_the_one_algorithm_is_believed() {
    let archive = built(&small());
    let text = archive.signatures.clone().unwrap();
    let token: Value = serde_json::from_slice(&text).unwrap();
    let token = token["signatures"][0].as_str().unwrap().to_owned();
    let parts: Vec<&str> = token.split('.').collect();
    let decoded = |part: &str| -> Value {
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
    };
    let with = |header: Value, payload: Value| {
        let signed = [header, payload].map(|p| URL_SAFE_NO_PAD.encode(p.to_string()));
        let signed = signed.join(".");
        let signature = URL_SAFE_NO_PAD.encode(key().sign(signed.as_bytes()).to_bytes());
        json!({"signatures": [format!("{signed}.{signature}")]}).to_string()
    };
    let (header, payload) = (decoded(parts[0]), decoded(parts[1]));
    let but = |mut value: Value, member: &str, other: Value| {
        value[member] = other;
        value
    };
    let twice = {
        let mut files = payload["files"].as_array().unwrap().clone();
        files.push(files[0].clone());
        Value::Array(files)
    };
    let weak = {
        let mut files = payload["files"].clone();
        files[0]["algorithm"] = "MD5".into();
        files
    };
    for (file, want) in [
        (
            with(but(header.clone(), "alg", "none".into()), payload.clone()),
            "signed by none",
        ),
        (
            with(but(header.clone(), "alg", "HS256".into()), payload.clone()),
            "signed by HS256",
        ),
        (
            with(but(header.clone(), "kid", "x".into()), payload.clone()),
            "names the key `x`",
        ),
        (
            with(
                json!({"alg": "ES256"}),
                but(payload.clone(), "keyid", Value::Null),
            ),
            "names no key",
        ),
        (
            with(header.clone(), but(payload.clone(), "files", twice)),
            "`.manifest` twice",
        ),
        (
            with(header.clone(), but(payload.clone(), "files", weak)),
            "hashed by MD5",
        ),
        (json!({"signatures": []}).to_string(), "holds 0"),
        (json!({"signatures": [token, token]}).to_string(), "holds 2"),
        (
            json!({"signatures": [token], "plugin": "p"}).to_string(),
            "plugin `p`",
        ),
        (json!({"signatures": ["a.b"]}).to_string(), "three parts"),
        (
            json!({"signatures": [format!("{}.{}.AAAA", parts[0], parts[1])]}).to_string(),
            "form of ES256",
        ),
        ("{".into(), "can't be read"),
    ] {
        let archive = Archive {
            signatures: Some(file.clone().into_bytes()),
            ..archive.clone()
        };
        let error = archive.verify(&keys()).expect_err(&file).to_string();
        assert!(error.contains(want), "{want}: {error}");
    }
}

#[test]
fn names_that_lead_elsewhere_are_refused() {
    for (name, want) in [
        (&b"../x.rego"[..], "leads out"),
        (b"ig/../../x.rego", "leads out"),
        (b"//etc/passwd", "empty part"),
        (b"/../x.rego", "leads out"),
        (b"ig//x.rego", "empty part"),
        (b"ig/./x.rego", "empty part"),
        (b"ig\\x.rego", "backslash"),
        (b"ig/\x07.rego", "control"),
        (b"ig/\xff.rego", "UTF-8"),
        (b"/", "a file can't have it"),
    ] {
        let error = refused(&gzip(&entry(name, EntryType::Regular, b"")));
        assert!(error.contains(want), "{name:?}: {error}");
    }
    // A NUL ends a name of the old form; a name of the new form may hold one.
    let record = "15 path=a\0.rego\n".replace("15", "16");
    let mut tar = entry(b"pax", EntryType::XHeader, record.as_bytes());
    tar.extend(entry(b"a.rego", EntryType::Regular, b""));
    let error = refused(&gzip(&tar));
    assert!(
        error.contains("control") || error.contains("tar"),
        "{error}"
    );
    let long = format!("{} path={}\n", 2011, "a".repeat(2000));
    let mut tar = entry(b"pax", EntryType::XHeader, long.as_bytes());
    tar.extend(entry(b"a.rego", EntryType::Regular, b""));
    assert!(refused(&gzip(&tar)).contains("too long"));
}

#[test]
fn only_plain_files_are_taken() {
    for (kind, want) in [
        (EntryType::Symlink, "a symbolic link"),
        (EntryType::Link, "a hard link"),
        (EntryType::Char, "a device"),
        (EntryType::Block, "a device"),
        (EntryType::Fifo, "a pipe"),
    ] {
        let error = refused(&gzip(&entry(b"ig/x.rego", kind, b"")));
        assert!(
            error.contains("`ig/x.rego` is") && error.contains(want),
            "{error}"
        );
    }
    let twice = [("a.rego", MODULE), ("/a.rego", MODULE)];
    assert!(refused(&packed(&twice)).contains("`a.rego` stands in it twice"));
}

#[test]
fn what_is_not_whole_is_refused() {
    let whole = built(&small()).bytes().to_vec();
    for cut in [0, 1, 10, whole.len() / 2, whole.len() - 8, whole.len() - 1] {
        let error = refused(&whole[..cut]);
        assert!(error.contains("no whole gzip file"), "{cut}: {error}");
    }
    let behind = [&whole[..], b"garbage"].concat();
    assert!(refused(&behind).contains("7 bytes stand behind its end"));
    assert!(refused(&[&whole[..], &whole].concat()).contains("stand behind"));
    let mut tar = entry(b"a.rego", EntryType::Regular, MODULE.as_bytes());
    tar.extend([0; 1024]);
    tar.extend(b"garbage");
    assert!(refused(&gzip(&tar)).contains("stand behind"));
    let cut = &entry(b"a.rego", EntryType::Regular, &[b'#'; 4096])[..2000];
    assert!(refused(&gzip(cut)).contains("no whole tar file"));
    assert!(refused(&gzip(b"no tar at all")).contains("no whole tar file"));
}

#[test]
fn sizes_are_bounded() {
    let bomb = gzip(&entry(b"a.rego", EntryType::Regular, &vec![b'#'; 8 << 20]));
    assert!(bomb.len() < 100_000);
    assert!(refused(&bomb).contains("more than 100 times"));
    let mut tar = Vec::new();
    for n in 0..=unpack::MOST_FILES {
        tar.extend(entry(
            format!("{n}.txt").as_bytes(),
            EntryType::Regular,
            b"",
        ));
    }
    // Stored, not compressed: it is the number that is too much.
    let mut stored = GzBuilder::new().write(Vec::new(), Compression::none());
    stored.write_all(&tar).unwrap();
    let error = refused(&stored.finish().unwrap());
    assert!(error.contains("more than 10000 files"), "{error}");
    let large = vec![0; MOST_PACKED + 1];
    assert!(refused(&large).contains("more than 67108864 bytes"));
}

#[test]
fn what_opa_loads_and_this_does_not_is_refused() {
    let manifest = (".manifest", r#"{"revision": "x", "roots": ["ig"]}"#);
    let module = ("ig/m.rego", MODULE);
    for (file, want) in [
        ("policy.wasm", "--target rego"),
        ("x/policy.wasm", "--target rego"),
        ("plan.json", "--target rego"),
        ("ig/data.yaml", "data.json"),
        ("patch.json", "delta bundle"),
        ("ig/.manifest", "the manifest"),
        ("ig/signatures.json", "the signatures"),
    ] {
        let error = refused(&packed(&[manifest, module, (file, "{}")]));
        assert!(error.contains(file) && error.contains(want), "{error}");
    }
    for (files, want) in [
        (vec![module], "no .manifest"),
        (vec![(".manifest", "[]"), module], ".manifest: "),
        (
            vec![(".manifest", "{\"rego_version\": 0}"), module],
            "Rego v0",
        ),
        (
            vec![
                (".manifest", r#"{"file_rego_versions": {"/a.rego": 0}}"#),
                module,
            ],
            "Rego v0",
        ),
        (
            vec![(".manifest", r#"{"roots": ["a/b", "/a/"]}"#)],
            "the roots `a/b` and `a` overlap",
        ),
        (
            vec![(".manifest", r#"{"roots": ["", "a"]}"#)],
            "the roots `` and `a` overlap",
        ),
        (
            vec![(".manifest", r#"{"roots": []}"#), module],
            "the package ig.masking is outside",
        ),
        (
            vec![(".manifest", r#"{"roots": ["ig/mask"]}"#), module],
            "the package ig.masking is outside of the roots [ig/mask]",
        ),
        (
            vec![
                (".manifest", r#"{"roots": ["ig"]}"#),
                module,
                ("data.json", r#"{"x": 1}"#),
            ],
            "the data at `x` is outside",
        ),
        (
            vec![
                (".manifest", r#"{"roots": ["ig", "c/d"]}"#),
                module,
                ("c/e/data.json", "1"),
            ],
            "the data at `c/e` is outside",
        ),
        (vec![manifest, ("ig/m.rego", "package")], "ig/m.rego"),
        (vec![manifest, module, ("ig/data.json", "{")], "is not JSON"),
        (
            vec![
                manifest,
                module,
                ("ig/data.json", r#"{"a": 1}"#),
                ("data.json", r#"{"ig": {"a": 2}}"#),
            ],
            "`ig.a`",
        ),
    ] {
        let error = refused(&packed(&files));
        assert!(error.contains(want), "{want}: {error}");
    }
    let mut files = small();
    files.insert(MANIFEST, br#"{"revision":"x","roots":["other"]}"#.to_vec());
    let signatures = signature::sign(&files, "", None, &key()).unwrap();
    files.insert(SIGNATURES, signatures);
    let archive = Archive::parse(&pack::pack(&files).unwrap()).unwrap();
    let error = archive.verify(&keys()).unwrap_err();
    assert!(matches!(error, VerifyError::Content(_)), "{error}");
    assert!(Bundle::from_archive(&archive).is_err());
    // Roots that begin with the same letters are two.
    let fine = r#"{"roots": ["ig", "igloo"], "rego_version": 1, "more": true}"#;
    let fine = Archive::parse(&packed(&[(".manifest", fine), module])).unwrap();
    fine.check().unwrap();
}

/// As `opa build -b policies` writes it: all data in one file, slashes before names, no schema. Made
/// here by hand, for there is no `opa` where the tests run.
#[test]
fn a_bundle_in_the_way_of_opa_loads() {
    let data = serde_json::to_string(
        &crate::load::policy(Path::new(""), &policies())
            .unwrap()
            .data,
    );
    let data = data.unwrap();
    let files = policies();
    let mut all: Vec<(String, String)> = files
        .iter()
        .filter(|(n, _)| n.ends_with(".rego"))
        .map(|(n, b)| (format!("/{n}"), String::from_utf8(b.to_vec()).unwrap()))
        .collect();
    all.insert(0, ("/data.json".into(), data + "\n"));
    let manifest = r#"{"revision":"v7","roots":["ig"],"rego_version":1}"#;
    all.push(("/.manifest".into(), manifest.into()));
    let named: Vec<_> = all.iter().map(|(n, t)| (n.as_str(), t.as_str())).collect();
    let mut archive = Archive::parse(&packed(&named)).unwrap();
    assert_eq!(archive.manifest().revision, "v7");
    let error = Bundle::from_archive(&archive).unwrap_err().to_string();
    assert!(error.contains("--schema"), "{error}");
    let schema = files.get(crate::SCHEMA).unwrap().to_vec();
    archive.files.insert(crate::SCHEMA, schema);
    let bundle = Bundle::from_archive(&archive).unwrap();
    let directory = Bundle::from_tree(Path::new(""), &files).unwrap();
    assert_eq!(bundle.policy, directory.policy);
    // And it is signed as OPA signs: the manifest by what it says.
    let signatures = signature::sign(&archive.files, "", None, &key()).unwrap();
    archive.signatures = Some(signatures);
    assert!(archive.verify(&keys()).is_ok_and(|v| !v.canonical));
}

proptest! {
    /// One byte, changed anywhere: the bundle is refused, or it is the same but for what no file holds.
    #[test]
    fn no_change_of_a_byte_goes_unseen(at in any::<prop::sample::Index>(), bits in 1..=255u8) {
        let whole = built(&small());
        let mut bytes = whole.bytes().to_vec();
        let at = at.index(bytes.len());
        bytes[at] ^= bits;
        if let Ok(archive) = Archive::parse(&bytes)
            && let Ok(verified) = archive.verify(&keys())
        {
            prop_assert_eq!(archive.files(), whole.files());
            prop_assert!(!verified.canonical, "byte {} of {}", at, bytes.len());
        }
    }

    /// Whatever is in it, it is read or refused.
    #[test]
    fn nothing_makes_it_panic(garbage in prop::collection::vec(any::<u8>(), 0..2000)) {
        prop_assert!(Archive::parse(&garbage).is_err());
        prop_assert!(Archive::parse(&gzip(&garbage)).is_err());
    }

    /// A change inside the tar file, with a checksum that is right again.
    #[test]
    fn no_change_of_what_is_unpacked_goes_unseen(at in any::<prop::sample::Index>(), bits in 1..=255u8) {
        let whole = built(&small());
        let mut tar = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(whole.bytes()), &mut tar).unwrap();
        let at = at.index(tar.len());
        tar[at] ^= bits;
        if let Ok(archive) = Archive::parse(&gzip(&tar))
            && let Ok(verified) = archive.verify(&keys())
        {
            prop_assert_eq!(archive.files(), whole.files());
            prop_assert!(!verified.canonical);
        }
    }
}
