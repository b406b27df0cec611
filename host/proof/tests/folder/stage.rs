//! Logs to try things on.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use proof::folder::Contents;
use proof::key::{Passphrase, SigningKey};
use proof::residency::{Period, Route, Statement, Store, Verdict};
use proof::verify::{Given, Report, verify};
use proof::{Journal, read_folder};

pub const NINE: &str = "2026-11-27T09:00Z/PT1H";
pub const TEN: &str = "2026-11-27T10:00Z/PT1H";
pub const ELEVEN: &str = "2026-11-27T11:00Z/PT1H";

pub fn period(text: &str) -> Period {
    text.parse().expect("a period")
}

pub fn passphrase() -> Passphrase {
    Passphrase::new("correct horse battery".to_owned()).expect("long enough")
}

pub fn key() -> SigningKey {
    SigningKey::generate().expect("randomness")
}

/// Another value of the same key.
pub fn again(key: &SigningKey) -> SigningKey {
    let pem = key.to_pem(&passphrase()).expect("encoded");
    SigningKey::from_pem(&pem, &passphrase()).expect("decoded")
}

/// What a probe says when all is well.
pub fn passed(tenant: &str, time: &str) -> Statement {
    let period = period(time);
    Statement {
        tenant: tenant.to_owned(),
        period,
        reads: Route::new("eu", "eu"),
        writes: Route::new("eu", "eu"),
        nonce: format!("{tenant}-3f1c"),
        revision: "r-1".to_owned(),
        filters: BTreeMap::from([("residency".to_owned(), "ab".repeat(32))]),
        xds_version: "7".to_owned(),
        node: "eu-1".to_owned(),
        stores: vec![Store {
            kind: "postgres".to_owned(),
            identity: "7443021".to_owned(),
            region: "eu".to_owned(),
        }],
        verdict: Verdict::Pass,
        late: false,
        last: false,
        findings: Vec::new(),
        issued_at: Timestamp::from_second(period.start_s() + 60).expect("a time"),
    }
}

pub fn open(directory: &Path, key: &SigningKey) -> Journal {
    Journal::open(directory, again(key)).expect("opens")
}

/// The folder, as it stands.
pub fn contents(directory: &Path) -> Contents {
    read_folder(directory).expect("readable")
}

pub fn check(contents: &Contents) -> Report {
    verify(contents, Given::default())
}

#[track_caller]
pub fn assert_holds(directory: &Path) -> Report {
    let report = check(&contents(directory));
    assert!(report.holds(), "{:#?}", report.faults);
    report
}

/// Two tenants, two hours, and a new key between the hours.
pub fn two_hours(directory: &Path) -> SigningKey {
    let (old, new) = (key(), key());
    let mut journal = open(directory, &old);
    let first = vec![passed("acme", NINE), passed("globex", NINE)];
    journal.append(first).expect("appended");
    let time = "2026-11-27T09:30:00Z".parse().expect("a time");
    journal.rotate(again(&new), time, "drill").expect("rotated");
    let second = vec![passed("acme", TEN), passed("globex", TEN)];
    journal.append(second).expect("appended");
    new
}
