//! Shared data with compare-and-swap, and shared queues: what VMs of one process share.

use crate::abi::Status;
use crate::vm::VmShared;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Weak;

/// Key-value data, one namespace a VM id.
#[derive(Default)]
pub(crate) struct SharedData {
    values: BTreeMap<(String, Vec<u8>), (Vec<u8>, u32)>,
    last_cas: u32,
}

impl SharedData {
    /// The value and the number that a compare-and-swap must name.
    pub(crate) fn get(&self, vm_id: &str, key: &[u8]) -> Option<(Vec<u8>, u32)> {
        self.values.get(&(vm_id.to_owned(), key.to_vec())).cloned()
    }

    /// Stores; `cas` 0 overwrites whatever is there.
    pub(crate) fn set(
        &mut self,
        vm_id: &str,
        key: &[u8],
        value: &[u8],
        cas: u32,
    ) -> Result<(), Status> {
        let key = (vm_id.to_owned(), key.to_vec());
        if let Some((_, current)) = self.values.get(&key)
            && cas != 0
            && cas != *current
        {
            return Err(Status::CasMismatch);
        }
        self.last_cas = self.last_cas.wrapping_add(1).max(1);
        self.values.insert(key, (value.to_vec(), self.last_cas));
        Ok(())
    }
}

struct Queue {
    vm_id: String,
    name: Vec<u8>,
    values: VecDeque<Vec<u8>>,
    vm: Weak<VmShared>,
    root: u32,
}

/// Queues by token, which starts at 1.
#[derive(Default)]
pub(crate) struct SharedQueues(Vec<Queue>);

impl SharedQueues {
    /// Registers, or finds, a queue; the given root context is told when it is written to.
    pub(crate) fn register(
        &mut self,
        vm_id: &str,
        name: &[u8],
        vm: Weak<VmShared>,
        root: u32,
    ) -> u32 {
        if let Some(token) = self.resolve(vm_id, name) {
            let queue = &mut self.0[token as usize - 1];
            (queue.vm, queue.root) = (vm, root);
            return token;
        }
        let (vm_id, name) = (vm_id.to_owned(), name.to_vec());
        self.0.push(Queue {
            vm_id,
            name,
            values: VecDeque::new(),
            vm,
            root,
        });
        self.0.len() as u32
    }

    pub(crate) fn resolve(&self, vm_id: &str, name: &[u8]) -> Option<u32> {
        let at = self
            .0
            .iter()
            .position(|queue| queue.vm_id == vm_id && queue.name == name)?;
        Some(at as u32 + 1)
    }

    pub(crate) fn peek(&self, vm_id: &str, name: &[u8]) -> Option<Vec<Vec<u8>>> {
        let token = self.resolve(vm_id, name)?;
        Some(self.0[token as usize - 1].values.iter().cloned().collect())
    }

    fn queue(&mut self, token: u32) -> Result<&mut Queue, Status> {
        let index = (token as usize).checked_sub(1).ok_or(Status::NotFound)?;
        self.0.get_mut(index).ok_or(Status::NotFound)
    }

    pub(crate) fn dequeue(&mut self, token: u32) -> Result<Vec<u8>, Status> {
        self.queue(token)?.values.pop_front().ok_or(Status::Empty)
    }

    /// Appends and says whom to tell.
    pub(crate) fn enqueue(
        &mut self,
        token: u32,
        value: Vec<u8>,
    ) -> Result<(Weak<VmShared>, u32), Status> {
        let queue = self.queue(token)?;
        queue.values.push_back(value);
        Ok((queue.vm.clone(), queue.root))
    }
}
