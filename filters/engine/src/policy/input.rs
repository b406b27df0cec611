use serde::Serialize;

use crate::schema::OperationKind;

/// All that `ig.masking` can know of a request.
#[derive(Debug, Clone, Serialize)]
pub struct MaskingInput<'a> {
    /// The caller's tenant.
    pub tenant: &'a str,
    /// The caller.
    pub subject: &'a str,
    /// The caller's roles, sorted.
    pub roles: &'a [String],
    /// The request's purpose, which the caller's token allows.
    pub purpose: Option<&'a str>,
    /// How the caller authenticated.
    pub acr: Option<&'a str>,
    /// The gateway's region.
    pub region: &'a str,
    /// Query, mutation or subscription; reading or writing on other surfaces.
    pub operation: OperationKind,
    /// What answers.
    pub surface: Surface,
    /// The route's name, where it is no GraphQL.
    pub route: Option<&'a str>,
}

/// What kind of interface answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Surface {
    /// A GraphQL path.
    #[default]
    Graphql,
    /// A route that answers JSON.
    Rest,
    /// A route that answers with many rows at once, to be taken away.
    Export,
}

/// All that `ig.residency` can know of a request.
#[derive(Debug, Clone, Serialize)]
pub struct ResidencyInput<'a> {
    /// The caller's tenant.
    pub tenant: &'a str,
    /// The gateway's region.
    pub gateway_region: &'a str,
    /// The region whose data is asked for, if the request names one.
    pub data_region: Option<&'a str>,
    /// A verified warrant. There are none yet: the door is there, and closed.
    pub warrant: Option<()>,
}
