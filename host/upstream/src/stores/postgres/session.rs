//! A connection from its first byte to its last.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    time::timeout,
};

use super::{
    answer::{Answer, Report},
    databases::Databases,
    message::{self, Received},
    sql::{KNOWN, Query},
    startup::{self, Opening, Startup},
};
use crate::stores::{statement::Statement, store::Shared};

/// How long a client may take to say what it wants.
const OPENING: Duration = Duration::from_secs(10);

/// What a client is told of the server; a version that its tools know.
const PARAMETERS: [(&str, &str); 9] = [
    ("server_version", "15.0"),
    ("server_encoding", "UTF8"),
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO, MDY"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("integer_datetimes", "on"),
    ("standard_conforming_strings", "on"),
    ("is_superuser", "off"),
];

pub(super) async fn run(
    shared: &Shared<Databases>,
    stream: impl AsyncRead + AsyncWrite + Unpin,
) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let Ok(opening) = timeout(OPENING, startup::open(&mut stream)).await else {
        return Ok(());
    };
    let mut answer = Answer::default();
    let startup = match opening? {
        Opening::Closed => return Ok(()),
        Opening::Refused(report) => return end(&mut stream, &report).await,
        Opening::Session(startup) => startup,
    };
    let connected = shared.contents().connect(&startup.database);
    if let Err(report) = connected {
        return end(&mut stream, &report).await;
    }
    welcome(&startup, &mut answer);
    send(&mut stream, &answer).await?;
    serve(shared, &startup.database, &mut stream).await
}

fn welcome(startup: &Startup, answer: &mut Answer) {
    if startup.newer || !startup.options.is_empty() {
        answer.older(&startup.options);
    }
    answer.authenticated();
    for (name, value) in PARAMETERS {
        answer.parameter(name, value);
    }
    answer.parameter("session_authorization", &startup.user);
    answer.cancel_key();
    answer.ready();
}

async fn serve(
    shared: &Shared<Databases>,
    database: &str,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> io::Result<()> {
    // After an error in an extended query everything up to its end is skipped.
    let mut skipping = false;
    loop {
        let (kind, body) = match message::receive(stream).await? {
            Received::Message { kind, body } => (kind, body),
            Received::BadLength => {
                return end(stream, &Report::new("08P01", "invalid message length")).await;
            }
            Received::End => return Ok(()),
        };
        let mut answer = Answer::default();
        match kind {
            // Terminate
            b'X' => return Ok(()),
            // Sync
            b'S' => {
                skipping = false;
                answer.ready();
            }
            _ if skipping => continue,
            // Query
            b'Q' => {
                shared.counters.request();
                if let Err(report) = query(shared, database, &body, &mut answer) {
                    answer.error(&report);
                }
                answer.ready();
            }
            // Parse, Bind, Describe, Execute, Close
            b'P' | b'B' | b'D' | b'E' | b'C' => {
                shared.counters.request();
                skipping = true;
                answer.error(&unknown("extended queries are not served"));
            }
            // FunctionCall
            b'F' => {
                shared.counters.request();
                answer.error(&unknown("function calls are not served"));
                answer.ready();
            }
            // Flush: nothing is held back. CopyData, CopyDone, CopyFail: of a copy that has failed.
            b'H' | b'd' | b'c' | b'f' => {}
            _ => {
                let message = format!("invalid frontend message type {kind}");
                return end(stream, &Report::new("08P01", message)).await;
            }
        }
        send(stream, &answer).await?;
    }
}

fn query(
    shared: &Shared<Databases>,
    database: &str,
    body: &[u8],
    answer: &mut Answer,
) -> Result<(), Report> {
    let text = match body.split_last() {
        Some((0, text)) if !text.contains(&0) => text,
        _ => return Err(Report::new("08P01", "invalid string in message")),
    };
    let text = std::str::from_utf8(text)
        .map_err(|_| Report::new("22021", "invalid byte sequence for encoding \"UTF8\""))?;
    let statement = Statement::read(text);
    let query = statement.as_ref().and_then(Query::of);
    let query = query.ok_or_else(|| unknown("this statement is not served"))?;
    shared
        .contents()
        .execute(database, &shared.region, &query, answer)
}

fn unknown(what: &str) -> Report {
    Report::new("0A000", format!("{what}. {KNOWN}"))
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), answer: &Answer) -> io::Result<()> {
    stream.write_all(answer.bytes()).await?;
    stream.flush().await
}

async fn end(stream: &mut (impl AsyncWrite + Unpin), report: &Report) -> io::Result<()> {
    let mut answer = Answer::default();
    answer.fatal(report);
    send(stream, &answer).await?;
    stream.shutdown().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncReadExt;

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_say_what_it_wants_is_let_go() {
        let shared = Shared::new("eu");
        for said in [&b""[..], b"\0\0\0\x20", b"\0\0\0\x08\x04\xd2\x16\x2f"] {
            let (mut client, server) = tokio::io::duplex(64);
            client.write_all(said).await.expect("room");
            run(&shared, server).await.expect("no error of the stream");
            let mut heard = Vec::new();
            client.read_to_end(&mut heard).await.expect("an end");
            assert!(heard.is_empty() || heard == b"N", "{heard:?}");
        }
    }
}
