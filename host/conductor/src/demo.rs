//! Everything on one machine: upstreams, conductor and gateways of three regions.

mod checks;
mod side;
mod stage;
pub(crate) mod table;

use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, bail};
use proof::residency::Period;
use upstream::{personas, queries};

use crate::probe::{self as probes, Fleet};
use crate::{DemoArgs, End};
pub(crate) use checks::leaks;
pub(crate) use stage::{Caller, Setup, Stage};
pub(crate) use table::Check;

/// Runs the demo.
///
/// # Errors
/// Something of it can't be built, found or started.
pub async fn run(args: &DemoArgs) -> anyhow::Result<End> {
    let mut stage = Stage::start(&args.into()).await?;
    let ended = if args.check {
        let checks = checks::run(&mut stage).await;
        checks.map(|checks| {
            if args.json {
                table::print_json(&checks);
            } else {
                table::print(&checks);
            }
            if checks.iter().all(|c| c.passed) {
                End::Done
            } else {
                End::Failed
            }
        })
    } else {
        match introduce(&stage) {
            Ok(()) => stage.wait().await.map(|()| End::Done),
            Err(error) => Err(error),
        }
    };
    stage.stop().await;
    ended
}

/// Starts a demo, probes its tenants once, and leaves the proofs in a folder.
///
/// # Errors
/// Something of it can't be had, or the folder is not empty.
pub async fn probe(out: &Path, as_json: bool) -> anyhow::Result<End> {
    if out.exists() && std::fs::read_dir(out)?.next().is_some() {
        bail!("{} is not empty: proofs go to a new folder", out.display());
    }
    let stage = Stage::start(&Setup::unproven()).await?;
    let ended = probe_stage(&stage, out, as_json).await;
    stage.stop().await;
    if ended.is_ok() && !as_json {
        let at = out.display();
        line!("\nthe proofs are in {at}; who checks them needs neither us nor our word:")?;
        line!("  {} proofs verify {at}", program())?;
        line!(
            "  cd {at} && base64 -d acme.sig | openssl dgst -sha256 -verify conductor.pub \
             -signature /dev/stdin acme.payload.json"
        )?;
    }
    ended
}

async fn probe_stage(stage: &Stage, out: &Path, as_json: bool) -> anyhow::Result<End> {
    let mut journal = proof::Journal::open(out, proof::key::SigningKey::generate()?)?;
    let journal = &mut journal;
    let config = stage.prober()?;
    let settings = config.probe.as_ref().context("there is no [probe]")?;
    let fleet = Fleet::with_keys(&config, stage.api, |_| Some(stage.context_keys()))?;
    let period = Period::at(jiff::Timestamp::now(), HOUR_S)?;
    let schedule = ::probe::Config {
        every_s: HOUR_S,
        ..settings.schedule.clone()
    };
    let directory = probes::directory(&config)?;
    probes::probe_once(
        &schedule, fleet, directory, &config, period, journal, as_json,
    )
    .await
}

/// This program, as a shell finds it.
fn program() -> String {
    let program = std::env::current_exe();
    program.map_or_else(|_| "conductor".into(), |path| path.display().to_string())
}

/// What a proof is of.
const HOUR_S: u32 = 3600;

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map(|d| d.as_secs())
        .unwrap_or_default()
}

/// Prints what is running and what to try.
fn introduce(stage: &Stage) -> anyhow::Result<()> {
    println!("\nrunning");
    for region in &stage.regions {
        println!(
            "  {:5} gateway http://{}/graphql  admin http://{}  upstream http://{}",
            region.name,
            region.listen,
            region.admin,
            region.upstream()?.address()
        );
    }
    let (xds, api) = (stage.xds, stage.api);
    println!("  conductor  xds {xds}  http://{api}/api/xds  http://{api}/api/policies");
    println!(
        "  policies   {}  (edit a file: the next response differs)",
        stage.policies().display()
    );
    for region in &stage.regions {
        println!(
            "  {:5} stores behind guards: {}",
            region.name,
            region.side.doors()
        );
    }
    println!(
        "  proofs     {}  (every {} s)\n             check them: {} proofs verify {0}",
        stage.proofs().display(),
        stage::PERIOD_S,
        program()
    );
    println!("  logs       {}", stage.directory().display());

    let file = stage.directory().join("tokens.env");
    let mut tokens = String::new();
    for persona in personas::ALL {
        let token = persona.token(&stage.issuer, now());
        tokens.push_str(&format!("{}={token}\n", variable(persona.name)));
    }
    std::fs::write(&file, tokens)?;
    println!(
        "\ntokens of {} callers, good for 8 hours",
        personas::ALL.len()
    );
    println!("  source {}", file.display());

    println!("\ntry");
    for example in examples() {
        let at = stage.region(example.region)?.listen;
        println!("  # {}", example.shows);
        println!(
            "  curl -si http://{at}/graphql -H \"authorization: Bearer ${}\" \
             -H 'x-ig-purpose: {}'{} -H 'content-type: application/json' -d '{}'",
            variable(example.caller.name),
            example.purpose,
            example.more,
            serde_json::json!({"query": example.query})
        );
    }
    let at = stage.region("eu")?.listen;
    for example in other_shapes() {
        println!("  # {}", example.shows);
        println!(
            "  curl {} http://{at}{} -H \"authorization: Bearer ${}\" -H 'x-ig-purpose: {}'{}",
            example.options,
            example.path,
            variable(example.caller.name),
            example.purpose,
            example.more
        );
    }
    let [_, objects, _] = stage.region("eu")?.side.listeners();
    println!("  # a service that passes no context token on opens no store: 403");
    println!("  curl -si http://{objects}/acme-files/report");
    println!("  # how the proofs stand, and the openssl line that checks one");
    println!("  curl -s http://{}/api/proofs", stage.api);
    println!(
        "  cd {} && base64 -d acme.sig | openssl dgst -sha256 -verify conductor.pub -signature \
         /dev/stdin acme.payload.json",
        stage.proofs().display()
    );
    println!("\nCtrl-C ends it and cleans up.");
    Ok(())
}

