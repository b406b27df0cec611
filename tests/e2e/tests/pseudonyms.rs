//! What the masking filter writes is what a look-up finds.

use e2e::{Case, KEYS, Kind, Native, bundle, cases};
use engine::mask::{Keyring, Pseudonym, Pseudonymizer, key_domain};
use engine::schema::Schema;
use serde_json::Value;

/// The value at a path in the body of the upstream, and what stood there for the client.
fn exchanged(case: &Case, path: &str) -> (String, String) {
    let sent = case.input.response.body().expect("a body");
    let outcome = Native::new(bundle()).run(case, std::slice::from_ref(&sent));
    let text = |body: &[u8]| {
        let json: Value = serde_json::from_slice(body).expect("JSON");
        let value = json.pointer(path).and_then(Value::as_str);
        value.expect("a text").to_owned()
    };
    (text(&sent), text(&outcome.body))
}

#[test]
fn a_pseudonym_of_a_response_is_found() {
    let name = "analyst_sees_pseudonyms";
    let case = cases(Kind::Masking).into_iter().find(|c| c.name == name);
    let case = case.expect("the case is there");
    let tenant = case.input.claims["tenant"].as_str().expect("a tenant");
    let (value, shown) = exchanged(&case, "/data/viewer/email");
    let shown = Pseudonym::parse(&shown).expect("a pseudonym");

    let schema = Schema::parse(&bundle().schema).expect("a schema");
    // Since the response, the key was rotated.
    let new = "k2:ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8";
    let keys = Keyring::parse(&format!("{new},{KEYS}")).expect("keys");
    let made = |key_id: &str, tenant: &str, coordinate: &str, value: &str| {
        let domain = key_domain(&schema, coordinate).expect("a key");
        let maker = Pseudonymizer::new(&keys, key_id, tenant, &domain).expect("a key");
        maker.pseudonym(value).expect("a pseudonym")
    };
    for coordinate in ["Person.email", "Contact.email", "Vendor.email"] {
        assert_eq!(made(shown.key_id(), tenant, coordinate, &value), shown);
    }
    assert_ne!(made("k2", tenant, "Person.email", &value), shown);
    assert_ne!(made("k1", "globex", "Person.email", &value), shown);
    assert_ne!(made("k1", tenant, "Asset.email", &value), shown);
    assert_ne!(made("k1", tenant, "Person.email", "another"), shown);
}
