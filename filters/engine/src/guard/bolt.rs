//! Bolt, as far as a connection is opened (<https://neo4j.com/docs/bolt/current/>).
//!
//! A client does not say who it is before the server has chosen a version. So the handshake goes to the
//! store, 20 bytes that tell nothing of a tenant, and its answer comes back; what the client says then
//! is held until HELLO, or LOGON from version 5.1 on, has brought the context token. Everything after
//! that passes unseen: databases are named by ROUTE, BEGIN and RUN, which are not looked at.

mod handshake;
mod message;
mod packstream;

use std::mem::take;

use crate::policy::EgressOperation;

use super::connection::{FromClient, FromStore, Route};
use super::decide::{Ask, Guard, Ruling};
use handshake::{Answer, HandshakeError, Version};
use message::{Greeting, MessageError};

/// The first version in which LOGON says who it is.
const LOGON_SINCE: Version = Version { major: 5, minor: 1 };

/// A connection that is being opened.
#[derive(Debug, Default)]
pub(super) struct Opening {
    state: State,
    /// What the client has sent and the store has not got.
    kept: Vec<u8>,
    /// The start of the store's answer to the handshake.
    answer: Vec<u8>,
    /// Whether the store has got a HELLO.
    greeted: bool,
    /// Whether the store has got the client's choice of a manifest.
    chosen: Option<Version>,
    /// The FAILURE of a denial.
    failure: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The client has not sent its handshake.
    #[default]
    Handshake,
    /// The store has not answered it.
    Answer,
    /// The client has the manifest of versions and has not chosen.
    Choice,
    /// The client has not said who it is.
    Greeting,
    Admitted,
    Refused,
}

impl Opening {
    pub(super) fn is_admitted(&self) -> bool {
        self.state == State::Admitted
    }

    pub(super) fn is_decided(&self) -> bool {
        matches!(self.state, State::Admitted | State::Refused)
    }

    pub(super) fn held(&self) -> usize {
        self.kept.len()
    }

    pub(super) fn has_spoken(&self) -> bool {
        self.state != State::Handshake || !self.kept.is_empty()
    }

    pub(super) fn client(&mut self, guard: &mut Guard, bytes: &[u8], now_s: u64) -> FromClient {
        match self.state {
            State::Admitted => return FromClient::pass(bytes.to_vec()),
            State::Refused => return FromClient::default(),
            _ => self.kept.extend_from_slice(bytes),
        }
        match self.state {
            State::Handshake => self.handshake(guard),
            // Nothing can be said yet, in no version.
            State::Answer if self.kept.is_empty() => FromClient::default(),
            State::Answer => self.malformed(guard, "the client went on before it was answered"),
            State::Choice => self.choice(guard, now_s),
            _ => self.greeting(guard, 0, now_s),
        }
    }

    fn handshake(&mut self, guard: &mut Guard) -> FromClient {
        match handshake::request(&self.kept) {
            Ok(false) => FromClient::default(),
            Ok(true) => {
                self.state = State::Answer;
                FromClient {
                    forward: take(&mut self.kept),
                    route: Some(Route::Store),
                    ..FromClient::default()
                }
            }
            Err(error) => self.malformed(guard, &error.to_string()),
        }
    }

    fn choice(&mut self, guard: &mut Guard, now_s: u64) -> FromClient {
        match handshake::choice(&self.kept) {
            Ok(None) => FromClient::default(),
            Ok(Some((version, size))) => {
                self.chosen = Some(version);
                self.greeting(guard, size, now_s)
            }
            Err(error) => self.malformed(guard, &error.to_string()),
        }
    }

