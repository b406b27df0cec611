/// The most bytes that a store keeps.
const MOST: usize = 64 << 20;

/// What a row, an object, a node or an empty database costs beside its text.
const ENTRY: usize = 256;

/// How much of a store's memory is taken.
#[derive(Debug, Default)]
pub(super) struct Room {
    taken: usize,
}

impl Room {
    /// Takes the room of one more entry of these texts, if there is any.
    pub(super) fn take(&mut self, texts: &[usize]) -> bool {
        let taken = self.taken + size(texts);
        let fits = taken <= MOST;
        if fits {
            self.taken = taken;
        }
        fits
    }

    /// Gives back what [`Self::take`] took.
    pub(super) fn give_back(&mut self, texts: &[usize]) {
        self.taken = self.taken.saturating_sub(size(texts));
    }
}

fn size(texts: &[usize]) -> usize {
    ENTRY + texts.iter().sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_store_takes_again_what_it_gave_up() {
        let mut room = Room::default();
        let half = MOST / 2;
        assert!(room.take(&[half - ENTRY - 1, 1]));
        assert!(!room.take(&[half]));
        assert!(room.take(&[half - ENTRY]));
        assert!(!room.take(&[]));
        room.give_back(&[half - ENTRY]);
        assert!(room.take(&[]));
    }
}
