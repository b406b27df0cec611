//! The connections that are open, and when it is time to look at their certificates again.

use std::collections::HashMap;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use rustls::pki_types::{CertificateDer, UnixTime};
use tokio::sync::oneshot;
use x509_cert::Certificate;
use x509_cert::der::Decode;

/// All connections of an acceptor.
#[derive(Debug, Default)]
pub(crate) struct Open(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    last: u64,
    entries: HashMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    address: SocketAddr,
    chain: Arc<[CertificateDer<'static>]>,
    /// When each certificate of the chain expires that is good still: seconds since 1970, the last first.
    ends: Vec<u64>,
    end: oneshot::Sender<()>,
}

/// A connection whose certificate is to be looked at again.
#[derive(Debug)]
pub(crate) struct Due {
    pub id: u64,
    pub address: SocketAddr,
    pub chain: Arc<[CertificateDer<'static>]>,
}

/// A connection's own end of its entry, which goes with it.
#[derive(Debug)]
pub(crate) struct Cut {
    id: u64,
    open: Arc<Open>,
    /// Until something is told.
    told: Option<oneshot::Receiver<()>>,
    is_cut: bool,
}

impl Open {
    /// Enters a connection.
    pub fn enter(open: &Arc<Self>, address: SocketAddr, chain: &[CertificateDer<'static>]) -> Cut {
        let (end, told) = oneshot::channel();
        let mut ends: Vec<u64> = chain.iter().map(not_after).collect();
        ends.sort_unstable_by(|a, b| b.cmp(a));
        let mut table = open.lock();
        table.last += 1;
        let id = table.last;
        let chain = chain.into();
        let entry = Entry {
            address,
            chain,
            ends,
            end,
        };
        table.entries.insert(id, entry);
        drop(table);
        Cut {
            id,
            open: Arc::clone(open),
            told: Some(told),
            is_cut: false,
        }
    }

    /// The connections of which a certificate has expired since the last look; all, if the authorities changed.
    pub fn due(&self, all: bool, now: UnixTime) -> Vec<Due> {
        let mut due = Vec::new();
        for (&id, entry) in &mut self.lock().entries {
            let before = entry.ends.len();
            while entry.ends.last().is_some_and(|end| *end < now.as_secs()) {
                entry.ends.pop();
            }
            if all || entry.ends.len() < before {
                due.push(Due {
                    id,
                    address: entry.address,
                    chain: Arc::clone(&entry.chain),
                });
            }
        }
        due
    }

    /// Ends a connection; says whether it was open still.
    pub fn end(&self, id: u64) -> bool {
        let entry = self.lock().entries.remove(&id);
        entry.is_some_and(|entry| entry.end.send(()).is_ok())
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Cut {
    /// Fails once the connection is to end. Who calls it is woken then.
    pub fn check(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        if let Some(told) = &mut self.told
            && let Poll::Ready(told) = Pin::new(told).poll(context)
        {
            self.told = None;
            self.is_cut = told.is_ok();
        }
        if self.is_cut {
            let why = "the client's certificate is good no longer";
            return Err(io::Error::new(io::ErrorKind::ConnectionAborted, why));
        }
        Ok(())
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.open.lock().entries.remove(&self.id);
    }
}

/// When a certificate expires (RFC 5280, section 4.1.2.5: the last second that it is good); at once, if it
/// can't be read: then it is looked at again.
fn not_after(certificate: &CertificateDer<'_>) -> u64 {
    Certificate::from_der(certificate).map_or(0, |certificate| {
        let validity = certificate.tbs_certificate().validity();
        validity.not_after.to_unix_duration().as_secs()
    })
}
