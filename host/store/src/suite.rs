//! What a store must do, whatever database it is in. Each function is given an empty store and panics if
//! it does not.

#![expect(clippy::missing_panics_doc, reason = "they are tests")]

use crate::{
    Batch, Checkpoint, Committed, Decider, Decision, FileId, Filter, Gap, Kind, Page, Store,
    StoreConfig,
};

const DAY_MS: i64 = 24 * 60 * 60 * 1_000;

/// A decision of node `gateway-eu` under `r-1`.
pub fn decision(number: u64) -> Decision {
    Decision {
        id: format!("dec_{number:032x}"),
        kind: Kind::Gateway,
        beside: Some(format!("dec_{:032x}", u128::from(number) << 64)),
        time_ms: 1_000 + number.cast_signed(),
        node: "gateway-eu".to_owned(),
        revision: "r-1".to_owned(),
        tenant: Some("acme".to_owned()),
        outcome: "allowed".to_owned(),
        response_code: Some(200),
        duration_ms: Some(number.cast_signed()),
        own_us: Some(10 * number.cast_signed()),
        masked: 2,
        store: None,
        store_region: None,
        line: format!(r#"{{"number":{number}}}"#),
    }
}

/// A decision of the guards of node `sidecar-eu` under `r-1`.
fn guarded(number: u64, outcome: &str) -> Decision {
    Decision {
        kind: Kind::Guard,
        beside: None,
        node: "sidecar-eu".to_owned(),
        outcome: outcome.to_owned(),
        response_code: None,
        own_us: None,
        masked: 0,
        store: Some("objects".to_owned()),
        store_region: Some("eu".to_owned()),
        ..decision(number)
    }
}

pub(crate) fn batch(numbers: std::ops::Range<u64>) -> Batch {
    Batch {
        source: "access.log".to_owned(),
        lines: numbers.end - numbers.start,
        decisions: numbers.map(decision).collect(),
        ..Batch::default()
    }
}

fn whole() -> Page<'static> {
    Page {
        limit: 100_000,
        cursor: None,
    }
}

async fn count(store: &Store) -> usize {
    let all = store.list(&Filter::default(), whole()).await;
    all.expect("a list").decisions.len()
}

/// All of it, one after the other. `empty` gives the same store, emptied; `config` opens it again.
pub async fn all(config: &StoreConfig, empty: impl AsyncFn() -> Store) {
    writes_are_idempotent(&empty().await).await;
    counters_and_checkpoints_go_with_decisions(&empty().await).await;
    decisions_are_found(&empty().await).await;
    a_list_is_filtered_and_goes_on(&empty().await).await;
    guards_are_kept_apart(&empty().await).await;
    what_happened_is_counted(&empty().await).await;
    what_is_old_goes(&empty().await).await;
    revisions_and_statuses_are_kept(&empty().await).await;
    no_text_is_too_odd(&empty().await).await;
    drop(empty().await);
    many_open_and_write_at_once(config).await;
}

/// A decision has one row.
pub async fn writes_are_idempotent(store: &Store) {
    let first = store.commit(&batch(0..1_000)).await.expect("stored");
    assert_eq!(
        first,
        Committed {
            stored: 1_000,
            duplicates: 0,
            gaps: 0
        }
    );
    let again = store.commit(&batch(500..1_500)).await.expect("stored");
    assert_eq!((again.stored, again.duplicates), (500, 500));
    // Within one batch too; and the same id of another kind is another decision.
    let mut twice = batch(2_000..2_001);
    twice.decisions.push(decision(2_000));
    twice.decisions.push(Decision {
        kind: Kind::Opa,
        ..decision(2_000)
    });
    let twice = store.commit(&twice).await.expect("stored");
    assert_eq!((twice.stored, twice.duplicates), (2, 1));
    assert_eq!(count(store).await, 1_502);
}

