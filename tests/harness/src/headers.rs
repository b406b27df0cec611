//! An ordered header map with lower-case names, as Envoy holds it.

use std::fmt;

/// Headers, trailers or metadata: pairs in order, names in lower case, values as bytes.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(String, Vec<u8>)>);

impl Headers {
    /// No headers.
    pub fn new() -> Self {
        Self::default()
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no pair.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sum of the lengths of names and values, in bytes.
    pub fn byte_size(&self) -> usize {
        self.0
            .iter()
            .map(|(name, value)| name.len() + value.len())
            .sum()
    }

    /// The first value of a name, as text; bytes that are no UTF-8 are replaced.
    pub fn get(&self, name: &str) -> Option<String> {
        self.get_bytes(name)
            .map(|value| String::from_utf8_lossy(value).into_owned())
    }

    /// The first value of a name.
    pub fn get_bytes(&self, name: &str) -> Option<&[u8]> {
        let name = name.to_ascii_lowercase();
        self.0
            .iter()
            .find(|(own, _)| *own == name)
            .map(|(_, value)| value.as_slice())
    }

    /// Every value of a name, in order.
    pub fn get_all(&self, name: &str) -> Vec<String> {
        let name = name.to_ascii_lowercase();
        let own = self.0.iter().filter(|(own, _)| *own == name);
        own.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
            .collect()
    }

    /// Adds a pair at the end; an existing one of the same name stays.
    pub fn add(&mut self, name: impl AsRef<str>, value: impl AsRef<[u8]>) {
        self.0
            .push((name.as_ref().to_ascii_lowercase(), value.as_ref().to_vec()));
    }

    /// Gives a name exactly one value, in the place of its first pair.
    pub fn set(&mut self, name: impl AsRef<str>, value: impl AsRef<[u8]>) {
        let name = name.as_ref().to_ascii_lowercase();
        match self.0.iter().position(|(own, _)| *own == name) {
            None => self.0.push((name, value.as_ref().to_vec())),
            Some(at) => {
                let mut index = 0;
                self.0.retain(|(own, _)| {
                    index += 1;
                    *own != name || index - 1 == at
                });
                self.0[at].1 = value.as_ref().to_vec();
            }
        }
    }

    /// Removes every pair of a name.
    pub fn remove(&mut self, name: &str) {
        let name = name.to_ascii_lowercase();
        self.0.retain(|(own, _)| *own != name);
    }

    /// Pairs in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_slice()))
    }

    pub(crate) fn pairs(&self) -> &[(String, Vec<u8>)] {
        &self.0
    }

    pub(crate) fn from_pairs(pairs: Vec<(Vec<u8>, Vec<u8>)>) -> Self {
        let mut headers = Headers::new();
        for (name, value) in pairs {
            headers.add(String::from_utf8_lossy(&name), value);
        }
        headers
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(pairs: I) -> Self {
        let mut headers = Headers::new();
        for (name, value) in pairs {
            headers.add(name, value);
        }
        headers
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>, const L: usize> From<[(N, V); L]> for Headers {
    fn from(pairs: [(N, V); L]) -> Self {
        pairs.into_iter().collect()
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>> From<&[(N, V)]> for Headers {
    fn from(pairs: &[(N, V)]) -> Self {
        pairs.iter().map(|(name, value)| (name, value)).collect()
    }
}

impl<N: AsRef<str>, V: AsRef<[u8]>, const L: usize> From<&[(N, V); L]> for Headers {
    fn from(pairs: &[(N, V); L]) -> Self {
        Self::from(pairs.as_slice())
    }
}

impl From<&Headers> for Headers {
    fn from(headers: &Headers) -> Self {
        headers.clone()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self
            .0
            .iter()
            .map(|(name, value)| (name, String::from_utf8_lossy(value)));
        f.debug_list().entries(text).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_replaces_every_pair_of_a_name_in_place() {
        let mut headers = Headers::from([("A", "1"), ("b", "2"), ("a", "3"), ("c", "4")]);
        headers.set("a", "9");
        assert_eq!(headers, Headers::from([("a", "9"), ("b", "2"), ("c", "4")]));
        headers.set("d", "5");
        assert_eq!(headers.get("D").as_deref(), Some("5"));
        headers.remove("B");
        assert_eq!(headers.len(), 3);
    }
}
