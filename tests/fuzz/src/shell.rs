//! The whole filters as Wasm under the harness, beside the engine alone: one outcome, no trap.

use std::cell::RefCell;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use e2e::{Case, Kind, Native, Wasm, bundle, case};
use harness::EndOfBody;
use serde_json::json;

use crate::bytes::{Bytes, splits};

/// Exchanges after which instances are made anew.
const FRESH: u32 = 500;

struct Both {
    native: Native,
    wasm: Wasm,
    runs: u32,
}

impl Both {
    fn new() -> Self {
        Self {
            native: Native::new(bundle()),
            wasm: Wasm::new(bundle()),
            runs: 0,
        }
    }
}

thread_local! {
    static BOTH: RefCell<Option<Both>> = const { RefCell::new(None) };
}

const TYPES: [Option<&str>; 6] = [
    Some("application/json"),
    Some("multipart/mixed; boundary=\"-\""),
    Some("text/event-stream"),
    Some("text/csv"),
    Some("text/html"),
    None,
];

/// The exchange of any bytes: a few that choose, the request's body, and behind a 255 the
/// response's.
fn exchange(data: &[u8]) -> (Case, Vec<Vec<u8>>, EndOfBody) {
    let mut bytes = Bytes::new(data);
    let role = *bytes.pick(&["analyst", "support", "admin", "nobody"]);
    let method = *bytes.pick(&["POST", "POST", "POST", "GET"]);
    let content_type = *bytes.pick(&TYPES);
    let encoding = *bytes.pick(&[None, None, None, Some("gzip"), Some("br")]);
    let status = *bytes.pick(&[200, 200, 400, 500]);
    let trailers = bytes.below(8) == 0;
    let seed = bytes.next();
    let end = *bytes.pick(&[EndOfBody::Alone, EndOfBody::WithLastPiece]);
    let rest = bytes.rest();
    let cut = rest.iter().position(|b| *b == 255).unwrap_or(rest.len());
    let request = &rest[..cut];
    let response = rest.get(cut + 1..).unwrap_or_default();
    let mut headers = serde_json::Map::new();
    headers.insert("content-type".into(), json!(content_type));
    if let Some(encoding) = encoding {
        headers.insert("content-encoding".into(), json!(encoding));
    }
    let mut input = json!({
        "gateway_region": "eu",
        "claims": {"sub": "ann", "tenant": "acme", "roles": [role], "purposes": ["analytics"]},
        "request": {"method": method},
        "response": {"status": status, "headers": headers,
                     "body_base64": STANDARD.encode(response)},
    });
    if method == "POST" {
        input["request"]["body_base64"] = json!(STANDARD.encode(request));
    } else {
        let printable = request.iter().filter(|b| b.is_ascii_graphic());
        let query: String = printable.map(|b| char::from(*b)).collect();
        input["request"]["path"] = json!(format!("/graphql?{query}"));
    }
    if trailers {
        input["response"]["trailers"] = json!({"x-trailer": "t"});
    }
    let [_, _, pieces] = splits(response, seed);
    let pieces = pieces.into_iter().map(<[u8]>::to_vec).collect();
    (
        case("fuzzed", Kind::Masking, &input, &json!({})),
        pieces,
        end,
    )
}

/// An exchange through both: the outcomes are equal, and nothing traps.
pub fn shell(data: &[u8]) {
    // Pieces are hostcalls: what is long proves no more.
    if data.len() > 8192 {
        return;
    }
    let (case, pieces, end) = exchange(data);
    BOTH.with_borrow_mut(|both| {
        let both = both.get_or_insert_with(Both::new);
        both.runs += 1;
        if both.runs > FRESH {
            *both = Both::new();
        }
        let native = both.native.run(&case, &pieces);
        let wasm = both.wasm.run(&case, &pieces, end);
        assert_eq!(native, wasm);
    });
}
