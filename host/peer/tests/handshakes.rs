//! Real handshakes on the loopback: who is let in as whom, and what happens when certificates change.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use peer::testing::{Authority, Issued, Wanted, write};
use peer::{Acceptor, Config, Figures, H2, IdentityError, Incoming, TlsError};
use rcgen::KeyUsagePurpose;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

const PATIENCE: Duration = Duration::from_secs(60);

const ID: &str = "spiffe://example.org/region/eu/gateway/g1";

struct World {
    directory: tempfile::TempDir,
    server_ca: Authority,
    client_ca: Authority,
}

impl World {
    fn new() -> Self {
        let world = Self {
            directory: tempfile::tempdir().unwrap(),
            server_ca: Authority::default(),
            client_ca: Authority::default(),
        };
        let server = world.server_ca.server(&["conductor.test"]);
        server.write(world.at(), "server");
        write(&world.at().join("clients.pem"), &world.client_ca.pem());
        world
    }

    fn at(&self) -> &Path {
        self.directory.path()
    }

    fn config(&self) -> Config {
        Config {
            certificate: self.at().join("server.pem"),
            key: self.at().join("server.key"),
            client_ca: self.at().join("clients.pem"),
            trust_domain: "example.org".to_owned(),
            handshake_seconds: 60,
            max_handshakes: 16,
        }
    }

    async fn listen(&self, config: Config) -> (Acceptor, Incoming, SocketAddr) {
        let acceptor = Acceptor::new(config, &[H2]).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let incoming = acceptor.accept(listener).unwrap();
        let address = incoming.local_addr();
        (acceptor, incoming, address)
    }
}

/// A client's side of a connection. A refusal of its certificate comes with the first read (TLS 1.3).
async fn connect(
    address: SocketAddr,
    server_ca: &Authority,
    shown: Option<&Issued>,
) -> std::io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let root = CertificateDer::from_pem_slice(server_ca.pem().as_bytes()).unwrap();
    roots.add(root).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut client = match shown {
        None => builder.with_no_client_auth(),
        Some(shown) => {
            let chain = CertificateDer::pem_slice_iter(shown.certificate.as_bytes())
                .collect::<Result<Vec<_>, _>>()
                .unwrap();
            let key = PrivateKeyDer::from_pem_slice(shown.key.as_bytes()).unwrap();
            builder.with_client_auth_cert(chain, key).unwrap()
        }
    };
    client.alpn_protocols = vec![H2.to_vec()];
    let name = ServerName::try_from("conductor.test").unwrap();
    let stream = TcpStream::connect(address).await?;
    TlsConnector::from(Arc::new(client))
        .connect(name, stream)
        .await
}

