//! Where a filter keeps the configurations that it has had: in the proxy, for all its threads and for as
//! long as the process lives.

use engine::patch::Slots;
use proxy_wasm::hostcalls;

/// The proxy's shared data, under the name of the filter's place.
pub struct SharedSlots {
    place: String,
}

impl SharedSlots {
    /// Those of the filter that is being configured.
    pub fn of_this_place() -> Self {
        let place = hostcalls::get_property(vec!["plugin_root_id"])
            .ok()
            .flatten();
        Self {
            place: String::from_utf8(place.unwrap_or_default()).unwrap_or_default(),
        }
    }

    fn key(&self, of: &dyn std::fmt::Display) -> String {
        format!("ig.configuration/{}/{of}", self.place)
    }
}

impl Slots for SharedSlots {
    fn text(&self, slot: usize) -> Option<Vec<u8>> {
        hostcalls::get_shared_data(&self.key(&slot)).ok()?.0
    }

    fn put(&self, slot: usize, text: &[u8]) -> Option<()> {
        hostcalls::set_shared_data(&self.key(&slot), Some(text), None).ok()
    }

    fn index(&self) -> (String, Option<u32>) {
        let (index, state) = hostcalls::get_shared_data(&self.key(&"index")).unwrap_or_default();
        let index = index.and_then(|index| String::from_utf8(index).ok());
        (index.unwrap_or_default(), state)
    }

    fn set_index(&self, index: &str, state: Option<u32>) -> Option<()> {
        hostcalls::set_shared_data(&self.key(&"index"), Some(index.as_bytes()), state).ok()
    }
}
