use std::borrow::Cow;

use serde::{Deserialize, Serialize};

use crate::schema::OperationKind;
use crate::warrant::{Operation, Warrant, WarrantError};

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
///
/// The time is not part of it, so that a decision can be kept under the text of its input: what
/// changes with time (the home of a tenant that moves, whether a warrant holds) is worked out before.
#[derive(Debug, Clone, Serialize)]
pub struct ResidencyInput<'a> {
    /// The caller's tenant.
    pub tenant: &'a str,
    /// Where the tenant's data is at this moment; null if the tenant is in no directory.
    pub home: Option<&'a str>,
    /// The gateway's region.
    pub gateway_region: &'a str,
    /// The region whose data is asked for, if the request names one.
    pub data_region: Option<&'a str>,
    /// The warrant that the request presents, if it is authentic, in force and covers the request;
    /// its regions are for the policy to compare.
    pub warrant: Option<WarrantFacts<'a>>,
    /// Why the warrant that the request presents is none.
    pub warrant_refused: Option<WarrantRefusal>,
}

/// What the policy knows of a verified warrant.
#[derive(Debug, Clone, Serialize)]
pub struct WarrantFacts<'a> {
    /// Its id.
    pub id: &'a str,
    /// The region that data may leave.
    pub src: &'a str,
    /// The region that it may reach.
    pub dst: &'a str,
    /// What may be done.
    pub operations: &'a [Operation],
    /// What for.
    pub purpose: &'a str,
    /// Whose it is.
    pub authority: &'a str,
    /// The jurisdiction in which the authority acts.
    pub jurisdiction: &'a str,
    /// The authority's reference.
    pub case: &'a str,
}

impl<'a> From<&'a Warrant> for WarrantFacts<'a> {
    fn from(warrant: &'a Warrant) -> Self {
        Self {
            id: &warrant.jti,
            src: &warrant.src,
            dst: &warrant.dst,
            operations: &warrant.operations,
            purpose: &warrant.purpose,
            authority: &warrant.binding.authority,
            jurisdiction: &warrant.binding.jurisdiction,
            case: &warrant.binding.case_reference,
        }
    }
}

/// Why a warrant is none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarrantRefusal {
    /// The stable code.
    pub code: Cow<'static, str>,
    /// A sentence.
    pub reason: String,
}

impl From<WarrantError> for WarrantRefusal {
    fn from(error: WarrantError) -> Self {
        Self {
            code: error.code().into(),
            reason: error.to_string(),
        }
    }
}
