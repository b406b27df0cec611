use std::collections::BTreeSet;
use std::sync::Mutex;

use super::*;
use crate::Verdict;
use crate::observe::{Decision, Outcome};

/// A world with two regions of two stores, in memory.
#[derive(Default)]
struct Toy {
    /// `region/store/nonce`.
    rows: Mutex<BTreeSet<String>>,
    /// The store whose writes go to the other region.
    astray: Option<&'static str>,
    /// Whether a guard lets everybody in.
    open: bool,
    /// Whether spans and log lines get lost.
    mute: bool,
    running: Mutex<(usize, usize)>,
    /// The revision that decides, if not that of everybody.
    early: bool,
}

impl Toy {
    fn open(&self, region: &str, ask: Ask<'_>) -> StoreSeen {
        let region = match self.astray {
            Some(store) if store == ask.store.name => "us",
            _ => region,
        };
        let mut rows = self.rows.lock().unwrap();
        let row = format!("{region}/{}/{}", ask.store.name, ask.nonce);
        let outcome = match ask.operation {
            Operation::Write => {
                assert!(rows.insert(row));
                Outcome::Done
            }
            Operation::Read if rows.contains(&row) => Outcome::Found,
            Operation::Delete if rows.remove(&row) => Outcome::Done,
            _ => Outcome::Absent,
        };
        StoreSeen {
            outcome,
            identity: format!("{region}-1"),
            region: Some(region.to_owned()),
        }
    }
}

impl World for Toy {
    async fn through(&self, region: &str, ask: Ask<'_>) -> Sent {
        {
            let mut running = self.running.lock().unwrap();
            running.0 += 1;
            running.1 = running.1.max(running.0);
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.running.lock().unwrap().0 -= 1;
        let through = if ask.tenant.regions.contains(region) {
            Through::Passed(self.open(region, ask))
        } else {
            Through::Refused(403)
        };
        Sent {
            through,
            trace: ask.tenant.name.clone(),
        }
    }

    async fn attempt(&self, region: &str, ask: Ask<'_>) -> StoreSeen {
        if self.open {
            return self.open(region, ask);
        }
        StoreSeen {
            outcome: Outcome::Refused("CONTEXT_FOREIGN".into()),
            identity: String::new(),
            region: None,
        }
    }

    async fn evidence(&self, region: &str, trace: &str, within: Duration) -> Evidence {
        if self.mute {
            tokio::time::sleep(within).await;
            return Evidence::default();
        }
        Evidence {
            span: Some((region.to_owned(), region.to_owned())),
            decision: Some(Decision {
                id: "dec_1".into(),
                tenant: trace.to_owned(),
                allowed: true,
                revision: if self.early { "r-2+7" } else { "r-1" }.into(),
            }),
        }
    }

    async fn until_served(&self, _: &str, _: Duration) {}

    async fn in_force(&self, region: &str) -> Vec<InForce> {
        let of = |revision: &str, node: String| InForce {
            revision: revision.into(),
            node,
            ..InForce::default()
        };
        vec![
            of("r-1", format!("gateway-{region}")),
            of("r-2+7", format!("early-{region}")),
        ]
    }

    fn nonce(&self) -> String {
        static COUNT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
        let n = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        format!("{n:032x}")
    }
}

async fn probe(world: Toy, tenants: usize) -> (Vec<Probed>, Arc<Toy>) {
    let store = |name: &str| Store {
        name: name.into(),
        kind: "postgres".into(),
    };
    let regions = Regions::from([
        ("eu".to_owned(), vec![store("people"), store("files")]),
        ("us".to_owned(), vec![store("people"), store("files")]),
    ]);
    let tenants = (0..tenants)
        .map(|n| Tenant {
            name: format!("tenant-{n}"),
            home: "eu".into(),
            regions: ["eu".to_owned()].into(),
            quarantined: false,
        })
        .collect();
    let config = Config {
        at_once: 3,
        ..Config::default()
    };
    let prober = Prober::new(config, regions, world);
    let mut all = Vec::new();
    prober.run(tenants, |probed| all.push(probed)).await;
    (all, prober.world.clone())
}

#[tokio::test(start_paused = true)]
async fn a_sound_world_passes_and_nothing_stays() {
    let (all, world) = probe(Toy::default(), 10).await;
    assert_eq!(all.len(), 10);
    for probed in &all {
        assert_eq!(probed.judgement.verdict, Verdict::Pass, "{probed:?}");
        assert_eq!(probed.in_force.node, "gateway-eu");
    }
    let nonces: BTreeSet<&str> = all.iter().map(|p| &*p.nonce).collect();
    assert_eq!(nonces.len(), 10);
    assert!(world.rows.lock().unwrap().is_empty());
    assert_eq!(world.running.lock().unwrap().1, 3);
}

#[tokio::test(start_paused = true)]
async fn what_was_in_force_is_what_decided() {
    let world = Toy {
        early: true,
        ..Toy::default()
    };
    let (all, _) = probe(world, 1).await;
    assert_eq!(all[0].judgement.verdict, Verdict::Pass);
    let in_force = &all[0].in_force;
    assert_eq!(
        (&*in_force.revision, &*in_force.node),
        ("r-2+7", "early-eu")
    );
}

#[tokio::test(start_paused = true)]
async fn data_that_goes_astray_fails() {
    let world = Toy {
        astray: Some("files"),
        ..Toy::default()
    };
    let (all, _) = probe(world, 1).await;
    let judgement = &all[0].judgement;
    assert_eq!(judgement.verdict, Verdict::Fail);
    assert_eq!(judgement.writes, ("eu".into(), "eu+us".into()));
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_lets_everybody_in_fails() {
    let world = Toy {
        open: true,
        ..Toy::default()
    };
    let (all, _) = probe(world, 1).await;
    assert_eq!(all[0].judgement.verdict, Verdict::Fail);
    assert!(all[0].judgement.findings[0].contains("was let in"));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_arrive_is_waited_for_once() {
    let world = Toy {
        mute: true,
        ..Toy::default()
    };
    let began = tokio::time::Instant::now();
    let (all, _) = probe(world, 1).await;
    assert_eq!(all[0].judgement.verdict, Verdict::Unknown);
    let within = Duration::from_secs(Config::default().evidence_s.into());
    assert!(began.elapsed() < within + Duration::from_secs(1));
}