/// The shell variable that holds a caller's token.
fn variable(persona: &str) -> String {
    persona.replace('@', "_").to_uppercase()
}

/// A request to try.
struct Example {
    shows: &'static str,
    region: &'static str,
    caller: personas::Persona,
    purpose: &'static str,
    /// Further arguments of curl.
    more: &'static str,
    query: String,
}

fn examples() -> Vec<Example> {
    let plain = Example {
        shows: "an analyst sees pseudonyms",
        region: "eu",
        caller: personas::ANALYST_ACME,
        purpose: "analytics",
        more: "",
        query: "{ viewer { name email phone salary nationalId } }".into(),
    };
    let like = |shows| Example {
        shows,
        query: plain.query.clone(),
        ..plain
    };
    let mut all = vec![
        Example {
            caller: personas::SUPPORT_ACME,
            purpose: "support",
            ..like("support sees contacts, for support only")
        },
        Example {
            caller: personas::ADMIN_ACME,
            purpose: "administration",
            ..like("an admin sees all, and X-IG-Mask says what others would not")
        },
        Example {
            query: "{ viewer { name: email } }".into(),
            ..like("another name does not help")
        },
        Example {
            query: one_line(queries::SEARCH.document),
            ..like("nor does a union")
        },
        Example {
            purpose: "administration",
            ..like("a purpose that the token does not list: 403")
        },
        Example {
            caller: personas::ANALYST_INITECH,
            ..like("a tenant of the US at the gateway of the EU: 403")
        },
        Example {
            caller: personas::ANALYST_INITECH,
            region: "us",
            ..like("the same at home: 200")
        },
        Example {
            more: " -H 'x-ig-tenant: globex' -H 'x-ig-cluster: region-us'",
            ..like("headers that only a gateway may set do nothing")
        },
    ];
    all.insert(0, plain);
    all
}

/// A request of another shape than GraphQL by POST and one answer.
#[derive(Clone, Copy)]
struct Shape {
    shows: &'static str,
    /// Curl's options.
    options: &'static str,
    path: &'static str,
    caller: personas::Persona,
    purpose: &'static str,
    /// Further arguments of curl.
    more: &'static str,
}

fn other_shapes() -> [Shape; 5] {
    let analyst = Shape {
        shows: "the same people without GraphQL",
        options: "-si",
        path: "/v1/people",
        caller: personas::ANALYST_ACME,
        purpose: "analytics",
        more: "",
    };
    [
        analyst,
        Shape {
            shows: "an export is redacted, and X-IG-Redactions says what",
            path: "/export/people",
            more: " -H 'accept: text/csv'",
            ..analyst
        },
        Shape {
            shows: "an auditor's shows salaries, for an audit",
            path: "/export/people",
            caller: personas::AUDITOR_ACME,
            purpose: "audit",
            more: " -H 'accept: text/csv'",
            ..analyst
        },
        Shape {
            shows: "events, masked one by one: rename an asset meanwhile (next line)",
            options: "-sN",
            path: "/graphql",
            more: " -H 'content-type: application/json' -H 'accept: text/event-stream' \
                   -d '{\"query\":\"subscription { assetChanged { name email } }\"}' &",
            ..analyst
        },
        Shape {
            shows: "a change for the subscriber to see",
            options: "-s",
            path: "/graphql",
            more: " -H 'content-type: application/json' -d '{\"query\":\"mutation { \
                   renameAsset(id: \\\"acme-asset-001\\\", name: \\\"Lathe\\\") { name email } }\"}'",
            ..analyst
        },
    ]
}

fn one_line(document: &str) -> String {
    document
        .lines()
        .map(|l| l.split('#').next().unwrap_or_default())
        .flat_map(str::split_whitespace)
        .collect::<Vec<_>>()
        .join(" ")
}
