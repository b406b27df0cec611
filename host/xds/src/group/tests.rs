use super::*;
use crate::type_url::{LISTENER, ROUTE};

fn snapshot(resources: &[(&str, &str, &str)]) -> Arc<Snapshot> {
    let resources = resources
        .iter()
        .map(|(url, name, body)| Resource::new(*url, *name, body.as_bytes()));
    Arc::new(Snapshot::new(resources).unwrap())
}

fn of_type(snapshot: &Snapshot, type_url: &str) -> Vec<Arc<Resource>> {
    snapshot.types()[type_url]
        .by_name()
        .values()
        .cloned()
        .collect()
}

fn acked(snapshot: &Snapshot, type_url: &str) -> Answer {
    Answer::Acked {
        type_url: type_url.to_owned(),
        version: String::new(),
        resources: of_type(snapshot, type_url),
    }
}

fn nacked(snapshot: &Snapshot, type_url: &str) -> Answer {
    Answer::Nacked {
        type_url: type_url.to_owned(),
        version: String::new(),
        resources: of_type(snapshot, type_url),
        error: "no good".to_owned(),
    }
}

/// A group with one stream in which `good` is proven.
fn proven(good: &Arc<Snapshot>) -> Group {
    let mut group = Group::default();
    group.offer(Arc::clone(good));
    group.join(1);
    accept_all(&mut group, good);
    assert_eq!(group.good().unwrap().version(), good.version());
    group
}

fn accept_all(group: &mut Group, snapshot: &Snapshot) -> Vec<Change> {
    let mut changes = Vec::new();
    for type_url in snapshot.types().keys() {
        changes.extend(group.on_answer(&acked(snapshot, type_url), "n", 0));
    }
    changes.extend(group.on_settled(1, group.serial()));
    changes
}

fn served(group: &Group) -> &str {
    group.served().unwrap().snapshot.version()
}

#[test]
fn a_snapshot_is_proven_when_all_of_it_is_accepted_and_all_streams_are_settled() {
    let one = snapshot(&[(LISTENER, "l", "l1"), (ROUTE, "r", "r1")]);
    let mut group = Group::default();
    group.offer(Arc::clone(&one));
    group.join(1);
    group.join(2);
    group.on_answer(&acked(&one, LISTENER), "n", 0);
    group.on_settled(1, group.serial());
    group.on_settled(2, group.serial());
    assert!(group.good().is_none(), "nobody took the route yet");
    group.on_settled(1, None);
    group.on_answer(&acked(&one, ROUTE), "n", 0);
    assert!(group.good().is_none(), "stream 1 has something unanswered");
    let changes = group.on_settled(1, group.serial());
    assert!(matches!(changes[..], [Change::Proven { .. }]));
}

#[test]
fn a_stream_that_leaves_is_not_waited_for() {
    let one = snapshot(&[(LISTENER, "l", "l1")]);
    let mut group = proven(&one);
    group.join(2);
    let two = snapshot(&[(LISTENER, "l", "l2")]);
    group.offer(Arc::clone(&two));
    assert!(
        accept_all(&mut group, &two).is_empty(),
        "stream 2 is behind"
    );
    assert!(matches!(group.leave(2)[..], [Change::Proven { .. }]));
}

#[test]
fn a_refusal_takes_the_whole_group_back() {
    let good = snapshot(&[(LISTENER, "l", "l1"), (ROUTE, "r", "r1")]);
    let bad = snapshot(&[(LISTENER, "l", "bad"), (ROUTE, "r", "r2")]);
    let mut group = proven(&good);
    group.offer(Arc::clone(&bad));
    group.on_answer(&acked(&bad, ROUTE), "n", 0);
    let changes = group.on_answer(&nacked(&bad, LISTENER), "n", 7);
    assert!(matches!(
        changes[..],
        [Change::Served, Change::RolledBack { .. }]
    ));
    assert_eq!(served(&group), good.version());
    assert!(group.is_rolled_back());
    assert_eq!(group.parked().next().unwrap().since_unix_ms, 7);

    // Offered again, or with another part changed: still refused.
    group.offer(Arc::clone(&bad));
    assert_eq!(served(&group), good.version());
    group.offer(snapshot(&[(LISTENER, "l", "bad"), (ROUTE, "r", "r3")]));
    assert_eq!(served(&group), good.version());

    // What was refused is changed: on its way.
    let fixed = snapshot(&[(LISTENER, "l", "l3"), (ROUTE, "r", "r2")]);
    assert_eq!(group.offer(Arc::clone(&fixed)), [Change::Served]);
    assert_eq!(served(&group), fixed.version());
    assert_eq!(group.parked().count(), 0);
}

