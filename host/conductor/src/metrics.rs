//! The conductor's own figures, in Prometheus' text format (version 0.0.4).

use std::collections::BTreeMap;
use std::fmt::Write as _;

use alert::{Entry, Status};

use crate::api::PolicyState;
use crate::ingest::Seen;
use crate::probe::Summary;

/// What is told.
pub struct Figures<'a> {
    /// The control plane.
    pub xds: &'a xds::Status,
    /// The policies.
    pub policies: &'a PolicyState,
    /// The spans.
    pub spans: traces::Summary,
    /// The alerts.
    pub alerts: &'a [Entry],
    /// The handshakes of each port that asks for certificates: `xds`, and what else there is.
    pub tls: &'a [(&'a str, peer::Figures)],
    /// The residency proofs.
    pub proofs: &'a Summary,
    /// The stored decisions.
    pub decisions: &'a Seen,
}

/// The page.
pub fn page(figures: &Figures<'_>) -> String {
    let mut page = Page::default();
    let groups = figures.xds.groups.iter();
    page.metric(
        "maestro_xds_streams",
        "gauge",
        "Streams that gateways and sidecars hold to this conductor.",
        groups.map(|(group, status)| (label("group", group), status.streams as u64)),
    );
    page.metric(
        "maestro_xds_refused_total",
        "counter",
        "Nodes that were refused: without an identity, with another's, or of no group.",
        [(String::new(), figures.xds.refused)],
    );
    handshakes(&mut page, figures.tls);
    page.metric(
        "maestro_policy_changes_total",
        "counter",
        "Changes of the policy directory.",
        [
            (
                label("outcome", "accepted"),
                figures.policies.accepted_count,
            ),
            (label("outcome", "refused"), figures.policies.refused_count),
        ],
    );
    page.metric(
        "maestro_policies_refused",
        "gauge",
        "1 while what is in the policy directory can't be used.",
        [(String::new(), u64::from(figures.policies.refused.is_some()))],
    );
    page.metric(
        "maestro_spans_total",
        "counter",
        "Spans of gateways.",
        [
            (label("kind", "received"), figures.spans.received),
            (label("kind", "crossing"), figures.spans.crossings),
            (label("kind", "malformed"), figures.spans.malformed),
        ],
    );
    let mut firing: BTreeMap<&str, u64> = BTreeMap::new();
    for entry in figures.alerts {
        *firing.entry(entry.alert.name.as_str()).or_default() +=
            u64::from(entry.status == Status::Firing);
    }
    page.metric(
        "maestro_alerts_firing",
        "gauge",
        "Alerts that are firing.",
        firing
            .iter()
            .map(|(name, n)| (label("alertname", name), *n)),
    );
    let by_verdict = |verdicts: &BTreeMap<String, u64>| {
        let verdicts = verdicts.iter();
        verdicts
            .map(|(verdict, n)| (label("verdict", verdict), *n))
            .collect::<Vec<_>>()
    };
    page.metric(
        "maestro_residency_proofs_total",
        "counter",
        "Residency proofs that were signed.",
        by_verdict(&figures.proofs.issued),
    );
    page.metric(
        "maestro_residency_tenants",
        "gauge",
        "Tenants, by the verdict of their latest residency proof.",
        by_verdict(&figures.proofs.verdicts),
    );
    page.metric(
        "maestro_residency_proofs_late_total",
        "counter",
        "Residency proofs that were signed too late.",
        [(String::new(), figures.proofs.late)],
    );
    page.metric(
        "maestro_residency_periods_missed_total",
        "counter",
        "Periods that ended without residency proofs.",
        [(String::new(), figures.proofs.missed)],
    );
    page.metric(
        "maestro_residency_probes_blocked",
        "gauge",
        "1 while probes can't learn from the policies whom to probe.",
        [(String::new(), u64::from(figures.proofs.trouble.is_some()))],
    );
    if let Some(at) = figures.proofs.issued_at {
        page.metric(
            "maestro_residency_last_proof_timestamp_seconds",
            "gauge",
            "When the latest residency proof was signed.",
            [(
                String::new(),
                u64::try_from(at.as_second()).unwrap_or_default(),
            )],
        );
    }
    decisions(&mut page, figures.decisions);
    page.text
}

fn handshakes(page: &mut Page, ports: &[(&str, peer::Figures)]) {
    let outcomes = |tls: &peer::Figures| {
        [
            ("accepted", tls.accepted),
            ("nameless", tls.nameless),
            ("refused", tls.refused),
            ("timed_out", tls.timed_out),
        ]
    };
    if let Some((_, tls)) = ports.iter().find(|(port, _)| *port == "xds") {
        page.metric(
            "maestro_xds_handshakes_total",
            "counter",
            "TLS handshakes of nodes; `nameless` are those accepted whose certificate names no node.",
            outcomes(tls).map(|(outcome, n)| (label("outcome", outcome), n)),
        );
        page.metric(
            "maestro_xds_certificate_changes_total",
            "counter",
            "Changes of the xDS port's certificate files.",
            [
                (label("outcome", "accepted"), tls.reloaded),
                (label("outcome", "refused"), tls.not_reloaded),
            ],
        );
    }
    if ports.is_empty() {
        return;
    }
    page.metric(
        "maestro_tls_handshakes_total",
        "counter",
        "TLS handshakes, by the port that asks for certificates.",
        ports.iter().flat_map(|(port, tls)| {
            outcomes(tls).map(|(outcome, n)| (labels(&[("port", port), ("outcome", outcome)]), n))
        }),
    );
    page.metric(
        "maestro_tls_connections_ended_total",
        "counter",
        "Connections that were ended because the certificate is good no longer.",
        ports
            .iter()
            .map(|(port, tls)| (label("port", port), tls.ended)),
    );
}