    /// Looks for messages behind `start`, the size of the client's choice where it has not gone on.
    fn greeting(&mut self, guard: &mut Guard, start: usize, now_s: u64) -> FromClient {
        let limit = guard.config().limits.opening_bytes;
        let mut end = start;
        let mut greeted = self.greeted;
        loop {
            let rest = self.kept.get(end..).unwrap_or_default();
            let read = message::read(rest);
            // A message of its own, so that it makes no difference what has come with it.
            let size = match &read {
                Ok(Some((_, size))) => *size,
                _ => rest.len(),
            };
            if size > limit {
                let reason = "the client sent too much before it said who it is";
                return self.malformed(guard, reason);
            }
            let (greeting, size) = match read {
                Ok(Some(read)) => read,
                Ok(None) => return self.hold(end, greeted),
                Err(error) => return self.malformed(guard, &error.to_string()),
            };
            let token = match (greeting, greeted) {
                (Greeting::Hello(None), false) if self.version() >= LOGON_SINCE => {
                    greeted = true;
                    end += size;
                    continue;
                }
                (Greeting::Hello(token), false) => token,
                (Greeting::Logon(token), true) => token,
                _ => return self.malformed(guard, &MessageError::Order.to_string()),
            };
            let ask = Ask::default();
            let ruling = guard.decide(token.as_deref(), &ask, EgressOperation::Connect, now_s);
            return match ruling.verdict {
                Ok(()) => self.admit(ruling),
                Err(_) => self.refuse(ruling),
            };
        }
    }

    /// Lets whole messages go on that need no decision, and waits for more.
    fn hold(&mut self, end: usize, greeted: bool) -> FromClient {
        if greeted == self.greeted {
            return FromClient::default();
        }
        self.greeted = greeted;
        self.state = State::Greeting;
        let rest = self.kept.split_off(end.min(self.kept.len()));
        FromClient::pass(std::mem::replace(&mut self.kept, rest))
    }

    fn version(&self) -> Version {
        let told = self.chosen.or(match handshake::answer(&self.answer) {
            Ok(Some(Answer::Version(version))) => Some(version),
            _ => None,
        });
        told.unwrap_or_default()
    }

    fn admit(&mut self, ruling: Ruling) -> FromClient {
        self.state = State::Admitted;
        FromClient {
            forward: take(&mut self.kept),
            ruling: Some(ruling),
            ..FromClient::default()
        }
    }

    /// Says goodbye to the store in the client's place. What it answers, its end at last, is the moment
    /// at which the client can be told.
    fn refuse(&mut self, ruling: Ruling) -> FromClient {
        let before = self.state;
        self.state = State::Refused;
        if let Err(denial) = &ruling.verdict {
            self.failure = message::failure(self.version(), denial, &ruling.record.decision_id);
        }
        let mut forward = Vec::new();
        if before == State::Choice {
            let size = handshake::choice(&self.kept)
                .ok()
                .flatten()
                .map_or(0, |(_, size)| size);
            forward.extend_from_slice(self.kept.get(..size).unwrap_or_default());
        }
        self.kept = Vec::new();
        forward.extend_from_slice(message::GOODBYE);
        FromClient {
            forward,
            ruling: Some(ruling),
            ..FromClient::default()
        }
    }

    fn malformed(&mut self, guard: &mut Guard, reason: &str) -> FromClient {
        let ruling = guard.malformed("BOLT_MALFORMED", reason, EgressOperation::Connect);
        match self.state {
            State::Greeting | State::Choice if self.version() != Version::default() => {
                self.refuse(ruling)
            }
            // What has no version has no form for an answer.
            _ => {
                self.state = State::Refused;
                self.kept = Vec::new();
                FromClient::end(ruling)
            }
        }
    }

    pub(super) fn store(&mut self, bytes: &[u8], last: bool) -> FromStore {
        match self.state {
            State::Refused => {
                // A client that has said HELLO before still gets what is said to that.
                let mut forward = match self.greeted {
                    true => bytes.to_vec(),
                    false => Vec::new(),
                };
                if last {
                    forward.append(&mut self.failure);
                }
                FromStore {
                    end: last,
                    ..FromStore::pass(forward)
                }
            }
            State::Answer => {
                let missing = handshake::ANSWER.saturating_sub(self.answer.len());
                self.answer
                    .extend_from_slice(bytes.get(..missing).unwrap_or(bytes));
                self.state = match handshake::answer(&self.answer) {
                    Ok(None) => State::Answer,
                    Ok(Some(Answer::Manifest)) => State::Choice,
                    // No common version: the client will hang up, as after any version that it did
                    // not offer.
                    Ok(Some(Answer::Version(_))) | Err(HandshakeError::None) => State::Greeting,
                    Err(_) => State::Refused,
                };
                let broken = self.state == State::Refused;
                FromStore {
                    end: broken,
                    broken,
                    ..FromStore::pass(bytes.to_vec())
                }
            }
            _ => FromStore::pass(bytes.to_vec()),
        }
    }
}
