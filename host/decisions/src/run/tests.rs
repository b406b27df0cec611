use std::sync::{Arc, Mutex};

use super::*;
use crate::error::SinkError;
use crate::record::Checkpoint;

/// A store that is full until it is told otherwise.
#[derive(Clone, Default)]
struct Full {
    seen: Arc<Mutex<Seen>>,
}

#[derive(Default)]
struct Seen {
    room: bool,
    tries: Vec<Instant>,
    stored: u64,
    troubles: Vec<bool>,
}

impl Sink for Full {
    async fn checkpoints(&self, _: &str) -> Result<Vec<Checkpoint>, SinkError> {
        Ok(Vec::new())
    }

    async fn commit(&self, batch: Batch) -> Result<(), SinkError> {
        let mut seen = self.seen.lock().unwrap();
        seen.tries.push(Instant::now());
        if !seen.room {
            return Err("the disk is full".into());
        }
        seen.stored += batch.lines;
        Ok(())
    }

    async fn node_status(&self, _: &str, _: i64, _: &str) -> Result<(), SinkError> {
        Ok(())
    }

    fn trouble(&self, _: &str, what: Option<&str>) {
        let mut seen = self.seen.lock().unwrap();
        if seen.troubles.last() != Some(&what.is_some()) {
            seen.troubles.push(what.is_some());
        }
    }
}

async fn until(sink: &Full, is: impl Fn(&Seen) -> bool) {
    let found = async {
        while !is(&sink.seen.lock().unwrap()) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), found)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_store_that_is_full_is_in_trouble_until_it_stores() {
    let log = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(log.path(), "{\"response_code\":503}\n").unwrap();
    let sink = Full::default();
    let (stop, stopped) = watch::channel(false);
    let config = DecisionsConfig::default();
    let path = log.path().to_owned();
    let following = tokio::spawn({
        let sink = sink.clone();
        async move { follow(path, &config, None, sink, false, stopped).await }
    });
    until(&sink, |seen| seen.tries.len() == 4).await;
    {
        let mut seen = sink.seen.lock().unwrap();
        // That it can be read says nothing of the store.
        assert_eq!(seen.troubles, [true]);
        // 100, 200 and 400 ms at least.
        let waited = seen.tries[3].duration_since(seen.tries[0]);
        assert!(waited >= Duration::from_millis(700), "{waited:?}");
        seen.room = true;
    }
    until(&sink, |seen| seen.troubles.len() == 2).await;
    stop.send(true).unwrap();
    following.await.unwrap().unwrap();
    let seen = sink.seen.lock().unwrap();
    assert_eq!(
        (seen.stored, seen.troubles.as_slice()),
        (1, &[true, false][..])
    );
}
