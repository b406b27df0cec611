use super::*;

fn chunked(message: &[u8], size: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    for chunk in message.chunks(size) {
        bytes.extend(u16::try_from(chunk.len()).unwrap().to_be_bytes());
        bytes.extend(chunk);
    }
    bytes.extend([0, 0]);
    bytes
}

/// `{user_agent: "app ig.context=T", scheme: "none"}` of HELLO.
const HELLO_AGENT: &[u8] = b"\xb1\x01\xa2\x8auser_agent\xd0\x10app ig.context=T\x86scheme\x84none";
/// `{routing: {address: "a", ig_context: "T"}}`.
const HELLO_ROUTING: &[u8] = b"\xb1\x01\xa1\x87routing\xa2\x87address\x81a\x8aig_context\x81T";
/// `{user_agent: "app", bolt_agent: {product: "p"}}`.
const HELLO_BARE: &[u8] = b"\xb1\x01\xa2\x8auser_agent\x83app\x8abolt_agent\xa1\x87product\x81p";
/// `{scheme: "x", parameters: {ig_context: "T"}}` of LOGON.
const LOGON_PARAMETERS: &[u8] = b"\xb1\x6a\xa2\x86scheme\x81x\x8aparameters\xa1\x8aig_context\x81T";

#[test]
fn the_token_is_found_in_whatever_chunks() {
    let token = Some(b"T".to_vec());
    for (message, want) in [
        (HELLO_AGENT, Greeting::Hello(token.clone())),
        (HELLO_ROUTING, Greeting::Hello(token.clone())),
        (HELLO_BARE, Greeting::Hello(None)),
        (LOGON_PARAMETERS, Greeting::Logon(token)),
    ] {
        for size in [1, 2, 7, 1000] {
            for alive in [&b""[..], b"\0\0", b"\0\0\0\0"] {
                let bytes = [alive, &chunked(message, size)].concat();
                for cut in 0..bytes.len() {
                    assert_eq!(read(&bytes[..cut]), Ok(None), "{cut}");
                }
                let more = [&bytes[..], b"more"].concat();
                assert_eq!(read(&more), Ok(Some((want.clone(), bytes.len()))));
            }
        }
    }
}

#[test]
fn what_is_no_greeting_is_refused() {
    for (message, want) in [
        (&b"\xb0\x0f"[..], MessageError::Order),
        (b"\xb3\x10\x81q\xa0\xa0", MessageError::Order),
        (b"\xb0\x01", MessageError::Order),
        (b"\xb1\x01\x01", MessageError::Layout),
        (b"\xb1\x01\xa1\x01\x01", MessageError::Layout),
        (b"\xb1\x01\xa0\x01", MessageError::Layout),
        (b"\xb1", MessageError::Layout),
        (
            b"\xb1\x01\xa1\x8auser_agent\xd0\x1aig.context=T  ig.context=T",
            MessageError::Twice,
        ),
    ] {
        assert_eq!(read(&chunked(message, 100)), Err(want), "{message:x?}");
    }
}

#[test]
fn a_failure_reads_as_the_version_wants_it() {
    let denial = Denial {
        kind: DenialKind::Rules,
        code: "CROSS_REGION".into(),
        message: "no".into(),
    };
    for (minor, entries, code) in [
        (
            6,
            2,
            &b"\x84code\xd0\x22Neo.ClientError.Security.Forbidden"[..],
        ),
        (7, 4, b"\x8aneo4j_code\xd0\x22Neo"),
    ] {
        let bytes = failure(Version { major: 5, minor }, &denial, "dec_1");
        let (message, size) = unchunk(&bytes).unwrap();
        assert_eq!(size, bytes.len());
        let mut reader = Reader(&message);
        assert_eq!(reader.structure(), Ok((1, FAILURE)));
        assert_eq!(reader.map(), Ok(entries));
        assert_eq!(reader.string(), Ok(&b"message"[..]));
        assert_eq!(
            reader.string(),
            Ok(&b"no (CROSS_REGION, decision dec_1)"[..])
        );
        assert!(message.windows(code.len()).any(|w| w == code));
    }
}
