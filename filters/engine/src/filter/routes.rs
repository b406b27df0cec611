//! Which route a path is.

use crate::config::{ConfigError, Format, RouteConfig};
use crate::policy::Surface;

use super::is_token_byte;

/// The paths of all routes.
#[derive(Debug, Default)]
pub(super) struct Routes {
    /// By route: its segments, `None` for any.
    patterns: Vec<Vec<Option<Box<str>>>>,
    /// By route: the names of those that are any.
    names: Vec<Vec<Box<str>>>,
}

/// A segment of a path that a route leaves open.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Open<'a> {
    /// The route's name for it.
    pub name: &'a str,
    /// The fixed segment before it.
    pub behind: Option<&'a str>,
}

impl Routes {
    pub(super) fn new(configs: &[RouteConfig]) -> Result<Self, ConfigError> {
        let mut routes = Self::default();
        for config in configs {
            let wrong = |problem: &str| ConfigError::Route {
                route: config.name.clone(),
                problem: problem.to_owned(),
            };
            // A decision knows its route by the name.
            if configs.iter().filter(|c| c.name == config.name).count() > 1 {
                return Err(wrong("another route has the same name"));
            }
            let Some(path) = config.path.strip_prefix('/') else {
                return Err(wrong("its path must start with `/`"));
            };
            if config.surface == Surface::Graphql {
                return Err(wrong(
                    "`surface` is for what is no GraphQL: write \"rest\" or \"export\"",
                ));
            }
            if config.methods.is_empty() {
                return Err(wrong("it serves no method"));
            }
            if let Some(method) = config.methods.iter().find(|m| !is_method(m)) {
                return Err(wrong(&format!(
                    "no request has the method `{method}`: write it in capitals, such as \"GET\""
                )));
            }
            let document = matches!(config.format, Format::Json | Format::Auto);
            let names_members = !config.at.is_empty() || !config.pass.is_empty();
            if names_members && !document {
                return Err(wrong("`at` and `pass` speak of a JSON document"));
            }
            let mut pattern = Vec::new();
            let mut open = Vec::new();
            let last = path.split('/').count().saturating_sub(1);
            for (at, segment) in path.split('/').enumerate() {
                let any = segment.starts_with('{') && segment.ends_with('}');
                if !any && segment.contains(['{', '}', '?', '#']) {
                    return Err(wrong(
                        "a segment of its path is neither a text nor a `{name}`",
                    ));
                }
                if !any && !can_come(segment, at == last) {
                    return Err(wrong(&format!(
                        "no path has the segment `{segment}` once the gateway has cleaned it up: \
                         write the path as the upstream gets it, without `.`, `..`, `//` and \
                         needless escapes"
                    )));
                }
                if any {
                    open.push(segment.trim_matches(['{', '}']).into());
                }
                pattern.push((!any).then(|| segment.into()));
            }
            if routes.patterns.contains(&pattern) {
                return Err(wrong("another route has the same path"));
            }
            routes.patterns.push(pattern);
            routes.names.push(open);
        }
        Ok(routes)
    }

    /// The open segments of a route.
    pub(super) fn open(&self, index: usize) -> impl Iterator<Item = Open<'_>> {
        let names = self.names.get(index).into_iter().flatten();
        let pattern = self.patterns.get(index).into_iter().flatten();
        let before = std::iter::once(None).chain(pattern.clone().map(Option::as_deref));
        let open = pattern.zip(before).filter(|(p, _)| p.is_none());
        names
            .zip(open)
            .map(|(name, (_, behind))| Open { name, behind })
    }

    /// What a request's path has in them.
    pub(super) fn values<'a>(
        &'a self,
        index: usize,
        path: &'a str,
    ) -> impl Iterator<Item = &'a str> {
        let pattern = self.patterns.get(index).into_iter().flatten();
        let segments = path
            .strip_prefix('/')
            .into_iter()
            .flat_map(|p| p.split('/'));
        let open = pattern.zip(segments).filter(|(p, _)| p.is_none());
        open.map(|(_, value)| value)
    }

    /// The route of a path; the one with more fixed segments where several fit.
    pub(super) fn find(&self, path: &str) -> Option<usize> {
        let segments: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let fits = |pattern: &[Option<Box<str>>]| {
            pattern.len() == segments.len()
                && pattern.iter().zip(&segments).all(|(p, s)| match p {
                    Some(text) => **text == **s,
                    None => is_plain(s),
                })
        };
        let found = self.patterns.iter().enumerate().filter(|(_, p)| fits(p));
        found
            .max_by_key(|(_, p)| p.iter().filter(|s| s.is_some()).count())
            .map(|(index, _)| index)
    }
}

/// A method's name as requests have it: those in small letters are other methods, which none has.
fn is_method(method: &str) -> bool {
    let legal = |b: u8| is_token_byte(b) && !b.is_ascii_lowercase();
    !method.is_empty() && method.bytes().all(legal)
}

