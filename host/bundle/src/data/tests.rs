use super::*;
use serde_json::json;

fn data() -> Value {
    let policies = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../policies");
    crate::Bundle::read(&policies).unwrap().policy.data
}

/// The house's data with one value put in place of another.
pub(super) fn with(pointer: &str, value: Value) -> String {
    let mut data = data();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    match data.pointer_mut(parent).unwrap() {
        Value::Object(members) => members.insert(name.into(), value),
        Value::Array(items) => Some(std::mem::replace(
            &mut items[name.parse::<usize>().unwrap()],
            value,
        )),
        _ => panic!("{pointer}"),
    };
    let fault = validate(&data).expect_err(pointer);
    format!("{}: {}", fault.at, fault.reason)
}

#[test]
fn the_data_of_this_repository_is_good_and_an_author_may_add_to_it() {
    let mut data = data();
    assert_eq!(validate(&data), Ok(()));
    data["ig"]["calendar"] = json!([1, 2]);
    data["house"] = json!("ours");
    data["ig"]["grants"] = json!([]);
    data["ig"]["risk"]["subjects"] = json!({});
    data["ig"]["tags"]["public"] = json!({});
    assert_eq!(validate(&data), Ok(()));
}

#[test]
fn every_section_must_be_there_and_of_its_type() {
    for name in [
        "regions", "tenants", "roles", "purposes", "risk", "fields", "grants",
    ] {
        let mut missing = data();
        missing["ig"].as_object_mut().unwrap().remove(name);
        let fault = validate(&missing).unwrap_err();
        assert_eq!(
            (fault.at.as_str(), fault.reason),
            ("ig", format!("`{name}` is missing"))
        );
        for other in [Value::Null, json!(5), json!("x"), json!(true)] {
            let error = with(&format!("/ig/{name}"), other);
            assert!(
                error.starts_with(&format!("ig.{name}: it must be a")),
                "{error}"
            );
        }
        if name != "grants" {
            let error = with(&format!("/ig/{name}"), json!([]));
            assert_eq!(
                error,
                format!("ig.{name}: it must be an object, and it is a list")
            );
        }
        if !["grants", "risk"].contains(&name) {
            let error = with(&format!("/ig/{name}"), json!({}));
            assert_eq!(error, format!("ig.{name}: it must not be empty"));
            let error = with(&format!("/ig/{name}/x"), json!(5));
            assert_eq!(
                error,
                format!("ig.{name}[\"x\"]: it must be an object, and it is a number")
            );
            let error = with(&format!("/ig/{name}/x"), json!({"nope": 1}));
            assert!(
                error.starts_with(&format!(
                    "ig.{name}[\"x\"]: there is no member `nope`: use "
                )),
                "{error}"
            );
        }
    }
    for broken in [json!(null), json!([]), json!({}), json!({"ig": []})] {
        assert_eq!(validate(&broken).unwrap_err().at, "ig");
    }
}

#[test]
fn names_that_stand_for_nothing_are_refused() {
    for (pointer, value, want) in [
        (
            "/ig/fields/Contact.email/strategy",
            json!("scramble"),
            r#"ig.fields["Contact.email"]: there is no strategy `scramble`: use reveal, partial, hash, null, redact"#,
        ),
        (
            "/ig/tenants/acme/region",
            json!("mars"),
            r#"ig.tenants["acme"]: there is no region `mars` in ig.regions"#,
        ),
        (
            "/ig/tenants/acme/risk",
            json!("lwo"),
            r#"ig.tenants["acme"]: there is no risk level `lwo` in ig.risk.levels"#,
        ),
        (
            "/ig/risk/subjects/eve",
            json!("lwo"),
            r#"ig.risk.subjects["eve"]: there is no risk level `lwo` in ig.risk.levels"#,
        ),
        (
            "/ig/grants/0/max_risk",
            json!("lwo"),
            "ig.grants[0]: there is no risk level `lwo` in ig.risk.levels",
        ),
        (
            "/ig/grants/1/role",
            json!("suport"),
            "ig.grants[1]: there is no role `suport` in ig.roles",
        ),
        (
            "/ig/grants/1/purpose",
            json!("suport"),
            "ig.grants[1]: there is no purpose `suport` in ig.purposes",
        ),
        (
            "/ig/grants/0/classes/1",
            json!("exprot"),
            "ig.grants[0].classes[1]: there is no class `exprot` in ig.fields",
        ),
    ] {
        assert_eq!(with(pointer, value), want);
    }
}

#[test]
fn members_are_of_their_types_and_no_value_is_repeated() {
    for (pointer, value, want) in [
        (
            "/ig/risk/levels",
            json!({}),
            "ig.risk.levels: it must not be empty",
        ),
        (
            "/ig/risk/levels/high",
            json!(-1),
            r#"ig.risk.levels["high"]: it must be a whole number, 0 or more, and it is a number"#,
        ),
        (
            "/ig/risk/level",
            json!({}),
            "ig.risk: there is no member `level`: use levels, subjects",
        ),
        (
            "/ig/risk/subjects/eve",
            json!(2),
            r#"ig.risk.subjects["eve"]: it must be the name of a risk level, and it is a number"#,
        ),
        (
            "/ig/roles/admin/administers",
            json!("s3cret"),
            r#"ig.roles["admin"].administers: it must be true or false, and it is a text"#,
        ),
        (
            "/ig/fields/Contact.phone/keep_last",
            json!(256),
            r#"ig.fields["Contact.phone"].keep_last: it must be a whole number of characters, 0 to 255, and it is a number"#,
        ),
        (
            "/ig/fields/Contact.phone/keep_last",
            json!(null),
            r#"ig.fields["Contact.phone"].keep_last: it must be a whole number of characters, 0 to 255, and it is null"#,
        ),
        (
            "/ig/fields/Contact.phone",
            json!({"class": "contact"}),
            r#"ig.fields["Contact.phone"]: `strategy` is missing"#,
        ),
        (
            "/ig/fields/Contact.phone/class",
            json!(["s3cret"]),
            r#"ig.fields["Contact.phone"].class: it must be a text, not empty, and it is a list"#,
        ),
        (
            "/ig/tenants/acme",
            json!({"region": "eu"}),
            r#"ig.tenants["acme"]: `risk` is missing"#,
        ),
        (
            "/ig/grants/0/classes",
            json!("financial"),
            "ig.grants[0].classes: it must be a list, and it is a text",
        ),
        (
            "/ig/grants/0",
            json!({"role": "auditor", "purpose": "audit", "classes": []}),
            "ig.grants[0]: `max_risk` is missing",
        ),
    ] {
        assert_eq!(with(pointer, value), want);
    }
}
