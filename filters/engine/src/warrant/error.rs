/// Why a warrant does not hold. It never repeats the warrant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WarrantError {
    /// Not a compact JWS with the header and the claims of a warrant.
    #[error("the warrant is malformed")]
    Malformed,
    /// No registered authority has the key that it names.
    #[error("the warrant is signed with a key of no registered authority")]
    KeyUnknown,
    /// The key did not make the signature.
    #[error("the warrant's signature is not its authority's")]
    Forged,
    /// The binding names another authority, key or jurisdiction than the one that signed.
    #[error("the warrant's authority binding does not match the registered authority")]
    Binding,
    /// It was revoked.
    #[error("the warrant was revoked")]
    Revoked,
    /// Its time has not come.
    #[error("the warrant is not valid yet")]
    Early,
    /// Its time is over.
    #[error("the warrant has expired")]
    Expired,
    /// The authority has no say in one of the regions.
    #[error("the authority's jurisdiction does not cover both regions of the warrant")]
    Jurisdiction,
    /// It speaks of another tenant's data.
    #[error("the warrant is for the data of another tenant")]
    Tenant,
    /// It does not cover what the request does.
    #[error("the warrant does not cover this operation")]
    Operation,
    /// It was given for another purpose than the request's.
    #[error("the warrant does not cover this purpose")]
    Purpose,
    /// It opens another border.
    #[error("the warrant is for other regions")]
    Regions,
    /// It was used as often as it may be.
    #[error("the warrant was used as often as it may be")]
    UsedUp,
}

impl WarrantError {
    /// All of them.
    pub const ALL: [Self; 13] = [
        Self::Malformed,
        Self::KeyUnknown,
        Self::Forged,
        Self::Binding,
        Self::Revoked,
        Self::Early,
        Self::Expired,
        Self::Jurisdiction,
        Self::Tenant,
        Self::Operation,
        Self::Purpose,
        Self::Regions,
        Self::UsedUp,
    ];

    /// The stable code.
    pub fn code(self) -> &'static str {
        match self {
            Self::Malformed => "WARRANT_MALFORMED",
            Self::KeyUnknown => "WARRANT_KEY_UNKNOWN",
            Self::Forged => "WARRANT_FORGED",
            Self::Binding => "WARRANT_BINDING",
            Self::Revoked => "WARRANT_REVOKED",
            Self::Early => "WARRANT_EARLY",
            Self::Expired => "WARRANT_EXPIRED",
            Self::Jurisdiction => "WARRANT_JURISDICTION",
            Self::Tenant => "WARRANT_TENANT",
            Self::Operation => "WARRANT_OPERATION",
            Self::Purpose => "WARRANT_PURPOSE",
            Self::Regions => "WARRANT_REGIONS",
            Self::UsedUp => "WARRANT_USED_UP",
        }
    }
}