/// Whether a path can have the segment when it comes here: the gateway decodes what need not be
/// escaped, takes steps up and empty segments away, and refuses what is no URL (RFC 3986 §3.3).
fn can_come(segment: &str, last: bool) -> bool {
    if segment.is_empty() {
        return last;
    }
    let mut rest = segment.as_bytes();
    loop {
        rest = match rest {
            [] => return segment != "." && segment != "..",
            [b'%', high, low, rest @ ..] => {
                let digit = |b: &u8| char::from(*b).to_digit(16);
                let escaped = match (digit(high), digit(low)) {
                    (Some(high), Some(low)) => u8::try_from(high * 16 + low).unwrap_or_default(),
                    _ => return false,
                };
                let plain = escaped.is_ascii_alphanumeric() || b"-._~".contains(&escaped);
                if plain || matches!(escaped, 0 | b'/' | b'\\') {
                    return false;
                }
                rest
            }
            [b, rest @ ..] if b.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@".contains(b) => rest,
            _ => return false,
        };
    }
}

/// Whether a segment is one for every server: no escaped slash, no step up.
fn is_plain(segment: &str) -> bool {
    let lower = segment.to_ascii_lowercase();
    let odd = ["%2f", "%5c", "%2e", "%00", "\\", ";"];
    !segment.is_empty()
        && segment != "."
        && segment != ".."
        && !odd.iter().any(|o| lower.contains(o))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(name: &str, path: &str) -> RouteConfig {
        RouteConfig {
            name: name.into(),
            path: path.into(),
            methods: vec!["GET".into()],
            surface: Surface::Rest,
            format: Format::Auto,
            of: "Person".into(),
            at: String::new(),
            pass: Vec::new(),
            columns: Default::default(),
            compared: Default::default(),
        }
    }

    #[test]
    fn the_most_exact_route_is_meant() {
        let routes = Routes::new(&[
            route("one", "/v1/people/{id}"),
            route("me", "/v1/people/me"),
            route("all", "/v1/people"),
        ])
        .unwrap();
        for (path, want) in [
            ("/v1/people/7", Some(0)),
            ("/v1/people/me", Some(1)),
            ("/v1/people", Some(2)),
            ("/v1/people/", None),
            ("/v1/people/7/x", None),
            ("/v1/people/..", None),
            ("/v1/people/%2e%2e", None),
            ("/v1/people/7%2F8", None),
            ("v1/people", None),
            ("", None),
        ] {
            assert_eq!(routes.find(path), want, "{path}");
        }
        let routes = Routes::new(&[route("a", "/{tenant}/by-mail/{mail}/x/{id}")]).unwrap();
        let values = routes.values(0, "/acme/by-mail/ada/x/7");
        let open = routes.open(0).zip(values);
        let open: Vec<_> = open.map(|(o, value)| (o.name, value, o.behind)).collect();
        assert_eq!(
            open,
            [
                ("tenant", "acme", None),
                ("mail", "ada", Some("by-mail")),
                ("id", "7", Some("x"))
            ]
        );
    }

    #[test]
    fn routes_that_contradict_themselves_are_refused() {
        let csv = RouteConfig {
            format: Format::Csv,
            at: "items".into(),
            ..route("a", "/a")
        };
        let idle = RouteConfig {
            methods: Vec::new(),
            ..route("a", "/a")
        };
        let with_method = |method: &str| RouteConfig {
            methods: vec!["GET".into(), method.into()],
            ..route("a", "/a")
        };
        let graphql = RouteConfig {
            surface: Surface::Graphql,
            ..route("a", "/a")
        };
        for (routes, want) in [
            (vec![route("a", "a")], "start with `/`"),
            (vec![route("a", "/a{b}")], "neither a text"),
            (
                vec![route("a", "/a/{x}"), route("b", "/a/{y}")],
                "another route",
            ),
            (vec![route("a", "/a"), route("a", "/b")], "name"),
            (vec![csv], "a JSON document"),
            (vec![idle], "no method"),
            (vec![with_method("get")], "the method `get`"),
            (vec![with_method("")], "the method ``"),
            (vec![with_method("GE T")], "the method `GE T`"),
            (vec![graphql], "write \"rest\""),
            (vec![route("a", "/A/../b")], "the segment `..`"),
            (vec![route("a", "/a/.")], "the segment `.`"),
            (vec![route("a", "/a//b")], "the segment ``"),
            (vec![route("a", "//a")], "the segment ``"),
            (vec![route("a", "/a/%2e%2e/b")], "the segment `%2e%2e`"),
            (vec![route("a", "/%41")], "the segment `%41`"),
            (vec![route("a", "/a%2Fb")], "the segment `a%2Fb`"),
            (vec![route("a", "/%zz")], "the segment `%zz`"),
            (vec![route("a", "/a b")], "the segment `a b`"),
            (vec![route("a", "/a\\b")], "the segment `a\\b`"),
            (vec![route("a", "/\u{e9}")], "the segment `\u{e9}`"),
        ] {
            let error = Routes::new(&routes).expect_err(want).to_string();
            assert!(
                error.starts_with("route `") && error.contains(want),
                "{error}"
            );
        }
        for path in [
            "/",
            "/a/",
            "/A/b.C",
            "/a/{x}/b",
            "/a%20b",
            "/a:b;c=1",
            "/.well-known/x",
        ] {
            assert!(Routes::new(&[route("a", path)]).is_ok(), "{path}");
        }
    }
}
