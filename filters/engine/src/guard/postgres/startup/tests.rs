use super::*;

fn packet(code: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 8).unwrap();
    [&length.to_be_bytes(), &code.to_be_bytes(), body].concat()
}

fn version_3(body: &[u8]) -> Vec<u8> {
    packet(3 << 16, body)
}

/// As psql 17 sends it: `psql "host=127.0.0.1 user=app dbname=acme sslmode=disable
/// options='-c ig.context=T'"`.
const PSQL: &[u8] = b"\0\0\0\x63\0\x03\0\0user\0app\0database\0acme\0options\0-c ig.context=T\0\
    application_name\0psql\0client_encoding\0UTF8\0\0";

#[test]
fn what_psql_sends_is_read() {
    let (packet, size) = read(PSQL).unwrap().unwrap();
    let want = Startup {
        user: "app",
        database: "acme",
        options: "-c ig.context=T",
        application_name: "psql",
        replication: false,
    };
    assert_eq!((packet, size), (Packet::Startup(want), PSQL.len()));
    for cut in 0..PSQL.len() {
        assert_eq!(read(&PSQL[..cut]), Ok(None), "{cut}");
    }
}

#[test]
fn requests_are_told_apart_by_code_and_length() {
    for (bytes, want) in [
        (packet(TLS, b""), Ok(Some((Packet::Tls, 8)))),
        (packet(GSS, b""), Ok(Some((Packet::Gss, 8)))),
        (packet(CANCEL, &[7; 8]), Ok(Some((Packet::Cancel, 16)))),
        (packet(CANCEL, &[7; 260]), Ok(Some((Packet::Cancel, 268)))),
        (packet(TLS, b"x"), Err(StartupError::Alien)),
        (packet(CANCEL, &[7; 7]), Err(StartupError::Alien)),
        (packet(CANCEL, &[7; 261]), Err(StartupError::Alien)),
        (packet(2 << 16, b""), Err(StartupError::Version)),
        (packet(4 << 16, b""), Err(StartupError::Version)),
        (b"GET / HTTP/1.1\r\n".to_vec(), Err(StartupError::Alien)),
        (b"\x16\x03\x01\x02\0\x01".to_vec(), Err(StartupError::Alien)),
        (b"G".to_vec(), Err(StartupError::Alien)),
        (b"\0\0\0\x07\0\x03\0\0".to_vec(), Err(StartupError::Alien)),
        (b"\0\0\x27\x11".to_vec(), Err(StartupError::Alien)),
        (b"\0\0\x27\x10\0\x03".to_vec(), Ok(None)),
        (b"".to_vec(), Ok(None)),
        (b"\0".to_vec(), Ok(None)),
    ] {
        assert_eq!(read(&bytes), want, "{bytes:?}");
    }
}

#[test]
fn parameters_are_read_as_the_server_reads_them() {
    let user = |body: &[u8]| version_3(&[&b"user\0app\0"[..], body, b"\0"].concat());
    for (body, replication) in [
        (&b""[..], false),
        (b"replication\0false\0", false),
        (b"replication\0database\0", true),
        (b"replication\0ON\0", true),
    ] {
        let bytes = user(body);
        let Ok(Some((Packet::Startup(startup), _))) = read(&bytes) else {
            panic!("{body:?}")
        };
        assert_eq!(
            (startup.database, startup.replication),
            ("app", replication)
        );
    }
    let minor = packet((3 << 16) + 2, b"user\0app\0_pq_.x\0on\0\0");
    assert!(matches!(read(&minor), Ok(Some((Packet::Startup(_), _)))));
    for (bytes, want) in [
        (version_3(b""), StartupError::Layout),
        (version_3(b"\0"), StartupError::NoUser),
        (version_3(b"user\0\0\0"), StartupError::NoUser),
        (version_3(b"user\0app"), StartupError::Layout),
        (version_3(b"user\0app\0"), StartupError::Layout),
        (version_3(b"user\0app\0\0x"), StartupError::Layout),
        (user(b"user\0other\0"), StartupError::Twice),
        (user(b"database\0a\0database\0b\0"), StartupError::Twice),
        (
            user(b"application_name\0a\0Application_Name\0b\0"),
            StartupError::Twice,
        ),
        (user(b"database\0\xff\0"), StartupError::Text),
    ] {
        assert_eq!(read(&bytes), Err(want), "{bytes:?}");
    }
}
