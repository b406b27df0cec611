//! What happens to gateways and policies, as alerts.

use std::collections::BTreeMap;

use alert::run::Alerts;
use alert::{Alert, Severity};

const REFUSED_CONFIGURATION: &str = "ConfigurationRefused";
const REFUSED_POLICIES: &str = "PoliciesRefused";
const WITHDRAWN: &str = "ReleaseWithdrawn";
const STANDS: &str = "ReleaseTrainStands";
const NOT_KEPT: &str = "LastGoodNotKept";

/// Raises and ends the conductor's own alerts.
#[derive(Debug, Clone)]
pub struct Alarm {
    alerts: Alerts,
}

impl Alarm {
    /// Into this book.
    pub fn new(alerts: Alerts) -> Self {
        Self { alerts }
    }

    /// Looks which groups of gateways and sidecars refuse what they are sent. What is undecided yet
    /// leaves an alert as it is.
    pub fn look(&self, status: &xds::Status) {
        for (name, group) in &status.groups {
            if let Some((node, error)) = refusal(status, name) {
                self.refused(name, node, error);
            } else if group.offered.is_some() && group.offered == group.last_good {
                self.alerts.resolve(REFUSED_CONFIGURATION, &of(name));
            }
        }
        // A group that is configured no longer refuses nothing.
        for entry in self.alerts.entries() {
            let known = entry.alert.about.get(GROUP);
            if entry.alert.name == REFUSED_CONFIGURATION
                && known.is_none_or(|group| !status.groups.contains_key(group))
            {
                self.alerts
                    .resolve(REFUSED_CONFIGURATION, &entry.alert.about);
            }
        }
    }

    fn refused(&self, group: &str, node: &str, error: &str) {
        self.alerts.raise(Alert {
            name: REFUSED_CONFIGURATION.into(),
            severity: Severity::Critical,
            about: of(group),
            summary: format!("a node of {group} refused its configuration"),
            description: format!("{node}: {error}"),
            runbook: "/api/xds says who has what and why not; the group stays with its last good \
                      configuration until the policies or filters are corrected"
                .into(),
        });
    }

    /// What is in the policy directory can't be used.
    pub fn policies_refused(&self, reason: &str) {
        self.alerts.raise(Alert {
            name: REFUSED_POLICIES.into(),
            severity: Severity::Warning,
            about: BTreeMap::new(),
            summary: "a change of the policies was refused: what was in force stays".into(),
            description: reason.into(),
            runbook: "conductor serve --check-config names the place; undo or correct the change"
                .into(),
        });
    }

    /// A release was taken back.
    pub fn release_withdrawn(&self, release: u64, reasons: &str) {
        self.alerts.raise(Alert {
            name: WITHDRAWN.into(),
            severity: Severity::Warning,
            about: [("release".to_owned(), release.to_string())].into(),
            summary: format!("release {release} was taken back"),
            description: reasons.into(),
            runbook:
                "conductor bundle status RELEASE shows what was seen; what is stable stays in force"
                    .into(),
        });
    }

    /// No release is under way that was taken back: another one is, or was promoted.
    pub fn release_goes_on(&self) {
        for entry in self.alerts.entries() {
            if entry.alert.name == WITHDRAWN {
                self.alerts.resolve(WITHDRAWN, &entry.alert.about);
            }
        }
    }

    /// A release can't be carried on.
    pub fn train_stands(&self, reason: &str) {
        self.alerts.raise(Alert {
            name: STANDS.into(),
            severity: Severity::Warning,
            about: BTreeMap::new(),
            summary: "the release train stands still".into(),
            description: reason.into(),
            runbook: "conductor bundle status shows where; what is in force stays".into(),
        });
    }

    /// Releases are carried on.
    pub fn train_moves(&self) {
        self.alerts.resolve(STANDS, &BTreeMap::new());
    }

    /// What groups accepted can't be written to the state directory.
    pub fn not_kept(&self, reason: &str) {
        tracing::error!("the last good configuration is not kept: {reason}");
        self.alerts.raise(Alert {
            name: NOT_KEPT.into(),
            severity: Severity::Warning,
            about: BTreeMap::new(),
            summary: "what the gateways accepted can't be kept for a restart".into(),
            description: reason.into(),
            runbook: "the state directory has to be writable and have room; it is tried again every few \
                      seconds, and a conductor that starts meanwhile remembers an older configuration"
                .into(),
        });
    }

    /// It can.
    pub fn kept(&self) {
        self.alerts.resolve(NOT_KEPT, &BTreeMap::new());
    }

