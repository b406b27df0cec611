//! What happens to gateways and policies, as alerts.

use std::collections::BTreeMap;

use alert::run::Alerts;
use alert::{Alert, Severity};

const REFUSED_CONFIGURATION: &str = "GatewayRefusedConfiguration";
const REFUSED_POLICIES: &str = "PoliciesRefused";

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

    /// A gateway refused what it was sent.
    pub fn refused(&self, region: &str, node: &str, error: &str) {
        self.alerts.raise(Alert {
            name: REFUSED_CONFIGURATION.into(),
            severity: Severity::Critical,
            about: of(region),
            summary: format!("a gateway of {region} refused its configuration"),
            description: format!("{node}: {error}"),
            runbook: "/api/xds says who has what and why not; the region stays with its last good \
                      configuration until the policies or filters are corrected"
                .into(),
        });
    }

    /// All gateways of a region have what they were sent.
    pub fn proven(&self, region: &str) {
        self.alerts.resolve(REFUSED_CONFIGURATION, &of(region));
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

    /// The policy directory is in force.
    pub fn policies_accepted(&self) {
        self.alerts.resolve(REFUSED_POLICIES, &BTreeMap::new());
    }
}

fn of(region: &str) -> BTreeMap<String, String> {
    [("region".to_owned(), region.to_owned())].into()
}
