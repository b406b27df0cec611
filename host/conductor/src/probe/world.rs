//! The real world of probes: gateways, agents, and what the conductor knows of both.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use agent::{Outcome as Told, OutcomeKind};
use anyhow::Context;
use engine::context::{ContextKeys, ContextToken};
use probe::observe::{Decision, Evidence, InForce, Outcome, StoreSeen, Through};
use probe::run::{Ask, Sent, World};
use serde_json::{Value, json};

use super::log::Log;
use super::token::Tokens;
use crate::client;
use crate::config::Config;
use crate::fleet::CONTEXT_KEYS_ENV;
use crate::serve::groups;

/// Between two looks for what a request left behind.
const LOOK: Duration = Duration::from_millis(100);

/// Everything that probes talk to.
#[derive(Debug)]
pub struct Fleet {
    regions: BTreeMap<String, Region>,
    /// The conductor's HTTP port.
    conductor: SocketAddr,
    tokens: Tokens,
    random: Mutex<File>,
}

#[derive(Debug)]
struct Region {
    gateway: SocketAddr,
    /// The agent's port for the prober.
    agent: SocketAddr,
    /// What the region's gateways sign context tokens with.
    keys: Option<ContextKeys>,
    log: Mutex<Log>,
}

impl Fleet {
    /// As the configuration names it. Keys of context tokens come from the environment, as for
    /// gateways, a region's own from a variable that ends with its name (`IG_CONTEXT_KEYS_EU`): with
    /// them other regions' services are played who hold a tenant's genuine token.
    ///
    /// # Errors
    /// A key can't be used.
    pub fn of(config: &Config, conductor: SocketAddr) -> anyhow::Result<Self> {
        Self::with_keys(config, conductor, |region| {
            let own = format!("{CONTEXT_KEYS_ENV}_{}", variable(region));
            let all = || std::env::var(CONTEXT_KEYS_ENV).ok();
            let keys = std::env::var(&own).ok().or_else(all);
            if keys.is_none() {
                tracing::warn!(
                    "neither {own} nor {CONTEXT_KEYS_ENV} is set: no genuine token is tried at the guards \
                     of `{region}`, and nothing is proven"
                );
            }
            keys
        })
    }

    /// The same, with these keys of the regions' context tokens.
    ///
    /// # Errors
    /// A key can't be used.
    pub fn with_keys(
        config: &Config,
        conductor: SocketAddr,
        keys: impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        let settings = config.probe.as_ref().context("there is no [probe]")?;
        let mut regions = BTreeMap::new();
        for agent in &config.agents {
            let gateway = config.gateways.iter().find(|g| g.region == agent.region);
            let Some(gateway) = gateway else { continue };
            let keys = match keys(&agent.region) {
                Some(text) => Some(
                    ContextKeys::parse(&text, &agent.region)
                        .with_context(|| format!("can't use {CONTEXT_KEYS_ENV}"))?,
                ),
                None => None,
            };
            let region = Region {
                gateway: agent.gateway.unwrap_or(gateway.listen),
                agent: agent.control,
                keys,
                log: Mutex::new(Log::from_now_on(&gateway.access_log)),
            };
            regions.insert(agent.region.clone(), region);
        }
        Ok(Self {
            regions,
            conductor,
            tokens: Tokens::read(
                &settings.token_key,
                &settings.token_kid,
                &settings.role,
                &config.jwt,
            )?,
            random: Mutex::new(
                File::open("/dev/urandom").context("there is no source of randomness")?,
            ),
        })
    }

    /// So many digits that nobody can guess; fewer if there is no randomness, which gateways and agents
    /// then refuse.
    fn digits(&self, bytes: usize) -> String {
        let mut random = vec![0; bytes];
        let mut file = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        match file.read_exact(&mut random) {
            Ok(()) => random.iter().map(|b| format!("{b:02x}")).collect(),
            Err(error) => {
                tracing::error!("there is no randomness: {error}");
                String::new()
            }
        }
    }

    async fn api(&self, path: &str) -> Value {
        match client::send(self.conductor, "GET", path, &[], String::new()).await {
            Ok(answer) => answer.json(),
            Err(error) => {
                tracing::debug!("asking the conductor: {error:#}");
                Value::Null
            }
        }
    }

    /// What the agent of a region remembers of a run.
    async fn told(region: &Region, run: &str) -> StoreSeen {
        let path = format!("/results/{run}");
        let answer = match client::send(region.agent, "GET", &path, &[], String::new()).await {
            Ok(answer) => answer,
            Err(error) => return unseen(format!("no word of the agent: {error:#}")),
        };
        let told: Result<Vec<Told>, _> = serde_json::from_str(&answer.body);
        match told.ok().and_then(|told| told.into_iter().next()) {
            Some(told) => seen(told),
            None => unseen("the region's agent knows nothing of it".into()),
        }
    }

