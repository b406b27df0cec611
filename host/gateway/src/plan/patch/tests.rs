use envoy_types::pb::envoy::extensions::wasm::v3 as wasm;

use super::*;

fn resource(type_url: &str, name: &str, code: &str, configuration: &str) -> Vec<u8> {
    let plugin = wasm::PluginConfig {
        name: name.to_owned(),
        root_id: code.to_owned(),
        configuration: Some(text(configuration.to_owned())),
        ..Default::default()
    };
    let config = Wasm {
        config: Some(plugin),
    };
    TypedExtensionConfig {
        name: name.to_owned(),
        typed_config: Some(Any {
            type_url: type_url.to_owned(),
            value: config.encode_to_vec(),
        }),
    }
    .encode_to_vec()
}

fn guard(configuration: &str) -> Vec<u8> {
    resource(NETWORK_WASM_TYPE_URL, "guard", "guard", configuration)
}

/// A directory of so many tenants, those of `moved` elsewhere.
fn directory(tenants: usize, moved: &[usize]) -> String {
    let tenant = |n: usize| {
        let region = if moved.contains(&n) { "us" } else { "eu" };
        format!(r#""tenant-{n:05}":{{"region":"{region}","name":"Møller & Søn"}}"#)
    };
    let tenants: Vec<String> = (0..tenants).map(tenant).collect();
    format!(r#"{{"region":"eu","tenants":{{{}}}}}"#, tenants.join(","))
}

/// What a filter makes of a patch.
fn applied(patched: &[u8], base: &str) -> String {
    let (extension, _, sent) = read(patched).unwrap();
    assert_eq!(extension.name, "guard");
    #[derive(serde::Deserialize)]
    struct Sent {
        patch: Patch,
    }
    let sent: Sent = serde_json::from_str(&sent).unwrap();
    String::from_utf8(sent.patch.apply(base.as_bytes()).unwrap()).unwrap()
}

#[test]
fn a_patch_is_as_long_as_the_change_and_comes_out_as_the_new_text() {
    let eve = directory(10_000, &[]);
    for moved in [&[0][..], &[9_999], &[77, 5_000, 9_998]] {
        let new = directory(10_000, moved);
        let patched = patch(&guard(&eve), &guard(&new)).unwrap();
        assert!(patched.len() < 600 + 100 * moved.len(), "{}", patched.len());
        assert_eq!(applied(&patched, &eve), new);
        let back = patch(&guard(&new), &guard(&eve)).unwrap();
        assert_eq!(applied(&back, &new), eve);
    }
    let shorter = directory(9_000, &[5]);
    let patched = patch(&guard(&eve), &guard(&shorter)).unwrap();
    assert_eq!(applied(&patched, &eve), shorter);
    let all_moved: Vec<usize> = (0..1_000).collect();
    let of_1000 = directory(1_000, &[]);
    assert_eq!(
        patch(&guard(&of_1000), &guard(&directory(1_000, &all_moved))),
        None,
        "as long as the whole"
    );
}

#[test]
fn what_differs_in_more_than_its_text_is_sent_whole() {
    let (eve, new) = (directory(1_000, &[]), directory(1_000, &[7]));
    assert!(patch(&guard(&eve), &guard(&new)).is_some());
    let others = [
        resource(WASM_TYPE_URL, "residency", "guard", &eve),
        resource(NETWORK_WASM_TYPE_URL, "guard", "another", &eve),
        resource("type.googleapis.com/another", "guard", "guard", &eve),
        guard("{}"),
        b"\xff".to_vec(),
    ];
    for other in others {
        assert_eq!(patch(&other, &guard(&new)), None);
    }
    assert_eq!(patch(&guard(&eve), &guard("{}")), None);
}
