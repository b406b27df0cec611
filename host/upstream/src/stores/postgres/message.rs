//! Messages after the first: a type of one byte, a length of four that counts itself, and a body.

use std::io;

use tokio::io::{AsyncRead, AsyncReadExt};

use crate::stores::LONGEST;

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Received {
    Message {
        kind: u8,
        body: Vec<u8>,
    },
    /// A length that no message has, or none that is taken here.
    BadLength,
    /// The client is gone, in the middle of a message maybe.
    End,
}

pub(super) async fn receive(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<Received> {
    let mut head = [0; 5];
    let mut filled = 0;
    while let Some(free @ [_, ..]) = head.get_mut(filled..) {
        match stream.read(free).await? {
            0 => return Ok(Received::End),
            read => filled += read,
        }
    }
    let [kind, length @ ..] = head;
    let length = u64::from(u32::from_be_bytes(length));
    let longest = u64::try_from(LONGEST).unwrap_or(u64::MAX);
    let Some(length) = length.checked_sub(4).filter(|length| *length <= longest) else {
        return Ok(Received::BadLength);
    };
    // As much memory as has come, not as was announced.
    let mut body = Vec::new();
    let read = stream.take(length).read_to_end(&mut body).await?;
    Ok(match u64::try_from(read) == Ok(length) {
        true => Received::Message { kind, body },
        false => Received::End,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn received(mut bytes: &[u8]) -> Received {
        let received = receive(&mut bytes).await;
        received.expect("bytes in memory do not fail")
    }

    #[tokio::test]
    async fn a_message_is_whole_or_none() {
        let whole = Received::Message {
            kind: b'Q',
            body: b"ab\0".to_vec(),
        };
        let bytes = b"Q\0\0\0\x07ab\0";
        assert_eq!(received(bytes).await, whole);
        for cut in 0..bytes.len() {
            assert_eq!(received(&bytes[..cut]).await, Received::End, "{cut}");
        }
        for length in [0_u32, 3, (1 << 20) + 5, u32::MAX] {
            let bytes = [&b"Q"[..], &length.to_be_bytes()].concat();
            assert_eq!(received(&bytes).await, Received::BadLength, "{length}");
        }
    }
}