    /// The regions of a request's span, if it has arrived.
    async fn span(&self, region: &str, trace: &str) -> Option<(String, String)> {
        regions_of(region, &self.api(&format!("/api/traces/{trace}")).await)
    }

    fn decision(&self, region: &str, trace: &str) -> Option<Decision> {
        let log = &self.regions.get(region)?.log;
        log.lock()
            .unwrap_or_else(PoisonError::into_inner)
            .decision(trace)
    }
}

impl Fleet {
    /// A tenant's context token as a region's gateway signs it, if that region's keys are known.
    fn token(&self, region: &str, ask: Ask<'_>) -> Option<String> {
        let keys = self.regions.get(region)?.keys.as_ref()?;
        let now = u64::try_from(jiff::Timestamp::now().as_second()).unwrap_or_default();
        let token = ContextToken {
            jti: format!("dec_{}", self.digits(16)),
            tenant: ask.tenant.name.clone(),
            home: ask.tenant.home.clone(),
            region: region.to_owned(),
            iat: now,
            exp: now.saturating_add(engine::context::LIFETIME_S),
            warrant: None,
        };
        token.sign(keys)
    }

    /// Lets a region's agent try what is asked, with this token.
    async fn attempt_with(&self, region: &str, ask: Ask<'_>, token: Option<String>) -> StoreSeen {
        let Some(there) = self.regions.get(region) else {
            return unseen("there is no such region".into());
        };
        let body = json!({
            "store": ask.store.name, "op": ask.operation.name(), "nonce": ask.nonce,
            "context": token, "tenant": ask.tenant.name,
        });
        let headers = [("content-type", "application/json")];
        let answer =
            client::send(there.agent, "POST", "/attempt", &headers, body.to_string()).await;
        match answer {
            Ok(answer) => match serde_json::from_str::<Told>(&answer.body) {
                Ok(told) => seen(told),
                Err(_) => unseen(format!("the agent answered {}", answer.status)),
            },
            Err(error) => unseen(format!("no word of the agent: {error:#}")),
        }
    }
}

impl World for Fleet {
    async fn through(&self, region: &str, ask: Ask<'_>) -> Sent {
        let (trace, run) = (self.digits(16), self.digits(16));
        let sent = |through| Sent {
            through,
            trace: trace.clone(),
        };
        let Some(there) = self.regions.get(region) else {
            return sent(Through::Failed("there is no such region".into()));
        };
        let announced = format!("/expect/{run}");
        if let Err(error) = client::send(there.agent, "POST", &announced, &[], String::new()).await
        {
            return sent(Through::Failed(format!("no word of the agent: {error:#}")));
        }
        let now = jiff::Timestamp::now().as_second();
        let token = self.tokens.token(&ask.tenant.name, &run, now);
        let path = format!(
            "{}?run={run}&store={}&op={}&nonce={}",
            gateway::PROBE_PATH,
            ask.store.name,
            ask.operation.name(),
            ask.nonce
        );
        let headers = [
            ("authorization", format!("Bearer {token}")),
            ("traceparent", format!("00-{trace}-{}-01", self.digits(8))),
        ];
        let headers = headers
            .each_ref()
            .map(|(name, value)| (*name, value.as_str()));
        match client::send(there.gateway, "POST", &path, &headers, String::new()).await {
            // Whatever the agent says of it: the gateway has let it pass.
            Ok(answer) if answer.status == 204 => {
                sent(Through::Passed(Self::told(there, &run).await))
            }
            Ok(answer) => sent(Through::Refused(answer.status)),
            Err(error) => sent(Through::Failed(format!("{error:#}"))),
        }
    }

    async fn attempt(&self, region: &str, ask: Ask<'_>) -> StoreSeen {
        let home = &ask.tenant.home;
        if region == home {
            // A service without a token, and one with what another region's gateway has signed.
            let mut others = self.regions.keys().filter(|r| *r != home);
            let foreign = others.find_map(|other| self.token(other, ask));
            let mut seen = self.attempt_with(region, ask, None).await;
            if matches!(seen.outcome, Outcome::Refused(_)) && foreign.is_some() {
                seen = self.attempt_with(region, ask, foreign).await;
            }
            return seen;
        }
        // A service that was sent to the wrong region with what the home's gateway had signed, and one
        // whose own region's gateway let the tenant in: there it is for the guard's policy to say no.
        let genuine = self.attempt_with(region, ask, self.token(home, ask)).await;
        if !matches!(genuine.outcome, Outcome::Refused(_)) {
            return genuine;
        }
        let Some(token) = self.token(region, ask) else {
            return unseen(
                "it was refused, but without the region's keys no token was tried".into(),
            );
        };
        let own = self.attempt_with(region, ask, Some(token)).await;
        match &own.outcome {
            Outcome::Refused(code) if code.starts_with("CONTEXT_") => unseen(format!(
                "it does not take the prober's token ({code}): has the prober the region's keys?"
            )),
            _ => own,
        }
    }

