//! The manifests, as `kubectl apply -k` reads them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use crate::example::{folder, read};

/// All that is applied.
pub struct Cluster {
    pub documents: Vec<Value>,
    /// The keys of ConfigMaps that are generated, by namespace and name.
    pub generated: BTreeMap<(String, String), BTreeSet<String>>,
}

/// What runs as pods: a Deployment or StatefulSet.
#[derive(Clone)]
pub struct Workload<'a> {
    pub document: &'a Value,
    pub namespace: &'a str,
    pub name: &'a str,
    /// The template.
    pub template: &'a Value,
}

impl Cluster {
    pub fn read() -> Self {
        let mut cluster = Self {
            documents: Vec::new(),
            generated: BTreeMap::new(),
        };
        cluster.add(&folder("kubernetes"));
        cluster
    }

    fn add(&mut self, place: &Path) {
        if !place.is_dir() {
            self.documents.extend(documents(&read(place)));
            return;
        }
        let [kustomization] = &documents(&read(&place.join("kustomization.yaml")))[..] else {
            panic!("{}: not one kustomization", place.display());
        };
        let known = ["apiVersion", "kind", "resources", "configMapGenerator"];
        for field in kustomization.as_object().unwrap().keys() {
            assert!(known.contains(&field.as_str()), "{field}: not looked at");
        }
        for resource in list(kustomization, "/resources") {
            self.add(&place.join(resource.as_str().unwrap()));
        }
        for map in list(kustomization, "/configMapGenerator") {
            let mut keys = BTreeSet::new();
            for file in list(map, "/files") {
                let file = file.as_str().unwrap();
                assert!(place.join(file).is_file(), "{file} of {map}");
                keys.insert(file.to_owned());
            }
            let name = (text(map, "/namespace"), text(map, "/name"));
            let name = (name.0.to_owned(), name.1.to_owned());
            assert!(self.generated.insert(name, keys).is_none(), "twice: {map}");
        }
    }

    pub fn of_kind(&self, kind: &str) -> impl Iterator<Item = &Value> {
        let all = self.documents.iter();
        all.filter(move |document| text(document, "/kind") == kind)
    }

    /// The one of this kind and name.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.of_kind(kind).find(|document| {
            text(document, "/metadata/name") == name
                && document
                    .pointer("/metadata/namespace")
                    .map_or("", |n| n.as_str().unwrap())
                    == namespace
        })
    }

    pub fn workloads(&self) -> Vec<Workload<'_>> {
        let documents = self.documents.iter();
        documents
            .filter(|document| document.pointer("/spec/template").is_some())
            .map(|document| Workload {
                document,
                namespace: text(document, "/metadata/namespace"),
                name: text(document, "/metadata/name"),
                template: &document["spec"]["template"],
            })
            .collect()
    }
}

impl Workload<'_> {
    /// The containers, those of the start included.
    pub fn containers(&self) -> impl Iterator<Item = &Value> {
        let first = list(self.template, "/spec/initContainers");
        first.iter().chain(list(self.template, "/spec/containers"))
    }

    pub fn container(&self, name: &str) -> &Value {
        let mut all = self.containers();
        all.find(|container| container["name"] == name).unwrap()
    }

    pub fn labels(&self) -> BTreeMap<String, String> {
        labels(&self.template["metadata"]["labels"])
    }

    /// Ports that are named.
    pub fn ports(&self) -> BTreeMap<&str, u16> {
        let ports = self.containers().flat_map(|c| list(c, "/ports"));
        ports
            .map(|port| (text(port, "/name"), number(&port["containerPort"])))
            .collect()
    }
}

/// The documents of a file.
pub fn documents(text: &str) -> Vec<Value> {
    let all = serde_yaml_ng::Deserializer::from_str(text)
        .map(|document| Value::deserialize(document).unwrap());
    all.filter(|document| !document.is_null()).collect()
}

pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    let found = value.pointer(pointer).and_then(Value::as_str);
    found.unwrap_or_else(|| panic!("no text at {pointer} of {value:#}"))
}

/// A list; none is an empty one.
pub fn list<'a>(value: &'a Value, pointer: &str) -> &'a [Value] {
    let found = value.pointer(pointer);
    found.map_or(&[], |found| found.as_array().unwrap().as_slice())
}

pub fn number(value: &Value) -> u16 {
    value.as_u64().unwrap().try_into().unwrap()
}

pub fn labels(value: &Value) -> BTreeMap<String, String> {
    let all = value.as_object().into_iter().flatten();
    all.map(|(key, value)| (key.clone(), value.as_str().unwrap().to_owned()))
        .collect()
}

/// Whether a label selector selects what has these labels. An empty one selects all.
pub fn selects(selector: &Value, labels: &BTreeMap<String, String>) -> bool {
    let known = ["matchLabels", "matchExpressions"];
    for field in selector.as_object().unwrap().keys() {
        assert!(known.contains(&field.as_str()), "{field}");
    }
    let wanted = self::labels(&selector["matchLabels"]);
    let expressions = list(selector, "/matchExpressions").iter();
    wanted
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
        && expressions.into_iter().all(|expression| {
            assert_eq!(expression["operator"], "In");
            let has = labels.get(text(expression, "/key"));
            has.is_some_and(|has| list(expression, "/values").iter().any(|v| v == has))
        })
}
