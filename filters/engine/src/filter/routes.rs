//! Which route a path is.

use crate::config::{ConfigError, RouteConfig};

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
    /// What the request has there.
    pub value: &'a str,
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
            if config.methods.is_empty() {
                return Err(wrong("it serves no method"));
            }
            if config.format != crate::config::Format::Json
                && config.format != crate::config::Format::Auto
                && !(config.at.is_empty() && config.pass.is_empty())
            {
                return Err(wrong("`at` and `pass` speak of a JSON document"));
            }
            let mut pattern = Vec::new();
            let mut open = Vec::new();
            for segment in path.split('/') {
                let any = segment.starts_with('{') && segment.ends_with('}');
                if !any && segment.contains(['{', '}', '?', '#']) {
                    return Err(wrong(
                        "a segment of its path is neither a text nor a `{name}`",
                    ));
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

    /// What a request's path has in the open segments of a route.
    pub(super) fn open<'a>(&'a self, index: usize, path: &'a str) -> Vec<Open<'a>> {
        let names = self.names.get(index).into_iter().flatten();
        let pattern = self.patterns.get(index).into_iter().flatten();
        let before = std::iter::once(None).chain(pattern.clone().map(Option::as_deref));
        let segments = path
            .strip_prefix('/')
            .into_iter()
            .flat_map(|p| p.split('/'));
        let open = pattern
            .zip(segments)
            .zip(before)
            .filter(|((p, _), _)| p.is_none());
        names
            .zip(open)
            .map(|(name, ((_, value), behind))| Open {
                name,
                value,
                behind,
            })
            .collect()
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
    use crate::config::Format;
    use crate::policy::Surface;

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
        let open = routes.open(0, "/acme/by-mail/ada/x/7");
        let open: Vec<_> = open.iter().map(|o| (o.name, o.value, o.behind)).collect();
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
        for routes in [
            vec![route("a", "a")],
            vec![route("a", "/a{b}")],
            vec![route("a", "/a/{x}"), route("b", "/a/{y}")],
            vec![route("a", "/a"), route("a", "/b")],
            vec![csv],
            vec![idle],
        ] {
            assert!(Routes::new(&routes).is_err(), "{routes:?}");
        }
    }
}
