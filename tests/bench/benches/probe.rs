//! Residency probes of many tenants in a simulated world: what the prober, the judgement, the signatures
//! and the log cost by themselves.
//!
//! The world keeps sentinels in memory and answers as a sound one would; each answer waits for a turn
//! of the scheduler, as a socket would. Proofs and log are real, on this machine's disk.

use std::collections::HashSet;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use probe::observe::{Decision, Evidence, InForce, Operation, Outcome, StoreSeen, Through};
use probe::plan::{Regions, Store, Tenant};
use probe::run::{Ask, Sent, World};
use probe::{Prober, Verdict};
use proof::key::SigningKey;
use proof::residency::{self, Period, Route, Statement};
use proof::{Journal, read_folder, verify};
use serde_json::json;

const REGIONS: [&str; 3] = ["apac", "eu", "us"];
const STORES: [&str; 3] = ["postgres", "s3", "neo4j"];

/// A run of 10,000 tenants shall take no longer, in seconds.
const AIM_S: f64 = 300.0;

#[derive(Default)]
struct Simulated {
    rows: Mutex<HashSet<String>>,
    asked: AtomicU64,
}

impl Simulated {
    async fn turn(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
    }
}

impl World for Simulated {
    async fn through(&self, region: &str, ask: Ask<'_>) -> Sent {
        self.turn().await;
        let trace = ask.tenant.name.clone();
        if region != ask.tenant.home {
            let through = Through::Refused(403);
            return Sent { through, trace };
        }
        let row = format!("{region}/{}/{}", ask.store.name, ask.nonce);
        let mut rows = self.rows.lock().expect("nobody panics");
        let (known, done) = match ask.operation {
            Operation::Write => (rows.insert(row), Outcome::Done),
            Operation::Read => (rows.contains(&row), Outcome::Found),
            Operation::Delete => (rows.remove(&row), Outcome::Done),
        };
        let through = Through::Passed(StoreSeen {
            outcome: if known { done } else { Outcome::Absent },
            identity: format!("{}-{region}", ask.store.name),
            region: Some(region.to_owned()),
        });
        Sent { through, trace }
    }

    async fn attempt(&self, _: &str, _: Ask<'_>) -> StoreSeen {
        self.turn().await;
        StoreSeen {
            outcome: Outcome::Refused("CONTEXT_FORGED".into()),
            identity: String::new(),
            region: None,
        }
    }

    async fn evidence(&self, region: &str, trace: &str, _: Duration) -> Evidence {
        self.turn().await;
        Evidence {
            span: Some((region.to_owned(), region.to_owned())),
            decision: Some(Decision {
                id: "dec_0".into(),
                tenant: trace.to_owned(),
                revision: "r-1".into(),
                allowed: true,
            }),
        }
    }

    async fn until_served(&self, _: &str, _: Duration) {}

    async fn in_force(&self, region: &str) -> Vec<InForce> {
        vec![InForce {
            revision: "r-1".into(),
            node: format!("gateway-{region}"),
            ..InForce::default()
        }]
    }

    fn nonce(&self) -> String {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        format!("{:032x}", COUNT.fetch_add(1, Ordering::Relaxed))
    }
}

fn tenants(count: usize) -> Vec<Tenant> {
    let tenant = |(n, region): (usize, &&str)| Tenant {
        name: format!("tenant-{n:05}"),
        home: (*region).to_owned(),
        regions: [(*region).to_owned()].into(),
        quarantined: false,
    };
    (0..count).zip(REGIONS.iter().cycle()).map(tenant).collect()
}

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).filter(|a| a != "--bench");
    let count = match arguments.next() {
        Some(text) => text.parse()?,
        None => 10_000,
    };
    let runtime = tokio::runtime::Runtime::new()?;
    let stores = STORES.map(|name| Store {
        name: name.into(),
        kind: name.into(),
    });
    let regions: Regions = REGIONS.map(|r| (r.to_owned(), stores.to_vec())).into();
    let prober = Prober::new(probe::Config::default(), regions, Simulated::default());
    let directory = tempfile::tempdir()?;
    let mut journal = Journal::open(directory.path(), SigningKey::generate()?)?;
    println!(
        "{count} tenants, {} stores in each of {} regions",
        STORES.len(),
        REGIONS.len()
    );

    let mut rounds = Vec::new();
    for round in 0..2_i64 {
        let began = Instant::now();
        let mut seen = Vec::new();
        runtime.block_on(prober.run(tenants(count), |probed| seen.push(probed)));
        let probed = began.elapsed().as_secs_f64();
        anyhow::ensure!(
            seen.len() == count && seen.iter().all(|p| p.judgement.verdict == Verdict::Pass),
            "not all passed"
        );
        let period = Period::new(1_795_770_000 + round * 3600, 3600)?;
        let now = jiff::Timestamp::from_second(period.end_s())?;
        let batch = seen.into_iter().map(|p| {
            let route = |(src, dst): (String, String)| Route::new(src, dst);
            Statement {
                reads: route(p.judgement.reads),
                writes: route(p.judgement.writes),
                nonce: p.nonce,
                node: p.in_force.node,
                verdict: residency::Verdict::Pass,
                late: false,
                findings: Vec::new(),
                ..Statement::unknown(p.tenant.name, &p.tenant.home, period, "", now)
            }
        });
        journal.append(batch.collect())?;
        let total = began.elapsed().as_secs_f64();
        println!(
            "round {}: probed {probed:.1} s, signed and written {:.1} s, together {total:.1} s ({:.0} tenants/s)",
            round + 1,
            total - probed,
            count as f64 / total
        );
        rounds.push(json!({"probedS": probed, "signedS": total - probed, "totalS": total}));
    }
    let began = Instant::now();
    let contents = read_folder(directory.path())
        .map_err(|(path, e)| anyhow::anyhow!("{}: {e}", path.display()))?;
    let report = verify::verify(&contents, Default::default());
    anyhow::ensure!(report.holds(), "{:?}", report.faults.first());
    let checked = began.elapsed().as_secs_f64();
    println!(
        "checked offline: {} entries in {checked:.1} s",
        report.entries
    );
    let worst = rounds
        .iter()
        .filter_map(|r| r["totalS"].as_f64())
        .fold(0.0, f64::max);
    let verdict = if worst <= AIM_S { "met" } else { "missed" };
    println!("aim: 10,000 tenants within {AIM_S:.0} s: {verdict}");

    let out = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/bench");
    std::fs::create_dir_all(&out)?;
    let all =
        json!({"tenants": count, "rounds": rounds, "checkedS": checked, "entries": report.entries});
    std::fs::write(out.join("probe.json"), format!("{all:#}\n"))?;
    Ok(())
}
