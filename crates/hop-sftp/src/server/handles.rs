//! Open files and directories, by the handles that clients hold.
//!
//! A handle is a slot and that slot's generation: a handle used after its close is unknown, also when the
//! slot has been given to another file. The number of open handles is bounded.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::Dir;

/// What a handle stands for.
pub(crate) enum Open {
    File(OpenFile),
    Directory(OpenDirectory),
}

/// An open file.
pub(crate) struct OpenFile {
    pub(crate) file: Arc<OwnedFd>,
    /// On a file system that answers from this machine.
    pub(crate) local: bool,
    /// Whether the file system can read without waiting; believed until it says no.
    pub(crate) reads_without_waiting: bool,
    /// The path it was opened by, for the log.
    pub(crate) path: Vec<u8>,
    /// Writes go to the end whatever their offset.
    pub(crate) append: bool,
    /// Bytes read and written so far.
    pub(crate) read: u64,
    pub(crate) written: u64,
}

impl OpenFile {
    pub(crate) fn new(file: OwnedFd, local: bool, path: Vec<u8>, append: bool) -> Self {
        let file = Arc::new(file);
        Self { file, local, reads_without_waiting: true, path, append, read: 0, written: 0 }
    }
}

/// A directory being listed.
pub(crate) struct OpenDirectory {
    pub(crate) entries: Dir,
    /// The path it was opened by, for the log.
    pub(crate) path: Vec<u8>,
}

/// Bytes of a handle on the wire.
const HANDLE_LENGTH: usize = 8;

/// A handle as it goes over the wire.
pub(crate) type HandleBytes = [u8; HANDLE_LENGTH];

struct Slot {
    generation: u32,
    open: Option<Open>,
}

/// The open handles of one session.
pub(crate) struct Handles {
    slots: Vec<Slot>,
    free: Vec<u32>,
    limit: u32,
}

impl Handles {
    pub(crate) fn new(limit: u32) -> Self {
        Self { slots: Vec::new(), free: Vec::new(), limit }
    }

    /// How many handles may be open at one time.
    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// Whether one more handle can be given.
    pub(crate) fn has_room(&self) -> bool {
        !self.free.is_empty() || u32::try_from(self.slots.len()).is_ok_and(|used| used < self.limit)
    }

    /// Gives a handle; `None` when the limit is reached.
    pub(crate) fn insert(&mut self, open: Open) -> Option<HandleBytes> {
        if !self.has_room() {
            return None;
        }
        let index = match self.free.pop() {
            Some(index) => index,
            None => {
                let index = u32::try_from(self.slots.len()).ok()?;
                self.slots.push(Slot { generation: 0, open: None });
                index
            }
        };
        let slot = self.slots.get_mut(usize::try_from(index).ok()?)?;
        slot.open = Some(open);
        Some(to_bytes(index, slot.generation))
    }

    /// What a handle stands for, if it is open.
    pub(crate) fn find(&mut self, handle: &[u8]) -> Option<&mut Open> {
        self.slot(handle).and_then(|slot| slot.open.as_mut())
    }

    /// The file a handle stands for, if it is an open file.
    pub(crate) fn file(&mut self, handle: &[u8]) -> Option<&mut OpenFile> {
        match self.find(handle)? {
            Open::File(file) => Some(file),
            Open::Directory(_) => None,
        }
    }

    /// Two different open files.
    pub(crate) fn two_files(
        &mut self,
        first: &[u8],
        second: &[u8],
    ) -> Option<(&mut OpenFile, &mut OpenFile)> {
        let (first, second) = (self.index(first)?, self.index(second)?);
        let slots = self.slots.get_disjoint_mut([first, second]).ok()?;
        match slots.map(|slot| slot.open.as_mut()) {
            [Some(Open::File(first)), Some(Open::File(second))] => Some((first, second)),
            _ => None,
        }
    }

    /// Takes a handle back.
    pub(crate) fn remove(&mut self, handle: &[u8]) -> Option<Open> {
        let slot = self.slot(handle)?;
        let open = slot.open.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.free.extend(handle.first_chunk().map(|index| u32::from_be_bytes(*index)));
        Some(open)
    }

    /// Takes all handles back.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = Open> {
        self.free.clear();
        std::mem::take(&mut self.slots).into_iter().filter_map(|slot| slot.open)
    }

    fn slot(&mut self, handle: &[u8]) -> Option<&mut Slot> {
        let index = self.index(handle)?;
        self.slots.get_mut(index)
    }

    /// The slot of a handle of the slot's own generation.
    fn index(&self, handle: &[u8]) -> Option<usize> {
        let (index, generation) = handle.split_first_chunk::<4>()?;
        let generation = u32::from_be_bytes(generation.try_into().ok()?);
        let index = usize::try_from(u32::from_be_bytes(*index)).ok()?;
        self.slots.get(index).filter(|slot| slot.generation == generation).map(|_| index)
    }
}

fn to_bytes(index: u32, generation: u32) -> HandleBytes {
    let (index, generation) = (index.to_be_bytes(), generation.to_be_bytes());
    let mut bytes = [0; HANDLE_LENGTH];
    for (target, source) in bytes.iter_mut().zip(index.into_iter().chain(generation)) {
        *target = source;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::{Handles, Open, OpenFile};

    fn file(name: &str) -> Open {
        let file = std::fs::File::open("/dev/null").expect("/dev/null opens");
        Open::File(OpenFile::new(file.into(), false, name.into(), false))
    }

    #[test]
    fn a_closed_handle_stays_unknown_when_its_slot_is_used_again() {
        let mut handles = Handles::new(2);
        let first = handles.insert(file("first")).expect("room for two");
        let second = handles.insert(file("second")).expect("room for two");
        assert_ne!(first, second);
        assert!(handles.insert(file("third")).is_none() && !handles.has_room());

        assert!(handles.remove(&first).is_some());
        assert!(handles.remove(&first).is_none() && handles.find(&first).is_none());
        let third = handles.insert(file("third")).expect("one was closed");
        assert_ne!(third, first);
        assert!(handles.find(&first).is_none());
        assert_eq!(handles.file(&third).map(|open| open.path.clone()), Some(b"third".to_vec()));
        assert_eq!(handles.drain().count(), 2);
    }

    #[test]
    fn bytes_that_are_no_handle() {
        let mut handles = Handles::new(2);
        let handle = handles.insert(file("first")).expect("room");
        for bytes in [&b""[..], b"\0\0\0\0", b"\0\0\0\0\0\0\0\0\0", b"\xff\xff\xff\xff\0\0\0\0", &[0xff; 256]]
        {
            assert!(handles.find(bytes).is_none() && handles.remove(bytes).is_none());
            assert!(handles.two_files(&handle, bytes).is_none());
        }
        assert!(handles.two_files(&handle, &handle).is_none());
    }
}