    /// The policy directory is in force.
    pub fn policies_accepted(&self) {
        self.alerts.resolve(REFUSED_POLICIES, &BTreeMap::new());
    }
}

/// Who refuses what a group is sent, and why: what is parked, or what a stream has refused since it
/// last accepted something of its kind.
fn refusal<'s>(status: &'s xds::Status, group: &str) -> Option<(&'s str, &'s str)> {
    let parked = status.groups.get(group)?.parked.first();
    if let Some(parked) = parked {
        return Some((&parked.node, &parked.error));
    }
    let streams = status.streams.iter().filter(|s| s.group == group);
    streams
        .flat_map(|stream| stream.types.values().map(move |of| (stream, of)))
        .find_map(|(stream, of)| {
            let nack = of.last_nack.as_ref()?;
            let accepted_since = of.acked.as_ref().is_some_and(|a| a.unix_ms >= nack.unix_ms);
            (!accepted_since).then_some((stream.node.as_str(), nack.error.as_str()))
        })
}

/// The label that names a group.
const GROUP: &str = "group";

fn of(group: &str) -> BTreeMap<String, String> {
    [(GROUP.to_owned(), group.to_owned())].into()
}

#[cfg(test)]
mod tests {
    use alert::{Book, Status};

    use super::*;

    fn snapshot(version: &str) -> Option<xds::SnapshotStatus> {
        Some(xds::SnapshotStatus {
            version: version.into(),
            label: version.into(),
        })
    }

    fn group(offered: &str, good: &str, parked: bool) -> xds::GroupStatus {
        let refusal = xds::ParkedStatus {
            type_url: "t".into(),
            resources: BTreeMap::new(),
            error: "no such filter".into(),
            node: "gateway-eu".into(),
            since_unix_ms: 1,
        };
        xds::GroupStatus {
            offered: snapshot(offered),
            served: snapshot(good),
            last_good: snapshot(good),
            rolled_back: parked,
            parked: if parked { vec![refusal] } else { Vec::new() },
            unproven: Vec::new(),
            streams: 1,
        }
    }

    fn stream(acked: u64, nacked: u64) -> xds::StreamStatus {
        let of = xds::TypeStatus {
            subscribed: None,
            acked: Some(xds::VersionAt {
                version: "1".into(),
                unix_ms: acked,
            }),
            pending: None,
            last_nack: Some(xds::NackStatus {
                version: "2".into(),
                resources: Vec::new(),
                error: "no".into(),
                unix_ms: nacked,
            }),
            refused: nacked > acked,
        };
        xds::StreamStatus {
            node: "gateway-eu".into(),
            cluster: "gateway".into(),
            group: "eu".into(),
            variant: "delta",
            peer: None,
            identity: None,
            connected_unix_ms: 0,
            settled: true,
            has: None,
            types: [("t".to_owned(), of)].into(),
        }
    }

    #[test]
    fn a_refusal_is_an_alert_until_the_group_has_what_it_was_offered() {
        let alerts = Alerts::new(Book::unkept());
        let alarm = Alarm::new(alerts.clone());
        let firing = || {
            let entries = alerts.entries();
            entries
                .iter()
                .filter(|e| e.status == Status::Firing)
                .count()
        };
        let eu = |group: xds::GroupStatus, streams: &[xds::StreamStatus]| xds::Status {
            groups: [("eu".to_owned(), group)].into(),
            streams: streams.to_vec(),
            refused: 0,
        };
        for (what, status, want) in [
            ("all is well", eu(group("1", "1", false), &[]), 0),
            ("parked", eu(group("2", "1", true), &[]), 1),
            (
                "still, though the last good one is proven",
                eu(group("1", "1", true), &[]),
                1,
            ),
            (
                "another is offered, nobody has said a word",
                eu(group("3", "1", false), &[]),
                1,
            ),
            ("they have it", eu(group("3", "3", false), &[]), 0),
            (
                "refused without being parked",
                eu(group("3", "3", false), &[stream(5, 6)]),
                1,
            ),
            (
                "and accepted since",
                eu(group("3", "3", false), &[stream(7, 6)]),
                0,
            ),
            ("parked again", eu(group("4", "3", true), &[]), 1),
            (
                "the group is gone",
                xds::Status {
                    groups: BTreeMap::new(),
                    streams: Vec::new(),
                    refused: 0,
                },
                0,
            ),
        ] {
            alarm.look(&status);
            assert_eq!(firing(), want, "{what}");
        }
    }
}
