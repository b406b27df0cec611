//! PostgreSQL's protocol 3, as far as a connection is opened
//! (<https://www.postgresql.org/docs/current/protocol-message-formats.html>).

mod error_response;
mod options;
mod startup;

use std::mem::take;

use crate::policy::EgressOperation;

use super::connection::{FromClient, FromStore, Route};
use super::decide::{Ask, Denial, DenialKind, Guard, Ruling};
use startup::{Packet, Startup, StartupError};

/// The answer to a request for encryption: no. A guard stands beside the service, on the same machine.
const NO_ENCRYPTION: u8 = b'N';

/// What the responder gets for each answer that the client shall get: any byte, which comes back.
const CUE: u8 = b'\n';

/// The code of what would be let in, had it not asked for encryption.
const ENCRYPTED: &str = "ENCRYPTION_UNSERVED";

/// A connection that is being opened.
#[derive(Debug, Default)]
pub(super) struct Opening {
    state: State,
    kept: Vec<u8>,
    /// The client has asked for TLS or GSSAPI and been told no, by the responder: it can't reach the
    /// store any more.
    asked_tls: bool,
    asked_gss: bool,
    /// What the client gets for the next bytes of the responder.
    answer: Vec<u8>,
}

#[derive(Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Opening,
    Admitted,
    Refused,
}

impl Opening {
    pub(super) fn is_admitted(&self) -> bool {
        self.state == State::Admitted
    }

    pub(super) fn is_decided(&self) -> bool {
        self.state != State::Opening
    }

    pub(super) fn held(&self) -> usize {
        self.kept.len()
    }

    pub(super) fn has_spoken(&self) -> bool {
        !self.kept.is_empty() || self.negotiating()
    }

    fn negotiating(&self) -> bool {
        self.asked_tls || self.asked_gss
    }

    pub(super) fn client(&mut self, guard: &mut Guard, bytes: &[u8], now_s: u64) -> FromClient {
        match self.state {
            State::Admitted => FromClient::pass(bytes.to_vec()),
            State::Refused => FromClient::default(),
            State::Opening => {
                self.kept.extend_from_slice(bytes);
                self.read(guard, now_s)
            }
        }
    }

    fn read(&mut self, guard: &mut Guard, now_s: u64) -> FromClient {
        let limit = guard.config().limits.opening_bytes;
        let read = startup::read(&self.kept);
        // What follows a whole packet is not the packet's: it may have come with it or not.
        let size = match &read {
            Ok(Some((_, size))) => *size,
            _ => self.kept.len(),
        };
        match read {
            Err(error) => self.malformed(guard, error),
            Ok(_) if size > limit => self.malformed(guard, StartupError::Long),
            Ok(None) => FromClient::default(),
            // A client may not go on before it has its answer: what it sent could be anyone's.
            Ok(Some((Packet::Tls | Packet::Gss, size))) if size != self.kept.len() => {
                self.malformed(guard, StartupError::Unasked)
            }
            Ok(Some((Packet::Tls, _))) if !self.asked_tls => {
                self.asked_tls = true;
                self.decline()
            }
            Ok(Some((Packet::Gss, _))) if !self.asked_gss => {
                self.asked_gss = true;
                self.decline()
            }
            Ok(Some((Packet::Tls | Packet::Gss, _))) => {
                self.malformed(guard, StartupError::Unasked)
            }
            Ok(Some((Packet::Cancel, _))) => self.cancel(guard),
            Ok(Some((Packet::Startup(startup), _))) => {
                let ruling = judge(guard, &startup, now_s);
                let ruling = match ruling.verdict.is_ok() && self.negotiating() {
                    // It may come in, but its connection leads to the responder: it is to come again.
                    true => {
                        let reason = "the guard of this region takes no encrypted connections";
                        guard.malformed(ENCRYPTED, reason, EgressOperation::Connect)
                    }
                    false => ruling,
                };
                self.act(ruling)
            }
        }
    }

    fn decline(&mut self) -> FromClient {
        self.kept.clear();
        self.respond(vec![NO_ENCRYPTION])
    }