/// Waits until the figures are so.
async fn until(acceptor: &Acceptor, is: impl Fn(Figures) -> bool) {
    let wait = async {
        while !is(acceptor.figures()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(PATIENCE, wait).await;
    waited.unwrap_or_else(|_| panic!("{:?}", acceptor.figures()));
}

async fn next(incoming: &mut Incoming) -> peer::PeerStream {
    tokio::time::timeout(PATIENCE, incoming.next())
        .await
        .expect("no connection")
        .unwrap()
}

#[tokio::test]
async fn a_node_is_known_by_its_certificate() {
    let world = World::new();
    let (acceptor, mut incoming, address) = world.listen(world.config()).await;
    let shown = world.client_ca.node(ID);
    let mut client = connect(address, &world.server_ca, Some(&shown))
        .await
        .unwrap();
    let mut stream = next(&mut incoming).await;
    let identity = stream.info().identity.clone().unwrap();
    assert_eq!(identity.id.as_str(), ID);
    assert_eq!(
        [&identity.region, &identity.role, &identity.node],
        ["eu", "gateway", "g1"]
    );
    client.write_all(b"hello").await.unwrap();
    let mut read = [0; 5];
    stream.read_exact(&mut read).await.unwrap();
    stream.write_all(&read).await.unwrap();
    client.read_exact(&mut read).await.unwrap();
    assert_eq!(&read, b"hello");
    assert_eq!(acceptor.figures().accepted, 1);
}

#[tokio::test]
async fn a_certificate_that_names_no_node_says_why() {
    let world = World::new();
    let (_acceptor, mut incoming, address) = world.listen(world.config()).await;
    let usage = |usage: &[KeyUsagePurpose]| Wanted {
        uris: &[ID],
        usage: usage.to_vec(),
        ..Wanted::default()
    };
    let uris = |uris: &'static [&'static str]| Wanted {
        uris,
        ..Wanted::default()
    };
    use KeyUsagePurpose::{CrlSign, DigitalSignature, KeyAgreement, KeyCertSign};
    let certificate_key_usage = |problem| IdentityError::KeyUsage { problem };
    for (wanted, want) in [
        (
            Wanted {
                names: &["g1.test"],
                ..Wanted::default()
            },
            IdentityError::NoUri,
        ),
        (
            uris(&[ID, "spiffe://example.org/region/us/gateway/g1"]),
            IdentityError::SeveralUris { count: 2 },
        ),
        (
            uris(&[ID, "https://example.org/"]),
            IdentityError::SeveralUris { count: 2 },
        ),
        (
            uris(&["https://example.org/region/eu/gateway/g1"]),
            IdentityError::SpiffeId {
                reason: peer::SpiffeIdError::Scheme,
            },
        ),
        (
            uris(&["spiffe://example.org/region/eu/../us/gateway/g1"]),
            IdentityError::SpiffeId {
                reason: peer::SpiffeIdError::RelativeSegment,
            },
        ),
        (
            uris(&["spiffe://example.com/region/eu/gateway/g1"]),
            IdentityError::TrustDomain {
                id: "spiffe://example.com/region/eu/gateway/g1".to_owned(),
                expected: "example.org".to_owned(),
            },
        ),
        (
            uris(&["spiffe://example.org"]),
            IdentityError::Path {
                id: "spiffe://example.org".to_owned(),
                trust_domain: "example.org".to_owned(),
            },
        ),
        (usage(&[]), certificate_key_usage("is missing")),
        (
            usage(&[KeyAgreement]),
            certificate_key_usage("lacks digitalSignature"),
        ),
        (
            usage(&[DigitalSignature, KeyCertSign]),
            certificate_key_usage("is that of an authority"),
        ),
        (
            usage(&[DigitalSignature, CrlSign]),
            certificate_key_usage("is that of an authority"),
        ),
    ] {
        let shown = world.client_ca.issue(&wanted);
        let _client = connect(address, &world.server_ca, Some(&shown))
            .await
            .unwrap();
        let stream = next(&mut incoming).await;
        assert_eq!(stream.info().identity, Err(want));
    }
}

#[tokio::test]
async fn who_shows_nothing_or_another_authoritys_is_not_let_in() {
    let world = World::new();
    let (acceptor, mut incoming, address) = world.listen(world.config()).await;
    let foreign = Authority::new("another").node(ID);
    let same_name = Authority::default().node(ID);
    let expired = world.client_ca.issue(&Wanted {
        uris: &[ID],
        expired: true,
        ..Wanted::default()
    });
    let authority = world.client_ca.issue(&Wanted {
        uris: &[ID],
        authority: true,
        ..Wanted::default()
    });
    let shown = [
        None,
        Some(&foreign),
        Some(&same_name),
        Some(&expired),
        Some(&authority),
    ];
    for (at, shown) in shown.into_iter().enumerate() {
        let read = async {
            let mut client = connect(address, &world.server_ca, shown).await?;
            client.read_u8().await
        };
        assert!(read.await.is_err());
        until(&acceptor, |f| f.refused == at as u64 + 1).await;
    }
    assert_eq!(acceptor.figures().accepted, 0);
    // Who is right comes in all the same.
    let right = world.client_ca.node(ID);
    let _client = connect(address, &world.server_ca, Some(&right))
        .await
        .unwrap();
    assert!(next(&mut incoming).await.info().identity.is_ok());
}

/// Waits until the connection is ended by the other side.
async fn ended(client: &mut TlsStream<TcpStream>) {
    let read = tokio::time::timeout(PATIENCE, client.read_u8()).await;
    assert!(read.expect("it is open still").is_err());
}

/// Says something, and hears it on the other side.
async fn is_open(client: &mut TlsStream<TcpStream>, stream: &mut peer::PeerStream) -> bool {
    let sent = client.write_all(b"x").await;
    sent.is_ok() && matches!(stream.read_u8().await, Ok(b'x'))
}

#[tokio::test]
async fn changed_files_are_in_force_and_who_is_let_in_no_longer_is_put_out() {
    let mut world = World::new();
    let staying = Authority::new("staying clients");
    let both = world.client_ca.pem() + &staying.pem();
    write(&world.at().join("clients.pem"), &both);
    let (acceptor, mut incoming, address) = world.listen(world.config()).await;
    let old = world.client_ca.node(ID);
    let mut before = connect(address, &world.server_ca, Some(&old))
        .await
        .unwrap();
    let mut stream = next(&mut incoming).await;
    let mut stays = connect(address, &world.server_ca, Some(&staying.node(ID)))
        .await
        .unwrap();
    let mut stays_here = next(&mut incoming).await;

    // A key that is none is not put into force.
    write(&world.at().join("server.key"), "no key");
    until(&acceptor, |f| f.not_reloaded > 0).await;
    assert!(connect(address, &world.server_ca, Some(&old)).await.is_ok());
    drop(next(&mut incoming).await);

    // Another authority of servers; that of clients is believed still.
    world.server_ca = Authority::new("next servers");
    let server = world.server_ca.server(&["conductor.test"]);
    server.write(world.at(), "server");
    until(&acceptor, |f| f.reloaded > 0).await;
    assert!(is_open(&mut before, &mut stream).await);

    // And another one of clients, beside one that stays.
    let next_clients = Authority::new("next clients");
    let others = next_clients.pem() + &staying.pem();
    write(&world.at().join("clients.pem"), &others);
    let new = next_clients.node(ID);
    let arrive = async {
        loop {
            if let Ok(client) = connect(address, &world.server_ca, Some(&new)).await
                && let Ok(stream) =
                    tokio::time::timeout(Duration::from_millis(500), incoming.next()).await
            {
                return (client, stream.unwrap());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let (_client, arrived) = tokio::time::timeout(PATIENCE, arrive).await.unwrap();
    assert!(arrived.info().identity.is_ok());

    // The old authority's are not let in any more, and the old connection is ended, both ways.
    let refused = acceptor.figures().refused;
    let read = async {
        let mut client = connect(address, &world.server_ca, Some(&old)).await?;
        client.read_u8().await
    };
    assert!(read.await.is_err());
    until(&acceptor, |f| f.refused > refused).await;
    let here = tokio::time::timeout(PATIENCE, stream.read_u8()).await;
    let error = here.expect("it is open still").unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionAborted);
    assert!(stream.write_all(b"x").await.is_err());
    drop(stream);
    ended(&mut before).await;
    until(&acceptor, |f| f.ended == 1).await;
    assert!(is_open(&mut stays, &mut stays_here).await);
}

#[tokio::test]
async fn a_connection_ends_with_its_certificate() {
    let world = World::new();
    let (acceptor, mut incoming, address) = world.listen(world.config()).await;
    let long = world.client_ca.node(ID);
    let mut lives = connect(address, &world.server_ca, Some(&long))
        .await
        .unwrap();
    let mut lives_here = next(&mut incoming).await;
    // On a busy machine a certificate may be over before the handshake is: then one that lives longer.
    let mut ends = None;
    for seconds in [4, 20, 60] {
        let figures = acceptor.figures();
        let short = world.client_ca.issue(&Wanted {
            uris: &[ID],
            until: Some(SystemTime::now() + Duration::from_secs(seconds)),
            ..Wanted::default()
        });
        let client = connect(address, &world.server_ca, Some(&short)).await;
        until(&acceptor, |f| {
            (f.accepted, f.refused) != (figures.accepted, figures.refused)
        })
        .await;
        if acceptor.figures().accepted > figures.accepted {
            ends = Some((client.unwrap(), next(&mut incoming).await));
            break;
        }
    }
    let (mut ends, mut ends_here) = ends.expect("no handshake in time");
    // Nobody says anything: who reads is woken.
    let read = tokio::time::timeout(2 * PATIENCE, ends_here.read_u8()).await;
    assert!(read.expect("it is open still").is_err());
    drop(ends_here);
    ended(&mut ends).await;
    until(&acceptor, |f| f.ended == 1).await;
    assert!(is_open(&mut lives, &mut lives_here).await);
}

#[tokio::test]
async fn who_says_nothing_delays_nobody_and_is_dropped() {
    let world = World::new();
    let config = Config {
        handshake_seconds: 1,
        max_handshakes: 8,
        ..world.config()
    };
    let (acceptor, mut incoming, address) = world.listen(config).await;
    let mut silent = Vec::new();
    for _ in 0..7 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let right = world.client_ca.node(ID);
    let _client = connect(address, &world.server_ca, Some(&right))
        .await
        .unwrap();
    next(&mut incoming).await;
    until(&acceptor, |f| f.timed_out == 7).await;
    for mut silent in silent {
        // Closed by the server, one way or the other.
        assert!(silent.read_u8().await.is_err());
    }
    // More of them than handshakes at once: who is right waits, and comes in.
    let mut silent = Vec::new();
    for _ in 0..16 {
        silent.push(TcpStream::connect(address).await.unwrap());
    }
    let client = connect(address, &world.server_ca, Some(&right));
    tokio::time::timeout(PATIENCE, client)
        .await
        .unwrap()
        .unwrap();
    next(&mut incoming).await;
}

#[test]
fn files_that_cannot_be_used_are_told_of() {
    let world = World::new();
    let of = |change: &dyn Fn(&mut Config)| {
        let mut config = world.config();
        change(&mut config);
        Acceptor::new(config, &[H2]).err().unwrap()
    };
    let nothing = world.at().join("nothing.pem");
    write(&nothing, "");
    let error = of(&|c| c.certificate = world.at().join("missing.pem"));
    assert!(error.to_string().contains("missing.pem"), "{error}");
    let error = of(&|c| c.client_ca = nothing.clone());
    assert!(matches!(
        error,
        TlsError::Pem {
            what: "client_ca",
            ..
        }
    ));
    let error = of(&|c| c.key = nothing.clone());
    assert!(matches!(error, TlsError::Pem { what: "key", .. }));
    world.client_ca.node(ID).write(world.at(), "other");
    let error = of(&|c| c.key = world.at().join("other.key"));
    assert!(matches!(error, TlsError::Pair { .. }), "{error}");
    for name in ["", "spiffe://example.org", "Example.org"] {
        let error = of(&|c| c.trust_domain = name.to_owned());
        assert!(matches!(error, TlsError::TrustDomain { .. }), "{error}");
    }
}
