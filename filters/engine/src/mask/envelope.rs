//! What stands around `data` in a response (GraphQL specification §7.1).

use crate::json::{Action, Field, Literal, Node, Program};

/// What is let through of `errors` and `extensions`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Envelope {
    /// All of it: for callers whom the policy trusts with it.
    Verbatim,
    /// Of an error: its path, its locations, and its code if it is one of these; the message is
    /// replaced. Extensions are left out: servers echo values in all of these places.
    Generic {
        /// The codes that may pass, sorted.
        codes: Vec<Box<str>>,
    },
}

fn field(key: &str, action: Action) -> Field {
    Field {
        key: key.into(),
        action,
    }
}

/// Adds the node of the whole response to a program whose nodes describe `data`.
pub(super) fn enclose(
    program: &mut Program,
    data: Action,
    envelope: &Envelope,
    mut keys: Vec<Box<str>>,
) {
    let push = |program: &mut Program, fields| {
        program.nodes.push(Node::new(fields));
        (program.nodes.len() - 1) as u32
    };
    let fields = match envelope {
        Envelope::Verbatim => vec![
            field("data", data),
            field("errors", Action::Any),
            field("extensions", Action::Any),
        ],
        Envelope::Generic { codes } => {
            keys.sort_unstable();
            keys.dedup();
            program.sets = vec![keys.into(), codes.clone().into()];
            let locations = push(
                program,
                vec![
                    field("line", Action::Number),
                    field("column", Action::Number),
                ],
            );
            let extensions = push(program, vec![field("code", Action::OneOf(1))]);
            let error = push(
                program,
                vec![
                    field("message", Action::Replace(Literal::ErrorMessage)),
                    field("locations", Action::Object(locations)),
                    field("path", Action::Path(0)),
                    field("extensions", Action::Object(extensions)),
                ],
            );
            vec![field("data", data), field("errors", Action::Object(error))]
        }
    };
    program.root = push(program, fields);
}
