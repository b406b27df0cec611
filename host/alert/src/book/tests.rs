use super::*;
use crate::alert::Severity;

fn alert(region: &str) -> Alert {
    Alert {
        name: "GatewayRefusedConfiguration".into(),
        severity: Severity::Critical,
        about: [("region".to_owned(), region.to_owned())].into(),
        summary: "a gateway refused its configuration".into(),
        description: "no such filter".into(),
        runbook: "conductor xds status".into(),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn names(owed: &[&Entry]) -> Vec<(String, Status)> {
    owed.iter()
        .map(|e| (e.alert.fingerprint(), e.status))
        .collect()
}

const MINUTE: Option<SignedDuration> = Some(SignedDuration::from_secs(60));

#[test]
fn a_receiver_is_told_until_it_has_taken_it_and_reminded_if_it_forgets() {
    let mut book = Book::unkept();
    assert!(book.raise(alert("eu"), at(0)).unwrap());
    assert!(!book.raise(alert("eu"), at(1)).unwrap(), "that is known");
    for receiver in ["a", "b"] {
        assert_eq!(book.owed(receiver, MINUTE, at(1)).len(), 1);
    }
    let taken = names(&book.owed("a", None, at(1)));
    book.told("a", &taken, at(1)).unwrap();
    assert!(book.owed("a", MINUTE, at(60)).is_empty());
    assert_eq!(book.owed("a", MINUTE, at(61)).len(), 1, "a minute later");
    assert!(
        book.owed("a", None, at(999)).is_empty(),
        "who never forgets"
    );
    assert_eq!(book.owed("b", None, at(999)).len(), 1, "who never took it");
}

#[test]
fn the_end_is_told_to_those_who_know_of_the_beginning() {
    let mut book = Book::unkept();
    book.raise(alert("eu"), at(0)).unwrap();
    let taken = names(&book.owed("a", None, at(0)));
    book.told("a", &taken, at(0)).unwrap();
    let about = alert("eu").about;
    assert!(
        book.resolve("GatewayRefusedConfiguration", &about, at(9))
            .unwrap()
    );
    assert!(
        !book
            .resolve("GatewayRefusedConfiguration", &about, at(9))
            .unwrap()
    );
    assert!(book.owed("b", None, at(9)).is_empty(), "it never knew");
    let taken = names(&book.owed("a", None, at(9)));
    assert_eq!(taken.len(), 1);
    book.told("a", &taken, at(10)).unwrap();
    assert_eq!(book.entries().count(), 0, "over, and known to all");
    // The next time is another alert.
    assert!(book.raise(alert("eu"), at(20)).unwrap());
}

#[test]
fn what_fires_again_before_its_end_was_told_is_told_anew() {
    let mut book = Book::unkept();
    book.raise(alert("eu"), at(0)).unwrap();
    let taken = names(&book.owed("a", None, at(0)));
    book.told("a", &taken, at(0)).unwrap();
    book.resolve("GatewayRefusedConfiguration", &alert("eu").about, at(1))
        .unwrap();
    assert!(book.raise(alert("eu"), at(2)).unwrap());
    let owed = book.owed("a", None, at(2));
    assert_eq!((owed[0].status, owed[0].starts_at), (Status::Firing, at(2)));
}

#[test]
fn the_book_outlives_the_process_and_damage_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("alerts.json");
    let mut book = Book::open(&path).unwrap();
    book.raise(alert("eu"), at(0)).unwrap();
    book.raise(alert("us"), at(0)).unwrap();
    let taken = names(&book.owed("a", None, at(0))[..1]);
    book.told("a", &taken, at(0)).unwrap();
    let book = Book::open(&path).unwrap();
    assert_eq!(book.owed("a", None, at(1)).len(), 1);
    assert_eq!(book.owed("b", None, at(1)).len(), 2);
    std::fs::write(&path, "{").unwrap();
    assert!(matches!(Book::open(&path), Err(AlertError::Damaged { .. })));
}

#[test]
fn a_receiver_that_is_gone_is_not_waited_for() {
    let mut book = Book::unkept();
    book.raise(alert("eu"), at(0)).unwrap();
    let taken = names(&book.owed("a", None, at(0)));
    book.told("a", &taken, at(0)).unwrap();
    book.told("b", &taken, at(0)).unwrap();
    book.resolve("GatewayRefusedConfiguration", &alert("eu").about, at(1))
        .unwrap();
    let over = names(&book.owed("a", None, at(1)));
    book.told("a", &over, at(1)).unwrap();
    assert_eq!(book.entries().count(), 1);
    book.only(&["a".to_owned()].into()).unwrap();
    assert_eq!(book.entries().count(), 0);
}

#[test]
fn other_subjects_have_other_fingerprints() {
    let split = |pairs: &[(&str, &str)]| {
        let about = pairs
            .iter()
            .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
        fingerprint("A", &about.collect())
    };
    assert_ne!(split(&[("a", "bc")]), split(&[("ab", "c")]));
    assert_eq!(
        split(&[("a", "b"), ("c", "d")]),
        split(&[("c", "d"), ("a", "b")])
    );
}
