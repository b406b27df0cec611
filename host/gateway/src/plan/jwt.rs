//! Who is calling: Envoy's own token check. Its verdict, in dynamic metadata, is all that a filter
//! believes of a caller.

use envoy_types::pb::envoy::config::core::v3::{DataSource, data_source};
use envoy_types::pb::envoy::extensions::filters::http::jwt_authn::v3 as jwt;

use super::route;
use crate::spec::GatewaySpec;

/// The filter's name, and the namespace of its metadata.
pub(super) const NAME: &str = "envoy.filters.http.jwt_authn";

/// Under which the verified claims stand in the filter's metadata.
pub(super) const PAYLOAD: &str = "payload";

const PROVIDER: &str = "issuer";

/// Tokens whose signature need not be checked again.
const CACHED_TOKENS: u32 = 1_000;

pub(super) fn filter(spec: &GatewaySpec) -> jwt::JwtAuthentication {
    let provider = jwt::JwtProvider {
        issuer: spec.jwt.issuer.clone(),
        audiences: spec.jwt.audiences.clone(),
        require_expiration: true,
        forward: spec.jwt.forward,
        from_headers: vec![jwt::JwtHeader {
            name: "authorization".to_owned(),
            value_prefix: "Bearer ".to_owned(),
        }],
        payload_in_metadata: PAYLOAD.to_owned(),
        jwt_cache_config: Some(jwt::JwtCacheConfig {
            jwt_cache_size: CACHED_TOKENS,
            ..Default::default()
        }),
        jwks_source_specifier: Some(jwt::jwt_provider::JwksSourceSpecifier::LocalJwks(
            DataSource {
                specifier: Some(data_source::Specifier::InlineString(spec.jwt.jwks.clone())),
                ..Default::default()
            },
        )),
        ..Default::default()
    };
    // On every path: what a path serves is no business of somebody without a token.
    let rules = vec![jwt::RequirementRule {
        r#match: Some(route::anything()),
        requirement_type: Some(jwt::requirement_rule::RequirementType::Requires(
            jwt::JwtRequirement {
                requires_type: Some(jwt::jwt_requirement::RequiresType::ProviderName(
                    PROVIDER.to_owned(),
                )),
            },
        )),
    }];
    jwt::JwtAuthentication {
        providers: [(PROVIDER.to_owned(), provider)].into(),
        rules,
        ..Default::default()
    }
}