    async fn evidence(&self, region: &str, trace: &str, within: Duration) -> Evidence {
        let deadline = Instant::now() + within;
        let mut evidence = Evidence::default();
        loop {
            if evidence.span.is_none() {
                evidence.span = self.span(region, trace).await;
            }
            if evidence.decision.is_none() {
                evidence.decision = self.decision(region, trace);
            }
            let all = evidence.span.is_some() && evidence.decision.is_some();
            if all || Instant::now() >= deadline {
                return evidence;
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn until_served(&self, revision: &str, within: Duration) {
        let deadline = Instant::now() + within;
        while self.api("/api/policies").await["revision"] != revision && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
    }

    async fn in_force(&self, region: &str) -> Vec<InForce> {
        let policies = self.api("/api/policies").await;
        let filters = self.api("/api/filters").await;
        let xds = self.api("/api/xds").await;
        in_force(region, &policies, &filters, &xds)
    }

    fn nonce(&self) -> String {
        self.digits(16)
    }
}

/// What is in force in a region, by the conductor's word: for everybody, and where some of the region's gateways
/// have a release before the others, for those.
fn in_force(region: &str, policies: &Value, filters: &Value, xds: &Value) -> Vec<InForce> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut groups: Vec<&str> = vec![region];
    let streams = || xds["streams"].as_array().into_iter().flatten();
    for stream in streams().filter(|stream| stream["cluster"] == "gateway") {
        let group = stream["group"].as_str().unwrap_or_default();
        if groups::region_of(group) == region && !groups.contains(&group) {
            groups.push(group);
        }
    }
    let of = |group: &str| {
        let early = groups::is_early(group);
        let (policies, filters) = match early {
            true => (&policies["canary"], &policies["canary"]["filters"]),
            false => (policies, filters),
        };
        let filters: HashMap<String, String> =
            serde_json::from_value(filters.clone()).unwrap_or_default();
        let status = &xds["groups"][group];
        let (served, good) = (
            &status["served"]["version"],
            &status["last_good"]["version"],
        );
        let node = streams().find(|stream| stream["group"] == group);
        InForce {
            revision: text(&policies["revision"]),
            filters: filters.into_iter().collect(),
            // What is served and what all have accepted; while that differs there is no such thing.
            xds_version: if served == good {
                text(good)
            } else {
                String::new()
            },
            node: node.map(|stream| text(&stream["node"])).unwrap_or_default(),
        }
    };
    groups.into_iter().map(of).collect()
}

/// The regions of a trace's spans, which have both: those of one that tells of another region than this
/// one, if there is any.
fn regions_of(region: &str, spans: &Value) -> Option<(String, String)> {
    let pairs = spans.as_array()?.iter().filter_map(|span| {
        let text = |key: &str| span[key].as_str().map(str::to_owned);
        Some((text("region_src")?, text("region_dst")?))
    });
    let pairs: Vec<_> = pairs.collect();
    let strange = pairs
        .iter()
        .find(|(src, dst)| src != region || dst != region);
    strange.or(pairs.first()).cloned()
}

/// A region's name as it stands in a variable's.
fn variable(region: &str) -> String {
    let plain = |c: char| match c.is_ascii_alphanumeric() {
        true => c.to_ascii_uppercase(),
        false => '_',
    };
    region.chars().map(plain).collect()
}

/// What nobody can tell, and why.
fn unseen(why: String) -> StoreSeen {
    StoreSeen {
        outcome: Outcome::Failed(why),
        identity: String::new(),
        region: None,
    }
}

fn seen(told: Told) -> StoreSeen {
    let reason = told.reason.unwrap_or_default();
    StoreSeen {
        outcome: match told.result {
            OutcomeKind::Done => Outcome::Done,
            OutcomeKind::Found => Outcome::Found,
            OutcomeKind::Foreign => Outcome::Foreign,
            OutcomeKind::Absent => Outcome::Absent,
            // Without a code it is the store's own word: the guard let it through.
            OutcomeKind::Refused => match told.code {
                Some(code) => Outcome::Refused(code),
                None => Outcome::Reached(reason),
            },
            OutcomeKind::Failed => Outcome::Failed(reason),
        },
        identity: told.identity.unwrap_or_default(),
        region: told.region,
    }
}

#[cfg(test)]
mod tests;
