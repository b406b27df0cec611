use std::io::Read;
use std::path::PathBuf;

use anyhow::{Context, ensure};
use bundle::Bundle;
use clap::Args;
use engine::warrant::{AuthorityBinding, Jwk, Operation, Registry, Warrant, Warrants};
use p256::ecdsa::Signature;
use p256::ecdsa::signature::Signer;
use serde_json::json;

use super::{key, ledger, moment};
use crate::End;

/// Arguments of `warrant issue`.
#[derive(Args)]
pub(super) struct IssueArgs {
    /// The authority's private key, PKCS#8 in PEM, or `-`.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The authority's name, as it is registered.
    #[arg(long, value_name = "NAME")]
    authority: String,
    /// The jurisdiction in which it acts.
    #[arg(long)]
    jurisdiction: String,
    /// Its reference of the case.
    #[arg(long, value_name = "REFERENCE")]
    case: String,
    /// The tenant whose data it is about.
    #[arg(long)]
    tenant: String,
    /// The region that the data may leave: the tenant's home.
    #[arg(long, value_name = "REGION")]
    from: String,
    /// The region where it may be worked on.
    #[arg(long, value_name = "REGION")]
    to: String,
    /// What may be done: read, write, delete; may be given several times. GraphQL always needs read.
    #[arg(long, required = true, value_parser = super::operation)]
    operation: Vec<Operation>,
    /// The purpose that requests must state.
    #[arg(long)]
    purpose: String,
    /// When it begins, such as 2026-12-01T00:00:00Z; now, if not given.
    #[arg(long, value_name = "MOMENT", value_parser = super::at)]
    begins: Option<u64>,
    /// When it ends.
    #[arg(long, value_name = "MOMENT", value_parser = super::at, required_unless_present = "lasts")]
    ends: Option<u64>,
    /// How long it lasts from its beginning on, such as 90s, 30m, 8h, 7d.
    #[arg(long = "for", value_name = "TIME", value_parser = lasts, conflicts_with = "ends")]
    lasts: Option<u64>,
    /// How many requests may use it at each gateway.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_uses: Option<u64>,
    /// Its id, `wrt_` and letters, digits, `-`, `_`; made up, if not given.
    #[arg(long)]
    id: Option<String>,
    /// A file to which what was issued is added, for `warrant list`.
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// A policy directory or a bundle's file: the warrant is given out only if its gateways would believe it.
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// Print JSON: the warrant and its claims.
    #[arg(long)]
    json: bool,
}

/// Reads a number and its unit, into seconds.
fn lasts(text: &str) -> Result<u64, String> {
    let wrong = || "it must be a number and s, m, h or d, such as 8h".to_owned();
    let (number, unit) = text
        .split_at_checked(text.len().saturating_sub(1))
        .ok_or_else(wrong)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        _ => return Err(wrong()),
    };
    let number = number.parse::<u64>().ok().filter(|n| *n > 0);
    number.and_then(|n| n.checked_mul(unit)).ok_or_else(wrong)
}

pub(super) fn run(args: &IssueArgs) -> anyhow::Result<End> {
    let key = key::private(&args.key)?;
    let now = super::now()?;
    let nbf = args.begins.unwrap_or(now);
    let mut operations = args.operation.clone();
    operations.sort_unstable();
    operations.dedup();
    let warrant = Warrant {
        jti: match &args.id {
            Some(id) => id.clone(),
            None => id()?,
        },
        tenant: args.tenant.clone(),
        src: args.from.clone(),
        dst: args.to.clone(),
        operations,
        purpose: args.purpose.clone(),
        iat: now,
        nbf,
        exp: match args.lasts {
            Some(lasts) => nbf.saturating_add(lasts),
            None => args.ends.context("--ends or --for says when it ends")?,
        },
        max_uses: args.max_uses,
        binding: AuthorityBinding {
            authority: args.authority.clone(),
            key: Jwk::of(key.verifying_key()).thumbprint(),
            jurisdiction: args.jurisdiction.clone(),
            case_reference: args.case.clone(),
        },
    };
    ensure!(
        warrant.is_well_formed(),
        "no gateway would take this warrant: it must end after it begins and after now, lead to another \
         region than it comes from, have an id such as wrt_17, and no name may be empty or longer than \
         256 bytes"
    );
    let input = warrant
        .signing_input()
        .context("the warrant can't be written")?;
    let signature: Signature = key.sign(input.as_bytes());
    let text = warrant
        .compact(&signature)
        .context("the warrant can't be written")?;
    if let Some(policies) = &args.policies {
        let registry = Registry::read(&Bundle::open(policies)?.policy.data)?;
        let mut warrants = Warrants::new(registry);
        let refused = warrants.authenticate(text.as_bytes()).and_then(|warrant| {
            // One that begins later is looked at as it will be then.
            warrants.registry().upholds(&warrant, now.max(warrant.nbf))
        });
        if let Err(error) = refused {
            eprintln!("conductor: not issued: {}: {error}", error.code());
            return Ok(End::Failed);
        }
    }
    if let Some(file) = &args.ledger {
        let issued_at = moment(now);
        let claims = warrant.clone();
        ledger::add(file, &ledger::Issued { issued_at, claims })?;
    }
    if args.json {
        let shown = json!({"id": warrant.jti, "warrant": text, "claims": warrant});
        crate::line!("{}", serde_json::to_string_pretty(&shown)?)?;
    } else {
        crate::line!("{text}")?;
    }
    Ok(End::Done)
}

/// A new id: 128 bits from the system's randomness.
fn id() -> anyhow::Result<String> {
    let mut random = [0; 16];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut file| file.read_exact(&mut random))
        .context("there is no randomness")?;
    let digits: String = random.iter().map(|b| format!("{b:02x}")).collect();
    Ok(format!("wrt_{digits}"))
}

#[cfg(test)]
mod tests {
    use super::lasts;

    #[test]
    fn times_have_a_unit() {
        for (text, want) in [
            ("90s", Some(90)),
            ("30m", Some(1800)),
            ("8h", Some(28_800)),
            ("7d", Some(604_800)),
            ("0h", None),
            ("8", None),
            ("h", None),
            ("", None),
            ("-1h", None),
            ("8µ", None),
            ("99999999999999999999d", None),
            ("999999999999999999d", None),
        ] {
            assert_eq!(lasts(text).ok(), want, "{text}");
        }
    }
}