/// Counters, checkpoints and gaps.
pub async fn counters_and_checkpoints_go_with_decisions(store: &Store) {
    let file = FileId {
        dev: u64::MAX,
        ino: 7,
    };
    let checkpoint = |at| Checkpoint {
        file,
        at,
        head: [9; 32],
        head_len: 3,
        done: false,
    };
    let gap = Gap {
        file: "access.log.1".to_owned(),
        at: 5,
        why: "torn".to_owned(),
        detail: "a line has no end".to_owned(),
        sample: "{".to_owned(),
        time_ms: 77,
    };
    for at in [10, 20] {
        let batch = Batch {
            checkpoints: vec![checkpoint(at)],
            gaps: vec![gap.clone()],
            malformed: 1,
            undecided: 2,
            dropped: 3,
            mask_failures: 4,
            ..batch(0..5)
        };
        let committed = store.commit(&batch).await.expect("stored");
        assert_eq!(committed.gaps, u64::from(at == 10), "a gap is counted once");
    }
    let found = store.checkpoints("access.log").await.expect("checkpoints");
    assert_eq!(found, [checkpoint(20)]);
    assert!(store.checkpoints("other").await.expect("none").is_empty());
    let counters = store.counters().await.expect("counters");
    let [counted] = counters.as_slice() else {
        panic!("one source: {counters:?}");
    };
    assert_eq!(
        (counted.lines, counted.stored, counted.duplicates),
        (10, 5, 5)
    );
    assert_eq!(
        (counted.malformed, counted.undecided, counted.dropped),
        (2, 4, 6)
    );
    assert_eq!((counted.mask_failures, counted.gaps), (8, 1));
    let gaps = store.gaps(77, 10).await.expect("gaps");
    assert_eq!(gaps.len(), 1);
    assert!(
        gaps.iter()
            .all(|g| g.gap == gap && g.source == "access.log")
    );
    assert!(store.gaps(78, 10).await.expect("gaps").is_empty());
    let forget = Batch {
        forget: vec![file],
        ..batch(0..0)
    };
    store.commit(&forget).await.expect("stored");
    assert!(
        store
            .checkpoints("access.log")
            .await
            .expect("none")
            .is_empty()
    );
}

/// By either id.
pub async fn decisions_are_found(store: &Store) {
    store.commit(&batch(0..50)).await.expect("stored");
    let of = decision(7);
    for id in [of.id.as_str(), of.beside.as_deref().unwrap_or_default()] {
        let found = store.decision(id).await.expect("read").expect("there");
        assert_eq!(found.line.get(), of.line, "{id}");
        assert_eq!((found.kind, found.time_ms), (Kind::Gateway, of.time_ms));
    }
    assert!(store.decision("dec_none").await.expect("read").is_none());
    // The newest of several.
    let newer = Decision {
        kind: Kind::Opa,
        time_ms: 9_000,
        beside: None,
        ..of.clone()
    };
    let newer = Batch {
        decisions: vec![newer],
        ..batch(0..0)
    };
    store.commit(&newer).await.expect("stored");
    let found = store.decision(&of.id).await.expect("read").expect("there");
    assert_eq!(found.kind, Kind::Opa);
}

