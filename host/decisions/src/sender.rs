//! Who sends decisions, as far as the connection proved it.

/// The other side of a connection on which decisions come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sender {
    /// Anybody: nobody is asked who it is, and what it says of itself is believed.
    Believed,
    /// The node that its certificate names. Decisions of others are not taken from it.
    Node {
        /// The whole identity, a SPIFFE ID.
        id: String,
        /// The region.
        region: String,
        /// What it is: a node's service cluster.
        role: String,
        /// Its node id.
        node: String,
    },
    /// Somebody who was asked and named no node.
    Nobody {
        /// Why what it showed names none.
        reason: String,
    },
}

impl Sender {
    /// Its name, in what is told of refusals.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Node { id, .. } => id,
            Self::Believed | Self::Nobody { .. } => "unknown",
        }
    }

    /// Whether it may speak for a node: what is said of the node by (what it is called, what it says).
    ///
    /// # Errors
    /// A sentence that says why not.
    pub(crate) fn may_say(&self, said: &[(Field, Option<&str>)]) -> Result<(), String> {
        let (region, role, node) = match self {
            Self::Believed => return Ok(()),
            Self::Nobody { reason } => return Err(reason.clone()),
            Self::Node {
                region, role, node, ..
            } => (region, role, node),
        };
        for (field, said) in said {
            let (proven, name) = match field {
                Field::Node => (node, "node"),
                Field::Role => (role, "cluster"),
                Field::Region => (region, "region"),
            };
            if *said != Some(proven.as_str()) {
                return Err(format!(
                    "{} may not send decisions whose {name} is {}",
                    self.name(),
                    said.map_or("not said".to_owned(), |s| format!("{s:?}"))
                ));
            }
        }
        Ok(())
    }
}

/// What is said of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Field {
    Node,
    Role,
    Region,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_speaks_for_itself_alone() {
        use Field::{Node, Region, Role};
        let node = Sender::Node {
            id: "spiffe://x/region/eu/gateway/g1".into(),
            region: "eu".into(),
            role: "gateway".into(),
            node: "g1".into(),
        };
        let right = [
            (Node, Some("g1")),
            (Role, Some("gateway")),
            (Region, Some("eu")),
        ];
        assert_eq!(node.may_say(&right), Ok(()));
        for (field, said, says) in [
            (Node, Some("g2"), "whose node is \"g2\""),
            (Node, None, "whose node is not said"),
            (Role, Some("sidecar"), "whose cluster is"),
            (Region, Some("us"), "whose region is"),
            (Region, Some(""), "whose region is"),
        ] {
            let error = node.may_say(&[(field, said)]).unwrap_err();
            assert!(
                error.contains(says) && error.starts_with("spiffe://"),
                "{error}"
            );
            assert_eq!(Sender::Believed.may_say(&[(field, said)]), Ok(()));
        }
        let reason = "no certificate".to_owned();
        let nobody = Sender::Nobody { reason };
        assert_eq!(nobody.may_say(&right), Err("no certificate".into()));
    }
}
