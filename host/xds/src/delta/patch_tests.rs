//! Patches of large resources on a stream.

use super::tests::Client;
use super::*;
use crate::resource::Resource;
use crate::type_url::EXTENSION_CONFIG as ECDS;

/// A resource long enough to be patched.
fn long(word: &str) -> Resource {
    Resource::new(ECDS, "guard", word.repeat(8 * 1024).into_bytes())
}

fn whole(word: &str) -> Vec<String> {
    vec![format!("TypedExtensionConfig {}", word.repeat(8 * 1024))]
}

/// What the client holds, and a patch's words for what it is to hold.
fn patched(old: &str, new: &str) -> Vec<String> {
    vec![format!("TypedExtensionConfig {old}>{new}")]
}

fn client() -> (Client, Arc<Patches>) {
    let word = |resource: &Resource| String::from_utf8_lossy(&resource.bytes()[..2]).into_owned();
    let patches = Arc::new(Patches::new(Box::new(move |old, new| {
        Some(format!("{}>{}", word(old), word(new)).into_bytes())
    })));
    let mut client = Client::default();
    client.stream.with_patches(Arc::clone(&patches));
    (client, patches)
}

fn set(client: &mut Client, patches: &Patches, word: &str) -> Vec<String> {
    let snapshot = Arc::new(Snapshot::new([long(word)]).unwrap());
    patches.know("eu", &snapshot);
    client.stream.on_snapshot(snapshot);
    client.poll()
}

#[test]
fn who_accepted_the_one_before_is_sent_what_changed() {
    let (mut client, patches) = client();
    set(&mut client, &patches, "aa");
    assert_eq!(client.change(ECDS, &["guard"], &[]), whole("aa"));
    assert!(set(&mut client, &patches, "bb").is_empty(), "no answer yet");
    assert_eq!(client.answer(ECDS, None), patched("aa", "bb"));
    assert!(client.answer(ECDS, None).is_empty());
    assert_eq!(set(&mut client, &patches, "cc"), patched("bb", "cc"));
    assert!(client.answer(ECDS, None).is_empty());
    assert!(client.stream.is_settled());
    assert_eq!(
        client.change(ECDS, &["guard"], &[]),
        whole("cc"),
        "who asks again may have forgotten"
    );
}

#[test]
fn who_brings_a_remembered_version_is_sent_what_changed_and_another_the_whole() {
    let (mut client, patches) = client();
    set(&mut client, &patches, "aa");
    set(&mut client, &patches, "bb");
    let body = "aa".repeat(8 * 1024);
    let brought = [("guard", body.as_str())];
    assert_eq!(
        client.bring(ECDS, &["guard"], &brought),
        patched("aa", "bb")
    );
    let (mut stranger, _) = self::client();
    stranger.stream.with_patches(Arc::clone(&patches));
    set(&mut stranger, &patches, "bb");
    let body = "zz".repeat(8 * 1024);
    let brought = [("guard", body.as_str())];
    assert_eq!(stranger.bring(ECDS, &["guard"], &brought), whole("bb"));
}

#[test]
fn a_refused_patch_is_no_nack_and_the_whole_follows_which_may_be_one() {
    let (mut client, patches) = client();
    set(&mut client, &patches, "aa");
    client.change(ECDS, &["guard"], &[]);
    client.answer(ECDS, None);
    assert_eq!(set(&mut client, &patches, "bb"), patched("aa", "bb"));
    assert_eq!(client.answer(ECDS, Some("not here")), whole("bb"));
    assert_eq!(client.answer(ECDS, None), Vec::<String>::new());
    assert_eq!(
        set(&mut client, &patches, "cc"),
        whole("cc"),
        "this client is sent no patch of it again"
    );
    assert!(
        client.answer(ECDS, Some("bad")).is_empty(),
        "a NACK: not again"
    );
    assert_eq!(set(&mut client, &patches, "dd"), whole("dd"));
}

#[test]
fn what_the_client_refused_is_not_patched() {
    let (mut client, patches) = client();
    set(&mut client, &patches, "aa");
    client.change(ECDS, &["guard"], &[]);
    assert!(client.answer(ECDS, Some("bad")).is_empty());
    assert_eq!(set(&mut client, &patches, "bb"), whole("bb"));
}
