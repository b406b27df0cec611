//! A bounded map.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

/// A bounded map that forgets what was not used lately: two generations, of which the older is
/// dropped when the newer is full. Looking up and inserting are O(1).
#[derive(Debug)]
pub struct Cache<K, V> {
    young: HashMap<K, (V, usize)>,
    old: HashMap<K, (V, usize)>,
    /// Entries of a generation.
    entries: usize,
    /// What the entries of a generation may weigh together.
    budget: usize,
    /// What the young ones weigh.
    weight: usize,
}

impl<K: Hash + Eq, V: Clone> Cache<K, V> {
    /// A cache of up to `entries` entries.
    pub fn new(entries: usize) -> Self {
        Self::weighing(entries, usize::MAX)
    }

    /// A cache of up to `entries` entries that weigh up to `budget` together, in the unit of
    /// [`Cache::insert_weighing`]; a heavier one is kept until the next comes.
    pub fn weighing(entries: usize, budget: usize) -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
            entries: (entries / 2).max(1),
            budget: budget / 2,
            weight: 0,
        }
    }

    /// The entry of a key.
    pub fn get<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<V>
    where
        K: Borrow<Q>,
    {
        if let Some((value, _)) = self.young.get(key) {
            return Some(value.clone());
        }
        let (key, (value, weight)) = self.old.remove_entry(key)?;
        self.insert_weighing(key, value.clone(), weight);
        Some(value)
    }

    /// Adds an entry.
    pub fn insert(&mut self, key: K, value: V) {
        self.insert_weighing(key, value, 0);
    }

    /// Adds an entry of some weight.
    pub fn insert_weighing(&mut self, key: K, value: V, weight: usize) {
        let full =
            self.young.len() >= self.entries || self.weight.saturating_add(weight) > self.budget;
        if full && !self.young.is_empty() {
            self.old = std::mem::take(&mut self.young);
            self.weight = 0;
        }
        self.weight = self.weight.saturating_add(weight);
        if let Some((_, replaced)) = self.young.insert(key, (value, weight)) {
            self.weight = self.weight.saturating_sub(replaced);
        }
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_what_is_used_and_stays_bounded() {
        let mut cache = Cache::new(10);
        for i in 0..1000 {
            cache.insert(i, i);
            assert_eq!(cache.get(&i), Some(i));
            assert_eq!(cache.get(&0), Some(0), "after {i}");
            assert!(cache.len() <= 10);
        }
        assert_eq!(cache.get(&1), None);
    }

    #[test]
    fn heavy_entries_do_not_add_up() {
        let mut cache = Cache::weighing(1000, 100);
        for i in 0..1000 {
            cache.insert_weighing(i, i, 20);
            assert_eq!(cache.get(&i), Some(i));
            assert!(cache.len() <= 5, "{}", cache.len());
        }
        for i in 0..10 {
            cache.insert_weighing(i, i, 1000);
            assert_eq!(cache.get(&i), Some(i));
            assert!(cache.len() <= 5);
        }
        assert_eq!(cache.len(), 2);
    }
}
