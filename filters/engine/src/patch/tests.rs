use std::cell::{Cell, RefCell};

use proptest::prelude::*;

use super::*;

/// Slots as a proxy has them; `refuse`: so many replacements of the index find that another was faster.
#[derive(Default)]
struct Memory {
    slots: RefCell<[Option<Vec<u8>>; KEPT]>,
    index: RefCell<(String, u32)>,
    refuse: Cell<usize>,
}

impl Slots for Memory {
    fn text(&self, slot: usize) -> Option<Vec<u8>> {
        self.slots.borrow()[slot].clone()
    }

    fn put(&self, slot: usize, text: &[u8]) -> Option<()> {
        self.slots.borrow_mut()[slot] = Some(text.to_vec());
        Some(())
    }

    fn index(&self) -> (String, Option<u32>) {
        let index = self.index.borrow();
        (index.0.clone(), Some(index.1))
    }

    fn set_index(&self, index: &str, state: Option<u32>) -> Option<()> {
        if let Some(left) = self.refuse.get().checked_sub(1) {
            self.refuse.set(left);
            return None;
        }
        let mut held = self.index.borrow_mut();
        if state != Some(held.1) {
            return None;
        }
        *held = (index.to_owned(), held.1 + 1);
        Some(())
    }
}

fn long(word: &str) -> Vec<u8> {
    format!("{{{}{word}}}", "x".repeat(LONG)).into_bytes()
}

fn patch(from: &[u8], to: &[u8]) -> Patch {
    let same = from.iter().zip(to).take_while(|(a, b)| a == b).count();
    let instead = String::from_utf8(to[same..].to_vec()).unwrap();
    Patch {
        from: sha256(from),
        to: sha256(to),
        edits: vec![(same, from.len() - same, instead)],
    }
}

fn sent(patch: &Patch) -> Vec<u8> {
    patch.to_json().unwrap().into_bytes()
}

/// Takes a configuration in, as a filter does.
fn take(sent: Vec<u8>, memory: &Memory) -> Result<Vec<u8>, PatchError> {
    let resolved = resolve(sent, memory)?;
    keep(&resolved, memory);
    Ok(resolved.text)
}

#[test]
fn a_patch_of_what_the_filter_has_is_the_new_text_and_can_be_patched_in_its_turn() {
    let memory = Memory::default();
    assert_eq!(take(long("a"), &memory).unwrap(), long("a"));
    for (from, to) in [("a", "bb"), ("bb", "c"), ("c", "a"), ("a", "bb")] {
        let sent = sent(&patch(&long(from), &long(to)));
        assert!(sent.len() < 300, "{}", sent.len());
        assert_eq!(take(sent, &memory).unwrap(), long(to));
    }
}

#[test]
fn a_patch_of_what_the_filter_does_not_have_is_refused() {
    let memory = Memory::default();
    let step = patch(&long("a"), &long("b"));
    assert_eq!(
        take(sent(&step), &memory),
        Err(PatchError::Unknown(step.from.clone()))
    );
    take(long("z"), &memory).unwrap();
    assert_eq!(
        take(sent(&step), &memory),
        Err(PatchError::Unknown(step.from.clone()))
    );
}

#[test]
fn a_machine_made_anew_resolves_the_last_patch_again_and_a_thread_behind_the_one_before() {
    let memory = Memory::default();
    take(long("0"), &memory).unwrap();
    let steps: Vec<Patch> = (0..9)
        .map(|n| patch(&long(&n.to_string()), &long(&(n + 1).to_string())))
        .collect();
    for (at, step) in steps.iter().enumerate() {
        take(sent(step), &memory).unwrap();
        for again in steps[at.saturating_sub(1)..=at].iter().chain([step]) {
            assert!(resolve(sent(again), &memory).is_ok(), "{at}");
        }
        // As often as it likes: that does not push out what the step is made of.
        for _ in 0..9 {
            take(sent(step), &memory).unwrap();
        }
    }
    assert_eq!(
        Index::read(&memory.index().0).0.len(),
        KEPT,
        "{:?}",
        memory.index()
    );
}

#[test]
fn a_text_that_was_replaced_under_its_name_is_noticed() {
    let memory = Memory::default();
    take(long("a"), &memory).unwrap();
    memory.put(0, &long("b")).unwrap();
    let step = sent(&patch(&long("a"), &long("aa")));
    assert_eq!(
        take(step, &memory),
        Err(PatchError::Unfit("the result is another text"))
    );
}

#[test]
fn when_threads_write_at_once_it_is_tried_again_and_given_up() {
    let memory = Memory::default();
    memory.refuse.set(KEPT - 1);
    take(long("a"), &memory).unwrap();
    assert!(resolve(sent(&patch(&long("a"), &long("b"))), &memory).is_ok());
    memory.refuse.set(KEPT);
    assert_eq!(
        take(long("c"), &memory).unwrap(),
        long("c"),
        "it is in force all the same"
    );
}

#[test]
fn short_texts_are_not_kept_and_nonsense_is_refused() {
    let memory = Memory::default();
    take(b"{}".to_vec(), &memory).unwrap();
    assert_eq!(memory.index().0, "");
    take(long("a"), &memory).unwrap();
    for nonsense in [
        r#"{"patch":"#,
        r#"{"patch":{}}"#,
        r#"{"patch":[]}"#,
        r#"{"patch":{"from":"","to":"","edits":[],"x":1}}"#,
    ] {
        let refused = take(nonsense.as_bytes().to_vec(), &memory);
        assert!(
            matches!(refused, Err(PatchError::Malformed(_))),
            "{nonsense}: {refused:?}"
        );
    }
    let mut step = patch(&long("a"), &long("b"));
    for edits in [
        vec![(9, 2, String::new()), (10, 0, String::new())],
        vec![(9, usize::MAX, String::new())],
        vec![(usize::MAX, 1, String::new())],
        vec![(0, LONG + 9, String::new())],
        vec![],
    ] {
        step.edits = edits;
        let refused = take(sent(&step), &memory);
        assert!(
            matches!(refused, Err(PatchError::Unfit(_))),
            "{:?}: {refused:?}",
            step.edits
        );
    }
    for index in ["", "9:aa", "x", "0:", ": : :", "0:a 0:a 0:a 0:a 0:a"] {
        assert!(Index::read(index).0.len() <= KEPT);
    }
}

proptest! {
    /// Whatever the edits say: the text that was meant, or none.
    #[test]
    fn another_text_never_comes_out(
        base in "[a-c]{0,40}",
        meant in "[a-c]{0,40}",
        edits in proptest::collection::vec((0usize..50, 0usize..50, "[a-c]{0,5}"), 0..5),
    ) {
        let mut step = patch(base.as_bytes(), meant.as_bytes());
        prop_assert_eq!(step.apply(base.as_bytes()).unwrap(), meant.as_bytes());
        step.edits = edits;
        if let Ok(text) = step.apply(base.as_bytes()) {
            prop_assert_eq!(text, meant.as_bytes());
        }
    }
}