fn decisions(page: &mut Page, seen: &Seen) {
    page.metric(
        "maestro_decisions_refused_total",
        "counter",
        "Times that somebody sent decisions of others, or did not say who it is.",
        [(String::new(), seen.refused.count)],
    );
    type Of = fn(&store::Counters) -> i64;
    let counters: [(&str, &str, Of); 8] = [
        ("lines", "Lines of decision logs that were read.", |c| {
            c.lines
        }),
        ("stored", "Decisions that were stored.", |c| c.stored),
        (
            "duplicates",
            "Decisions that were read again and not stored again.",
            |c| c.duplicates,
        ),
        ("undecided", "Lines that hold no decision.", |c| c.undecided),
        ("malformed", "Lines that could not be read.", |c| {
            c.malformed
        }),
        ("dropped", "Decisions that the mask policy drops.", |c| {
            c.dropped
        }),
        (
            "mask_failures",
            "Decisions on which the mask policy failed.",
            |c| c.mask_failures,
        ),
        (
            "gaps",
            "Places where decisions are missing, or may be.",
            |c| c.gaps,
        ),
    ];
    for (name, help, of) in counters {
        let sources = seen.sources.iter();
        page.metric(
            &format!("maestro_decisions_{name}_total"),
            "counter",
            help,
            sources.map(|c| {
                (
                    label("source", &c.source),
                    of(c).try_into().unwrap_or_default(),
                )
            }),
        );
    }
    page.metric(
        "maestro_decisions_not_stored",
        "gauge",
        "1 for each source whose decisions can't be read or stored now.",
        seen.troubles
            .keys()
            .map(|source| (label("source", source), 1)),
    );
}

#[derive(Default)]
struct Page {
    text: String,
}

impl Page {
    fn metric(
        &mut self,
        name: &str,
        kind: &str,
        help: &str,
        values: impl IntoIterator<Item = (String, u64)>,
    ) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
        for (labels, value) in values {
            let _ = writeln!(self.text, "{name}{labels} {value}");
        }
    }
}

fn label(name: &str, value: &str) -> String {
    labels(&[(name, value)])
}

fn labels(labels: &[(&str, &str)]) -> String {
    let pairs: Vec<String> = labels
        .iter()
        .map(|(name, value)| {
            let value = value
                .replace('\\', "\\\\")
                .replace('"', "\\\"")
                .replace('\n', "\\n");
            format!("{name}=\"{value}\"")
        })
        .collect();
    format!("{{{}}}", pairs.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ingest::Refusals;

    #[test]
    fn each_figure_stands_where_it_belongs() {
        let group = xds::GroupStatus {
            offered: None,
            served: None,
            last_good: None,
            rolled_back: false,
            parked: Vec::new(),
            unproven: Vec::new(),
            streams: 2,
        };
        let idle = xds::GroupStatus {
            streams: 0,
            ..group.clone()
        };
        let xds = xds::Status {
            groups: [("eu".to_owned(), group), ("us".to_owned(), idle)].into(),
            streams: Vec::new(),
            refused: 12,
        };
        let policies = PolicyState {
            revision: None,
            refused: Some("why".into()),
            accepted_count: 3,
            refused_count: 4,
            canary: None,
        };
        let spans = traces::Summary {
            received: 5,
            malformed: 6,
            evicted: 0,
            crossings: 7,
        };
        let mut book = alert::Book::unkept();
        let firing = alert::Alert {
            name: "PoliciesRefused".into(),
            severity: alert::Severity::Warning,
            about: BTreeMap::new(),
            summary: String::new(),
            description: String::new(),
            runbook: String::new(),
        };
        book.raise(firing, jiff::Timestamp::UNIX_EPOCH).unwrap();
        let alerts: Vec<Entry> = book.entries().cloned().collect();
        insta::assert_snapshot!(page(&Figures {
            xds: &xds,
            tls: &[(
                "xds",
                peer::Figures {
                    accepted: 13,
                    nameless: 14,
                    refused: 15,
                    timed_out: 16,
                    reloaded: 17,
                    not_reloaded: 18,
                    ended: 19,
                },
            )],
            policies: &policies,
            spans,
            alerts: &alerts,
            proofs: &Summary {
                issued_at: Some(jiff::Timestamp::UNIX_EPOCH),
                verdicts: [("FAIL".to_owned(), 8)].into(),
                issued: [("PASS".to_owned(), 9)].into(),
                late: 10,
                missed: 11,
                ..Summary::default()
            },
            decisions: &Seen {
                sources: vec![store::Counters {
                    source: "/var/log/access.log".into(),
                    lines: 12,
                    stored: 13,
                    duplicates: 14,
                    malformed: 15,
                    undecided: 16,
                    dropped: 17,
                    mask_failures: 18,
                    gaps: 19,
                }],
                troubles: [("opa:1".to_owned(), "why".to_owned())].into(),
                refused: Refusals {
                    count: 20,
                    ..Refusals::default()
                },
            },
        }));
    }

    #[test]
    fn a_value_does_not_break_out_of_its_label() {
        assert_eq!(label("a", "x\"}\n\\"), r#"{a="x\"}\n\\"}"#);
    }
}
