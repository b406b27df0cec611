//! The rewriter, with any program and any text.

use std::sync::Arc;

use engine::json::{
    Action, Field, JsonError, Limits, Literal, Masker, Node, Program, Rewriter, Scalar, push_string,
};
use serde::de::IgnoredAny;

use crate::bytes::{Bytes, splits};

const NAMES: [&str; 8] = ["a", "b", "c", "__typename", "é", "q\"", "", "data"];

/// Writes what it is given, so that a difference shows.
struct Show;

impl Masker for Show {
    fn scalar(&mut self, mask: u32, depth: u8, value: Scalar<'_>, out: &mut Vec<u8>) {
        let text = match value {
            Scalar::String(s) => s.decode().into_owned(),
            other => format!("{other:?}"),
        };
        push_string(&format!("{mask}.{depth} {text}"), out);
    }

    fn whole(&mut self, mask: u32, depth: u8, out: &mut Vec<u8>) {
        push_string(&format!("{mask}.{depth} whole"), out);
    }
}

fn action(bytes: &mut Bytes<'_>, nodes: usize) -> Action {
    match bytes.below(12) {
        0 => Action::Any,
        1 | 2 => Action::Scalar,
        3..=5 => Action::Object(bytes.below(nodes + 1) as u32),
        6 | 7 => Action::Mask(u32::from(bytes.next())),
        8 => Action::Replace(Literal::ErrorMessage),
        9 => Action::Drop,
        10 => Action::Path(0),
        _ => *bytes.pick(&[Action::OneOf(0), Action::OneOf(1), Action::Number]),
    }
}

fn program(bytes: &mut Bytes<'_>) -> Program {
    let count = 1 + bytes.below(4);
    let mut nodes: Vec<Node> = Vec::new();
    for _ in 0..count {
        let names: Vec<&str> = (0..bytes.below(6)).map(|_| *bytes.pick(&NAMES)).collect();
        let fields = |bytes: &mut Bytes<'_>| -> Vec<Field> {
            let fields = names.iter().map(|key| Field {
                key: (*key).into(),
                action: action(bytes, count),
            });
            fields.collect()
        };
        let mut node = Node::new(fields(bytes));
        if bytes.below(4) == 0 {
            node.unknown = action(bytes, count);
        }
        let typename = names.iter().position(|n| *n == "__typename");
        if let Some(at) = typename {
            // A node to switch to has the same members.
            let other = Node::new(fields(bytes));
            let id = nodes.len() as u32;
            nodes.push(other);
            node.typename = Some(at as u16);
            node.switch = Box::new([("A".into(), id)]);
        }
        nodes.push(node);
    }
    Program {
        root: bytes.below(nodes.len()) as u32,
        nodes,
        sets: vec![Box::new(["data".into(), "é".into()])],
    }
}

fn rewrite(
    program: &Arc<Program>,
    limits: Limits,
    at: Option<Action>,
    pieces: &[&[u8]],
) -> Result<Vec<u8>, JsonError> {
    let mut rewriter = match at {
        None => Rewriter::new(program.clone(), limits),
        Some(action) => Rewriter::at(program.clone(), limits, action, 0),
    };
    let mut out = Vec::new();
    for piece in pieces {
        rewriter.push(piece, &mut Show, &mut out)?;
        assert!(
            rewriter.held() <= limits.held + limits.token + piece.len(),
            "it holds {} bytes",
            rewriter.held()
        );
    }
    rewriter.finish()?;
    Ok(out)
}

/// However the text is cut, the outcome is one; what is accepted was JSON and is JSON.
pub fn rewriter(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let seed = bytes.next();
    let limits = Limits {
        depth: 100,
        held: 16 << bytes.below(6),
        token: 32 << bytes.below(6),
        keys: 4 + bytes.below(64),
    };
    let program = Arc::new(program(&mut bytes));
    let at = (bytes.below(2) == 1).then(|| action(&mut bytes, program.nodes.len()));
    let text = bytes.rest();
    let [whole, others @ ..] = splits(text, seed).map(|p| rewrite(&program, limits, at, &p));
    for other in others {
        match (&whole, &other) {
            // Of several faults, which one is met first depends on the pieces.
            (Err(_), Err(_)) => {}
            _ => assert_eq!(other, whole, "by how it is cut"),
        }
    }
    if let Ok(out) = whole {
        let json = |text: &[u8]| serde_json::from_slice::<IgnoredAny>(text);
        assert!(json(text).is_ok(), "accepted what is no JSON");
        // A document that is left out whole leaves nothing.
        assert!(
            json(&out).is_ok() || at == Some(Action::Drop),
            "made what is no JSON: {}",
            String::from_utf8_lossy(&out)
        );
        assert!(out.len() <= 64 * text.len() + 64, "grew to {}", out.len());
    }
}