/// Filters and cursor.
pub async fn a_list_is_filtered_and_goes_on(store: &Store) {
    let mut all = batch(0..95);
    for (number, decision) in all.decisions.iter_mut().enumerate() {
        // Several in one millisecond.
        decision.time_ms = (number / 10).try_into().expect("small");
        if number % 5 == 0 {
            decision.tenant = None;
            decision.node = "gateway-us".to_owned();
            decision.revision = "r-2".to_owned();
            decision.outcome = "denied".to_owned();
        }
    }
    store.commit(&all).await.expect("stored");
    let mut seen = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let page = Page {
            limit: 10,
            cursor: cursor.as_deref(),
        };
        let part = store.list(&Filter::default(), page).await.expect("a list");
        seen.extend(
            part.decisions
                .iter()
                .map(|d| (d.time_ms, d.line.get().to_owned())),
        );
        cursor = part.next;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen.len(), 95);
    assert!(
        seen.windows(2).all(|w| w[0].0 >= w[1].0),
        "the newest first"
    );
    let lines: std::collections::BTreeSet<&str> = seen.iter().map(|(_, l)| l.as_str()).collect();
    assert_eq!(lines.len(), 95, "none twice");
    let some = |text: &str| Some(text.to_owned());
    for (filter, want) in [
        (
            Filter {
                tenant: some("acme"),
                ..Filter::default()
            },
            76,
        ),
        (
            Filter {
                node: some("gateway-us"),
                ..Filter::default()
            },
            19,
        ),
        (
            Filter {
                revision: some("r-2"),
                ..Filter::default()
            },
            19,
        ),
        (
            Filter {
                outcome: some("denied"),
                ..Filter::default()
            },
            19,
        ),
        (
            Filter {
                outcome: some("' OR 1=1 --"),
                ..Filter::default()
            },
            0,
        ),
        (
            Filter {
                since_unix_ms: Some(9),
                ..Filter::default()
            },
            5,
        ),
        (
            Filter {
                until_unix_ms: Some(1),
                ..Filter::default()
            },
            10,
        ),
    ] {
        let found = store.list(&filter, whole()).await.expect("a list");
        assert_eq!(found.decisions.len(), want, "{filter:?}");
    }
    for wrong in ["", "1", "1.x", "x.1"] {
        let page = Page {
            limit: 1,
            cursor: Some(wrong),
        };
        let error = store.list(&Filter::default(), page).await;
        assert!(error.is_err_and(|e| e.to_string().contains("cursor")));
    }
    let lines = store
        .lines(0, 5, Some("gateway-us"), 3)
        .await
        .expect("lines");
    assert_eq!(lines, [45, 40, 35].map(|n| format!(r#"{{"number":{n}}}"#)));
    assert_eq!(store.lines(0, 5, None, 100).await.expect("lines").len(), 50);
}

/// What guards decide is stored with its store, found, listed and counted for itself.
pub async fn guards_are_kept_apart(store: &Store) {
    let mut all = batch(0..3);
    for (number, outcome) in [
        (1, "allowed"),
        (11, "allowed"),
        (12, "denied"),
        (13, "failed"),
        (14, "incomplete"),
    ] {
        all.decisions.push(guarded(number, outcome));
    }
    all.decisions.push(Decision {
        store: Some("postgres".to_owned()),
        store_region: Some("us".to_owned()),
        revision: String::new(),
        response_code: Some(503),
        ..guarded(15, "")
    });
    for stored in [9, 0] {
        let committed = store.commit(&all).await.expect("stored");
        assert_eq!(
            (committed.stored, committed.duplicates),
            (stored, 9 - stored)
        );
    }
    let id = guarded(12, "denied").id;
    let found = store.decision(&id).await.expect("read").expect("there");
    assert_eq!(
        (found.kind, found.outcome.as_str()),
        (Kind::Guard, "denied")
    );
    assert_eq!(found.store.as_deref(), Some("objects"));
    assert_eq!(found.store_region.as_deref(), Some("eu"));
    let some = |text: &str| Some(text.to_owned());
    let of_kind = |kind| Filter {
        kind: Some(kind),
        ..Filter::default()
    };
    for (filter, want) in [
        (of_kind(Kind::Guard), 6),
        (of_kind(Kind::Gateway), 3),
        (of_kind(Kind::Opa), 0),
        (
            Filter {
                store: some("postgres"),
                ..Filter::default()
            },
            1,
        ),
        (
            Filter {
                outcome: some("denied"),
                ..of_kind(Kind::Guard)
            },
            1,
        ),
    ] {
        let found = store.list(&filter, whole()).await.expect("a list");
        assert_eq!(found.decisions.len(), want, "{filter:?}");
    }
    let tallies = store.tally(0, 5_000).await.expect("tallies");
    let [gateway, nobody, guards] = tallies.as_slice() else {
        panic!("a gateway and a sidecar with two revisions: {tallies:?}");
    };
    assert_eq!((gateway.kind, gateway.requests), (Decider::Gateway, 3));
    assert_eq!((nobody.kind, nobody.requests), (Decider::Guard, 1));
    assert_eq!(nobody.server_errors_answered, 1);
    assert_eq!((guards.node.as_str(), guards.requests), ("sidecar-eu", 5));
    assert_eq!((guards.allowed, guards.denied, guards.failed), (2, 1, 1));
    assert_eq!((guards.incomplete, guards.masked), (1, 0));
    // They are no lines of gateways, which are made again.
    let lines = store.lines(0, 5_000, None, 100).await.expect("lines");
    assert_eq!(lines.len(), 3);
}

/// Tallies.
pub async fn what_happened_is_counted(store: &Store) {
    let of = |number: u64, outcome: &str, code: i64| Decision {
        outcome: outcome.to_owned(),
        response_code: Some(code),
        ..decision(number)
    };
    let mut all = Batch {
        decisions: vec![
            of(1, "allowed", 200),
            of(2, "allowed", 500),
            of(3, "denied", 403),
            of(4, "failed", 502),
            of(5, "incomplete", 0),
            of(6, "unavailable", 503),
        ],
        ..batch(0..0)
    };
    all.decisions.push(Decision {
        own_us: None,
        duration_ms: None,
        revision: "r-2".to_owned(),
        ..of(7, "allowed", 200)
    });
    all.decisions.push(Decision {
        kind: Kind::Undecided,
        revision: String::new(),
        outcome: String::new(),
        response_code: Some(500),
        ..decision(8)
    });
    all.decisions.push(Decision {
        kind: Kind::Opa,
        ..decision(9)
    });
    all.decisions.push(Decision {
        time_ms: 5_000,
        ..decision(10)
    });
    store.commit(&all).await.expect("stored");
    let tallies = store.tally(0, 5_000).await.expect("tallies");
    let [nobody, first, second] = tallies.as_slice() else {
        panic!("three revisions: {tallies:?}");
    };
    assert_eq!((nobody.revision.as_str(), nobody.requests), ("", 1));
    assert_eq!(nobody.server_errors_answered, 1);
    assert_eq!((first.revision.as_str(), first.requests), ("r-1", 6));
    assert_eq!((first.allowed, first.denied, first.failed), (2, 1, 1));
    assert_eq!((first.incomplete, first.unavailable), (1, 1));
    assert_eq!((first.server_errors, first.server_errors_answered), (3, 2));
    assert_eq!(
        (first.duration_p50_ms, first.duration_p95_ms),
        (Some(3), Some(6))
    );
    assert_eq!((first.own_p50_us, first.own_p95_us), (Some(30), Some(60)));
    assert_eq!(first.masked, 12);
    assert_eq!((second.requests, second.own_p50_us), (1, None));
    assert!(store.tally(5_001, 6_000).await.expect("none").is_empty());
}

/// Retention.
pub async fn what_is_old_goes(store: &Store) {
    let mut all = batch(0..3_000);
    for (decision, number) in all.decisions.iter_mut().zip(0i64..) {
        decision.time_ms = if number < 2_500 { number } else { 100 * DAY_MS };
    }
    all.gaps.push(Gap {
        file: String::new(),
        at: 0,
        why: "torn".to_owned(),
        detail: String::new(),
        sample: String::new(),
        time_ms: 0,
    });
    store.commit(&all).await.expect("stored");
    let kept = Store {
        retain_days: 30,
        ..store.clone()
    };
    assert_eq!(kept.retain(20 * DAY_MS).await.expect("deleted"), 0);
    let for_ever = Store {
        retain_days: 0,
        ..store.clone()
    };
    assert_eq!(for_ever.retain(100 * DAY_MS).await.expect("deleted"), 0);
    assert_eq!(kept.retain(100 * DAY_MS).await.expect("deleted"), 2_500);
    assert!(store.gaps(0, 10).await.expect("gaps").is_empty());
    // The clock jumps a hundred years ahead.
    assert_eq!(kept.retain(36_500 * DAY_MS).await.expect("deleted"), 0);
    assert_eq!(count(store).await, 500);
}

/// Policies and what nodes say.
pub async fn revisions_and_statuses_are_kept(store: &Store) {
    let policies = "the same words ".repeat(10_000);
    for _ in 0..2 {
        let kept = store.keep_revision("r-1", &policies, 1).await;
        kept.expect("kept");
    }
    let found = store.revision("r-1").await.expect("read");
    assert_eq!(found.as_deref(), Some(policies.as_str()));
    assert_eq!(store.revision("r-2").await.expect("read"), None);
    for time in [1, 2] {
        let noted = store.node_status("opa-1", time, "{}").await;
        noted.expect("noted");
    }
    let statuses = store.node_statuses().await.expect("read");
    assert_eq!(statuses.len(), 1);
    assert!(statuses.iter().all(|s| s.time_ms == 2));
}

/// A text that a database might choke on holds up nothing.
pub async fn no_text_is_too_odd(store: &Store) {
    let odd = Decision {
        id: "\0'; DROP TABLE decisions; --".to_owned(),
        tenant: Some("a\0b".to_owned()),
        node: "\u{10ffff}\0".to_owned(),
        outcome: "\0".to_owned(),
        ..decision(1)
    };
    let odd = Batch {
        decisions: vec![odd],
        gaps: vec![Gap {
            file: "\0".to_owned(),
            at: 0,
            why: "\0".to_owned(),
            detail: "\0".to_owned(),
            sample: "\0".to_owned(),
            time_ms: 0,
        }],
        ..batch(0..0)
    };
    assert_eq!(store.commit(&odd).await.expect("stored").stored, 1);
    assert_eq!(store.commit(&odd).await.expect("stored").duplicates, 1);
    assert_eq!(count(store).await, 1);
}

/// Migrations and writers do not disturb each other. The store may be there or not.
pub async fn many_open_and_write_at_once(config: &StoreConfig) {
    let tasks: Vec<_> = (0..6u64)
        .map(|part| {
            let config = config.clone();
            tokio::spawn(async move {
                let store = Store::open(&config).await.expect("opened");
                for round in 0..5 {
                    // The same decisions from all, each in an order of its own.
                    let mut batch = batch(round * 40..round * 40 + 60);
                    let turn = usize::try_from(part * 7).expect("small");
                    batch.decisions.rotate_left(turn);
                    // Two may wait for each other: one is told, and tries again.
                    while let Err(error) = store.commit(&batch).await {
                        eprintln!("once more: {error}");
                    }
                }
                store.close().await;
            })
        })
        .collect();
    for task in tasks {
        task.await.expect("a writer ends");
    }
    let store = Store::open_existing(config).await.expect("opened");
    assert_eq!(count(&store).await, 220);
    let counters = store.counters().await.expect("counters");
    let stored: i64 = counters.iter().map(|c| c.stored).sum();
    assert_eq!(stored, 220, "each is counted by who stored it");
}
