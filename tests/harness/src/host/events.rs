//! Virtual time passing: ticks, answers of callouts, notices of queues.

use crate::host::{Callout, Host};
use crate::vm::VmShared;
use std::sync::{Arc, Weak};
use std::time::Duration;

/// Stops a filter that keeps giving itself work at one moment of the virtual clock.
const MOST_EVENTS_AT_ONCE: usize = 100_000;

enum Event {
    Tick(Arc<VmShared>, u32),
    Answer(Callout),
}

impl Host {
    /// Lets virtual time pass: ticks and callout answers happen in order, each at its own time.
    pub fn advance(&self, by: Duration) {
        let by = u64::try_from(by.as_nanos()).unwrap_or(u64::MAX);
        self.run_until(self.0.clock.nanoseconds().saturating_add(by));
    }

    /// Lets happen what is due now, without letting time pass.
    pub fn settle(&self) {
        self.run_until(self.0.clock.nanoseconds());
    }

    /// Advances to the next callout answer, if any is under way, and lets it happen. Ticks on the
    /// way there happen too.
    pub fn run_next_answer(&self) -> bool {
        let next = self
            .0
            .lock()
            .pending
            .iter()
            .map(|callout| callout.due)
            .min();
        if let Some(due) = next {
            self.run_until(due.max(self.0.clock.nanoseconds()));
        }
        next.is_some()
    }

    /// Calls `proxy_on_tick` of every root context that has a tick period, whatever its time.
    pub fn tick(&self) {
        for vm in self.vms() {
            for root in vm.timers() {
                vm.call(root, "proxy_on_tick", &[]);
            }
        }
        self.settle();
    }

    fn vms(&self) -> Vec<Arc<VmShared>> {
        let mut state = self.0.lock();
        state.vms.retain(|vm| vm.strong_count() > 0);
        state.vms.iter().filter_map(Weak::upgrade).collect()
    }

    fn run_until(&self, target: u64) {
        for _ in 0..MOST_EVENTS_AT_ONCE {
            self.run_posted();
            let Some((due, event)) = self.next_event(target) else {
                break;
            };
            let now = self.0.clock.nanoseconds();
            self.0.clock.set_nanoseconds(due.max(now));
            match event {
                Event::Tick(vm, root) => {
                    vm.call(root, "proxy_on_tick", &[]);
                }
                Event::Answer(callout) => {
                    if let Some(vm) = callout.vm.upgrade() {
                        vm.deliver(callout.root, callout.token, callout.event);
                    }
                }
            }
        }
        let now = self.0.clock.nanoseconds();
        self.0.clock.set_nanoseconds(target.max(now));
    }

    fn run_posted(&self) {
        loop {
            let Some((token, vm, root)) = self.0.lock().posted.pop_front() else {
                break;
            };
            if let Some(vm) = vm.upgrade() {
                vm.call(root, "proxy_on_queue_ready", &[token as i32]);
            }
        }
    }

    /// Takes the earliest event up to `target`; among those of one moment answers come first.
    fn next_event(&self, target: u64) -> Option<(u64, Event)> {
        let tick = self
            .vms()
            .into_iter()
            .filter_map(|vm| vm.next_tick().map(|(due, root)| (due, vm, root)))
            .min_by_key(|(due, _, root)| (*due, *root))
            .filter(|(due, _, _)| *due <= target);
        let mut state = self.0.lock();
        let answer = state
            .pending
            .iter()
            .enumerate()
            .min_by_key(|(_, callout)| (callout.due, callout.sequence))
            .filter(|(_, callout)| callout.due <= target)
            .map(|(index, callout)| (index, callout.due));
        match (tick, answer) {
            (Some((due, vm, root)), answer) if answer.is_none_or(|(_, at)| due < at) => {
                drop(state);
                vm.rearm(root, due);
                Some((due, Event::Tick(vm, root)))
            }
            (_, Some((index, due))) => Some((due, Event::Answer(state.pending.remove(index)))),
            _ => None,
        }
    }
}