#[test]
fn what_was_refused_together_is_lifted_together() {
    let good = snapshot(&[(LISTENER, "a", "a1"), (LISTENER, "b", "b1")]);
    let bad = snapshot(&[(LISTENER, "a", "a2"), (LISTENER, "b", "bad")]);
    let mut group = proven(&good);
    group.offer(Arc::clone(&bad));
    group.on_answer(&nacked(&bad, LISTENER), "n", 0);
    let half_fixed = snapshot(&[(LISTENER, "a", "a2"), (LISTENER, "b", "b3")]);
    assert_eq!(group.offer(half_fixed), [Change::Served]);
}

#[test]
fn without_a_known_good_the_refused_part_is_left_out() {
    let first = snapshot(&[(LISTENER, "l", "bad"), (ROUTE, "r", "r1")]);
    let mut group = Group::default();
    group.offer(Arc::clone(&first));
    group.join(1);
    group.on_answer(&nacked(&first, LISTENER), "n", 0);
    let now = &group.served().unwrap().snapshot;
    assert!(now.get(LISTENER, "l").is_none());
    assert!(now.get(ROUTE, "r").is_some());
}

#[test]
fn refusing_the_known_good_is_the_nodes_own_affair() {
    let good = snapshot(&[(LISTENER, "l", "l1")]);
    let mut group = proven(&good);
    group.join(2);
    assert!(
        group
            .on_answer(&nacked(&good, LISTENER), "odd one", 0)
            .is_empty()
    );
    assert_eq!(served(&group), good.version());
    assert_eq!(group.parked().count(), 0);
}

#[test]
fn a_known_good_of_an_earlier_life_is_served_and_gone_back_to() {
    let good = snapshot(&[(LISTENER, "l", "l1")]);
    let bad = snapshot(&[(LISTENER, "l", "bad")]);
    let mut group = Group::default();
    assert_eq!(group.remember_good(Arc::clone(&good)), [Change::Served]);
    group.offer(Arc::clone(&bad));
    group.join(1);
    group.on_answer(&nacked(&bad, LISTENER), "n", 0);
    assert_eq!(served(&group), good.version());
    assert_eq!(group.unpark(), [Change::Served]);
    assert_eq!(served(&group), bad.version());
}

#[test]
fn refusals_of_an_earlier_life_hold_for_the_same_and_no_other() {
    let good = snapshot(&[(LISTENER, "l", "1"), (ROUTE, "r", "1")]);
    let bad = snapshot(&[(LISTENER, "l", "2"), (ROUTE, "r", "1")]);
    let mut before = proven(&good);
    before.offer(Arc::clone(&bad));
    before.on_answer(&nacked(&bad, LISTENER), "n", 7);
    let parked: Vec<ParkedStatus> = before.parked().cloned().collect();
    assert_eq!(parked.len(), 1);

    // A new life: nothing is offered yet, then the same as before.
    let anew = || {
        let mut group = Group::default();
        group.remember_parked(parked.clone());
        group.remember_good(Arc::clone(&good));
        assert_eq!(served(&group), good.version());
        assert_eq!(group.parked().cloned().collect::<Vec<_>>(), parked);
        group
    };
    let mut same = anew();
    assert_eq!(same.offer(Arc::clone(&bad)), Vec::new());
    assert!(same.is_rolled_back());
    assert_eq!(served(&same), good.version());
    // It is over with what is offered next, and then for good.
    let mended = snapshot(&[(LISTENER, "l", "3"), (ROUTE, "r", "1")]);
    same.offer(Arc::clone(&mended));
    assert_eq!(
        (served(&same), same.parked().count()),
        (mended.version(), 0)
    );
    same.offer(Arc::clone(&bad));
    assert_eq!(served(&same), bad.version());

    let mut other = anew();
    other.offer(Arc::clone(&mended));
    assert_eq!(
        (served(&other), other.parked().count()),
        (mended.version(), 0)
    );
    let mut asked = anew();
    asked.unpark();
    asked.offer(Arc::clone(&bad));
    assert_eq!(served(&asked), bad.version());

    // Without a last known good what was refused is left out.
    let mut bare = Group::default();
    bare.remember_parked(parked.clone());
    bare.offer(Arc::clone(&bad));
    let served = &bare.served().unwrap().snapshot;
    assert!(served.get(LISTENER, "l").is_none() && served.get(ROUTE, "r").is_some());
}
