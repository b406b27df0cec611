//! From what is read to what is stored: the two areas do not know each other.

use decisions::{Batch, Checkpoint, Kind, Record};
use store::Gap;

/// A checkpoint as readers have it.
pub fn from_store(known: store::Checkpoint) -> Checkpoint {
    Checkpoint {
        file: decisions::FileId {
            dev: known.file.dev,
            ino: known.file.ino,
        },
        at: known.at,
        head: known.head,
        head_len: known.head_len,
        done: known.done,
    }
}

fn file(id: decisions::FileId) -> store::FileId {
    store::FileId {
        dev: id.dev,
        ino: id.ino,
    }
}

/// A batch as the store has it.
pub fn to_store(batch: Batch) -> store::Batch {
    let checkpoint = |c: Checkpoint| store::Checkpoint {
        file: file(c.file),
        at: c.at,
        head: c.head,
        head_len: c.head_len,
        done: c.done,
    };
    let gap = |g: decisions::Gap| Gap {
        file: g.file,
        at: g.at,
        why: g.why.to_owned(),
        detail: g.detail,
        sample: g.sample,
        time_ms: g.time_ms,
    };
    store::Batch {
        source: batch.source,
        decisions: batch.records.into_iter().map(decision).collect(),
        checkpoints: batch.checkpoints.into_iter().map(checkpoint).collect(),
        forget: batch.forget.into_iter().map(file).collect(),
        gaps: batch.gaps.into_iter().map(gap).collect(),
        lines: batch.lines,
        malformed: batch.malformed,
        undecided: batch.undecided,
        dropped: batch.dropped,
        mask_failures: batch.mask_failures,
    }
}

fn decision(record: Record) -> store::Decision {
    store::Decision {
        id: record.id,
        kind: match record.kind {
            Kind::Gateway => store::Kind::Gateway,
            Kind::Undecided => store::Kind::Undecided,
            Kind::Opa => store::Kind::Opa,
            Kind::Guard => store::Kind::Guard,
        },
        beside: record.beside,
        time_ms: record.time_ms,
        node: record.node,
        revision: record.revision,
        tenant: record.tenant,
        outcome: record.outcome,
        response_code: record.response_code,
        duration_ms: record.duration_ms,
        own_us: record.own_us,
        masked: record.masked,
        store: record.store,
        store_region: record.store_region,
        line: record.line,
    }
}
