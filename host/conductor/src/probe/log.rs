//! Decisions of probes, from a gateway's access log as it grows.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use probe::observe::Decision;
use serde_json::Value;

/// Decisions that are remembered; the oldest make room.
const KEPT: usize = 200_000;

/// Bytes that are read at once.
const CHUNK: u64 = 8 << 20;

/// The log of one gateway.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    /// How far it was read.
    at: u64,
    /// Which file that was (inode).
    file: Option<u64>,
    /// The beginning of a line whose end has not been written yet.
    rest: Vec<u8>,
    decisions: HashMap<String, Decision>,
    order: VecDeque<String>,
}

impl Log {
    /// From its present end on.
    pub fn from_now_on(path: &Path) -> Self {
        let metadata = std::fs::metadata(path).ok();
        Self {
            path: path.to_owned(),
            at: metadata.as_ref().map_or(0, std::fs::Metadata::len),
            file: metadata.as_ref().map(inode),
            rest: Vec::new(),
            decisions: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// What was decided about the request of a trace, if it is written.
    pub fn decision(&mut self, trace: &str) -> Option<Decision> {
        if !self.decisions.contains_key(trace) {
            // A log that can't be read says nothing: the probe is told so.
            let _ = self.read_on();
        }
        self.decisions.get(trace).cloned()
    }

    fn read_on(&mut self) -> std::io::Result<()> {
        let mut file = File::open(&self.path)?;
        let metadata = file.metadata()?;
        if self.file != Some(inode(&metadata)) || metadata.len() < self.at {
            // Another file stands there, or this one was cut.
            self.at = 0;
            self.rest.clear();
            self.file = Some(inode(&metadata));
        }
        file.seek(SeekFrom::Start(self.at))?;
        loop {
            let mut chunk = Vec::new();
            let read = file.by_ref().take(CHUNK).read_to_end(&mut chunk)?;
            if read == 0 {
                return Ok(());
            }
            self.at += read as u64;
            self.rest.append(&mut chunk);
            let rest = std::mem::take(&mut self.rest);
            let mut begun = 0;
            for end in memchr::memchr_iter(b'\n', &rest) {
                self.take(rest.get(begun..end).unwrap_or_default());
                begun = end + 1;
            }
            self.rest = rest.get(begun..).unwrap_or_default().to_vec();
        }
    }

    fn take(&mut self, line: &[u8]) {
        let Some((trace, decision)) = read_line(line) else {
            return;
        };
        if self.decisions.insert(trace.clone(), decision).is_none() {
            self.order.push_back(trace);
        }
        while self.order.len() > KEPT {
            if let Some(oldest) = self.order.pop_front() {
                self.decisions.remove(&oldest);
            }
        }
    }
}

/// The trace and the residency filter's decision of a probe's line, if both are there.
fn read_line(line: &[u8]) -> Option<(String, Decision)> {
    // Of a busy gateway's lines next to none is a probe's: the others are not parsed.
    memchr::memmem::find(line, gateway::PROBE_PATH.as_bytes())?;
    let line: Value = serde_json::from_slice(line).ok()?;
    // version-trace-span-flags (W3C Trace Context)
    let trace = line["traceparent"].as_str()?.split('-').nth(1)?;
    let record: Value = serde_json::from_str(line["residency"].as_str()?).ok()?;
    let masked: Option<Value> = line["decision"]
        .as_str()
        .and_then(|d| serde_json::from_str(d).ok());
    let refused = masked.is_some_and(|m| m["outcome"] == "denied");
    let decision = Decision {
        id: record["decisionId"].as_str()?.to_owned(),
        tenant: record["tenant"].as_str().unwrap_or_default().to_owned(),
        allowed: record["outcome"] == "allowed" && !refused,
        revision: record["revision"].as_str().unwrap_or_default().to_owned(),
    };
    Some((trace.to_owned(), decision))
}

fn inode(metadata: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn line(trace: &str, outcome: &str) -> String {
        let record = serde_json::json!({"decisionId": format!("dec_{trace}"), "tenant": "acme",
            "outcome": outcome});
        let line = serde_json::json!({"traceparent": format!("00-{trace}-1-01"),
            "path": "/ig/probe", "residency": record.to_string()});
        format!("{line}\n")
    }

    #[test]
    fn a_log_is_read_as_it_grows() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        let append = |text: &str| {
            let file = std::fs::File::options()
                .create(true)
                .append(true)
                .open(&path);
            file.unwrap().write_all(text.as_bytes()).unwrap();
        };
        append(&line("before", "allowed"));
        let mut log = Log::from_now_on(&path);
        assert_eq!(log.decision("before"), None);
        let (first, second) = (line("one", "allowed"), line("two", "denied"));
        append(&first[..first.len() / 2]);
        assert_eq!(log.decision("one"), None);
        append(&first[first.len() / 2..]);
        append("no JSON\n");
        append(&second);
        assert_eq!(log.decision("one").unwrap().id, "dec_one");
        assert!(log.decision("one").unwrap().allowed);
        assert!(!log.decision("two").unwrap().allowed);
        // Rotated: another file of the same name.
        std::fs::rename(&path, directory.path().join("old")).unwrap();
        append(&line("three", "allowed"));
        assert!(log.decision("three").is_some());
        // Cut.
        std::fs::write(&path, line("4", "allowed")).unwrap();
        assert!(log.decision("4").is_some());
        std::fs::remove_file(&path).unwrap();
        assert_eq!(log.decision("five"), None);
    }

    #[test]
    fn other_requests_are_passed_over() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("access.log");
        std::fs::write(&path, "").unwrap();
        let mut log = Log::from_now_on(&path);
        let other = line("other", "allowed").replace("/ig/probe", "/graphql");
        let text = format!("{}{}", other.repeat(50_000), line("one", "allowed"));
        std::fs::write(&path, text).unwrap();
        assert_eq!(log.decision("one").unwrap().id, "dec_one");
        assert_eq!(log.decision("other"), None);
    }

    #[test]
    fn what_the_masking_filter_refused_was_not_allowed() {
        let line = serde_json::json!({"traceparent": "00-t-1-01", "path": "/ig/probe",
            "residency": r#"{"decisionId": "dec_1", "tenant": "acme", "outcome": "allowed"}"#,
            "decision": r#"{"decisionId": "dec_2", "outcome": "denied"}"#});
        let (_, decision) = read_line(line.to_string().as_bytes()).unwrap();
        assert!(!decision.allowed);
    }
}