    /// PostgreSQL never answers a cancel request, so neither does the guard.
    fn cancel(&mut self, guard: &mut Guard) -> FromClient {
        let ruling = if self.negotiating() {
            let reason = "a request to cancel must come without asking for encryption first";
            guard.malformed("CANCEL_REFUSED", reason, EgressOperation::Connect)
        } else {
            guard.by_secret("a request to cancel, which carries its own secret")
        };
        if ruling.verdict.is_err() {
            self.state = State::Refused;
            return FromClient::end(ruling);
        }
        self.admit(ruling)
    }

    fn act(&mut self, ruling: Ruling) -> FromClient {
        match &ruling.verdict {
            Ok(()) => self.admit(ruling),
            Err(denial) => {
                let response = response(denial, &ruling.record.decision_id);
                self.refuse(ruling, response)
            }
        }
    }

    fn admit(&mut self, ruling: Ruling) -> FromClient {
        self.state = State::Admitted;
        FromClient {
            forward: take(&mut self.kept),
            route: Some(Route::Store),
            ruling: Some(ruling),
            end: false,
        }
    }

    fn refuse(&mut self, ruling: Ruling, response: Vec<u8>) -> FromClient {
        self.state = State::Refused;
        self.kept = Vec::new();
        FromClient {
            ruling: Some(ruling),
            ..self.respond(response)
        }
    }

    fn malformed(&mut self, guard: &mut Guard, error: StartupError) -> FromClient {
        let ruling = guard.malformed(error.code(), &error.to_string(), EgressOperation::Connect);
        if error.is_answered() {
            return self.act(ruling);
        }
        self.state = State::Refused;
        self.kept = Vec::new();
        FromClient::end(ruling)
    }

    /// Has the responder say something, in the place of which the client gets this answer.
    fn respond(&mut self, answer: Vec<u8>) -> FromClient {
        self.answer.extend(answer);
        FromClient {
            forward: vec![CUE],
            route: Some(Route::Refusal),
            ..FromClient::default()
        }
    }

    /// Bytes of the responder.
    pub(super) fn store(&mut self, bytes: &[u8]) -> FromStore {
        match self.state {
            State::Admitted => FromStore::pass(bytes.to_vec()),
            State::Opening | State::Refused => {
                let answer = take(&mut self.answer);
                FromStore {
                    end: self.state == State::Refused && !answer.is_empty(),
                    ..FromStore::pass(answer)
                }
            }
        }
    }
}

fn judge(guard: &mut Guard, startup: &Startup<'_>, now_s: u64) -> Ruling {
    if startup.replication {
        let reason = "replication copies the store with all tenants, and is not passed on";
        return guard.malformed("REPLICATION_REFUSED", reason, EgressOperation::Connect);
    }
    let token = match options::token(startup) {
        Ok(token) => token,
        Err(error) => {
            let (code, reason) = (error.code(), error.to_string());
            return guard.malformed(code, &reason, EgressOperation::Connect);
        }
    };
    let ask = Ask {
        objects: vec![(startup.database, EgressOperation::Connect)],
        user: Some(startup.user),
    };
    guard.decide(token.as_deref(), &ask, EgressOperation::Connect, now_s)
}

/// The ErrorResponse of a denial.
fn response(denial: &Denial, decision_id: &str) -> Vec<u8> {
    let (state, hint) = match denial.kind {
        DenialKind::Context => (
            "28000",
            "Pass the request's x-ig-context on, as options='-c ig.context=TOKEN' or in application_name.",
        ),
        DenialKind::Rules => ("28000", ""),
        DenialKind::Failed => ("58000", ""),
        DenialKind::Malformed if denial.code == "VERSION_UNKNOWN" => ("0A000", ""),
        DenialKind::Malformed if denial.code == "REPLICATION_REFUSED" => ("28000", ""),
        DenialKind::Malformed if denial.code == ENCRYPTED => (
            "08P01",
            "Connect with sslmode=disable and gssencmode=disable: the guard is local.",
        ),
        DenialKind::Malformed => ("08P01", ""),
    };
    let detail = format!("{}, decision {decision_id}", denial.code);
    error_response::write("FATAL", state, &denial.message, &detail, hint)
}
