//! Bodies of responses in all their forms.

use std::sync::{Arc, LazyLock};

use engine::body::{
    BatchBody, BodyError, BodyLimits, CsvBody, Encoding, EventsBody, Form, Inflate, JsonBody,
    LinesBody, MultipartBody,
};
use engine::config::{Format, RouteConfig};
use engine::json::Limits;
use engine::mask::{self, Plan, RoutePlan};
use engine::policy::Surface;

use crate::bytes::{Bytes, splits};
use crate::setting::{KEYRING, SCHEMA, envelope, plan, table};

static PLAN: LazyLock<Arc<Plan>> = LazyLock::new(|| {
    plan(
        "{ me { ...P boss { ...P firm { name tax owner { name } } } } \
         people { __typename id email salary tags more } \
         search { __typename ... on Person { x: name } ... on Firm { x: tax staff { email } } } \
         a: __typename @defer(label: \"l\") any } \
         fragment P on Person { id name email kind }",
    )
});

static REFUSED: LazyLock<Arc<Plan>> = LazyLock::new(|| Arc::new(mask::refused(&envelope())));

static ROUTE: LazyLock<Arc<RoutePlan>> = LazyLock::new(|| {
    let config = RouteConfig {
        name: "people".into(),
        path: "/people".into(),
        methods: vec!["GET".into()],
        surface: Surface::Export,
        format: Format::Auto,
        of: "Person".into(),
        at: "items".into(),
        pass: vec!["page".into()],
        columns: [("mail".to_owned(), "Person.email".to_owned())].into(),
        compared: Default::default(),
    };
    let (table, keys) = (table(Surface::Export), Some((&*KEYRING, "acme")));
    let plan = mask::compile_route(&SCHEMA, &config, &table, keys, mask::Limits::default());
    Arc::new(plan.expect("the route fits the schema"))
});

const LIMITS: BodyLimits = BodyLimits {
    json: Limits {
        depth: 100,
        token: 4096,
        held: 4096,
        keys: 4096,
    },
    part: 1 << 20,
};

fn form(which: usize) -> Box<dyn Form> {
    match which {
        0 => Box::new(JsonBody::new(&PLAN, LIMITS)),
        1 => Box::new(BatchBody::new(
            vec![PLAN.clone(), PLAN.clone()],
            REFUSED.clone(),
            LIMITS,
        )),
        2 => Box::new(MultipartBody::new(&PLAN, LIMITS, "-")),
        3 => Box::new(EventsBody::new(&PLAN, LIMITS)),
        4 => Box::new(CsvBody::new(&ROUTE, LIMITS)),
        5 => Box::new(LinesBody::new(&ROUTE.plan, LIMITS, ROUTE.row)),
        _ => Box::new(JsonBody::at(&ROUTE.plan, LIMITS, ROUTE.document)),
    }
}

/// How many times longer than itself a body may be decoded.
const RATIO: u32 = 20;

fn run(which: usize, encoding: Option<Encoding>, pieces: &[&[u8]]) -> Result<Vec<u8>, BodyError> {
    let mut form = form(which);
    let mut inflate = encoding.map(|e| Inflate::new(e, RATIO));
    let mut out = Vec::new();
    let mut taken = 0;
    for piece in pieces {
        match &mut inflate {
            None => {
                taken += piece.len();
                form.push(piece, &mut out)?;
            }
            Some(inflate) => inflate.push(piece, |piece| {
                taken += piece.len();
                form.push(piece, &mut out)
            })?,
        }
        // A header row that is not known to be one yet is held as it will go out, and each of its
        // names may have become `[REDACTED]`.
        let bound = 12 * taken + 16;
        assert!(form.held() <= bound, "it holds {} bytes", form.held());
    }
    if let Some(inflate) = &mut inflate {
        inflate.finish(|piece| {
            taken += piece.len();
            form.push(piece, &mut out)
        })?;
    }
    form.finish(&mut out)?;
    assert!(
        out.len() <= 40 * taken + 256,
        "{taken} became {}",
        out.len()
    );
    let _ = (form.stats(), form.maskers().len());
    Ok(out)
}

/// A body of any form, plain or compressed: however it is cut, what becomes of it is one.
pub fn bodies(data: &[u8]) {
    let mut bytes = Bytes::new(data);
    let which = bytes.below(7);
    let encoding = *bytes.pick(&[
        None,
        None,
        None,
        Some(Encoding::Gzip),
        Some(Encoding::Deflate),
    ]);
    let seed = bytes.next();
    let [whole, others @ ..] = splits(bytes.rest(), seed).map(|p| run(which, encoding, &p));
    for other in others {
        // How much was taken in when too much came out depends on the pieces, and so does what
        // was written of a body before it broke off.
        if [&whole, &other].contains(&&Err(BodyError::Expands)) {
            continue;
        }
        match (&whole, &other) {
            // Of several faults, which one is met first depends on the pieces.
            (Err(_), Err(_)) => {}
            _ => assert_eq!(whole, other, "by how it is cut"),
        }
    }
}
