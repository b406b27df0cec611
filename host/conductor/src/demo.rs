//! Everything on one machine: upstreams, conductor and gateways of three regions.

mod checks;
mod client;
mod stage;
mod table;

use std::time::{SystemTime, UNIX_EPOCH};

use upstream::{personas, queries};

use crate::{DemoArgs, End};
use stage::Stage;

/// Runs the demo.
///
/// # Errors
/// Something of it can't be built, found or started.
pub async fn run(args: &DemoArgs) -> anyhow::Result<End> {
    let mut stage = Stage::start(args).await?;
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
    println!(
        "  conductor xds {}  api http://{}/api/xds",
        stage.xds, stage.api
    );
    println!(
        "  policies  {}  (edit a file: the next response differs)",
        stage.policies().display()
    );
    println!("  logs      {}", stage.directory().display());

    let eu = stage.regions[0].listen;
    let us = stage.regions[1].listen;
    let plain = "{ viewer { name email phone salary nationalId } }";
    let token = |p: &personas::Persona| p.token(&stage.issuer, now());
    println!("\ntokens (8 hours)");
    for persona in [
        &personas::ANALYST_ACME,
        &personas::ADMIN_ACME,
        &personas::SUPPORT_ACME,
        &personas::ANALYST_INITECH,
    ] {
        let variable = persona.name.replace('@', "_").to_uppercase();
        println!("  {variable}={}", token(persona));
    }
    println!("\ntry (after setting the variables above)");
    let curl = |what: &str,
                at: std::net::SocketAddr,
                who: &str,
                purpose: &str,
                extra: &str,
                query: &str| {
        println!("  # {what}");
        println!(
            "  curl -si http://{at}/graphql -H \"authorization: Bearer ${who}\" \
             -H 'x-ig-purpose: {purpose}'{extra} --json '{}'",
            serde_json::json!({"query": query})
        );
    };
    curl(
        "an analyst sees pseudonyms",
        eu,
        "ANALYST_ACME",
        "analytics",
        "",
        plain,
    );
    curl(
        "support sees contacts, for support only",
        eu,
        "SUPPORT_ACME",
        "support",
        "",
        plain,
    );
    curl(
        "an admin sees all, and X-IG-Mask says what others would not",
        eu,
        "ADMIN_ACME",
        "administration",
        "",
        plain,
    );
    curl(
        "another name does not help",
        eu,
        "ANALYST_ACME",
        "analytics",
        "",
        "{ viewer { name: email } }",
    );
    curl(
        "nor does a union",
        eu,
        "ANALYST_ACME",
        "analytics",
        "",
        &one_line(queries::SEARCH.document),
    );
    curl(
        "a purpose that the token does not list: 403",
        eu,
        "ANALYST_ACME",
        "administration",
        "",
        plain,
    );
    curl(
        "a tenant of the US at the gateway of the EU: 403",
        eu,
        "ANALYST_INITECH",
        "analytics",
        "",
        plain,
    );
    curl(
        "the same at home: 200",
        us,
        "ANALYST_INITECH",
        "analytics",
        "",
        plain,
    );
    curl(
        "headers that only a gateway may set do nothing",
        eu,
        "ANALYST_ACME",
        "analytics",
        " -H 'x-ig-tenant: globex' -H 'x-ig-cluster: region-us'",
        plain,
    );
    println!("\nCtrl-C ends it and cleans up.");
    Ok(())
}

fn one_line(document: &str) -> String {
    document
        .lines()
        .map(|l| l.split('#').next().unwrap_or_default())
        .flat_map(str::split_whitespace)
        .collect::<Vec<_>>()
        .join(" ")
}
