//! File attributes (draft section 5): each group of fields is present or absent.

use super::wire::{Fields, Malformed, Sink};

const SIZE: u32 = 0x1;
const OWNER: u32 = 0x2;
const PERMISSIONS: u32 = 0x4;
const TIMES: u32 = 0x8;
const EXTENDED: u32 = 0x8000_0000;

/// Numeric owner of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// User id.
    pub user: u32,
    /// Group id.
    pub group: u32,
}

/// Access and modification time, in seconds since 1970 UTC; version 3 has no finer unit and ends in 2106.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Times {
    /// Last access.
    pub accessed: u32,
    /// Last modification.
    pub modified: u32,
}

/// Attributes of a file, those that the sender chose to send.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Length in bytes.
    pub size: Option<u64>,
    /// Owner.
    pub owner: Option<Owner>,
    /// POSIX mode; in answers with the file type's bits, in requests the low twelve count.
    pub permissions: Option<u32>,
    /// Times.
    pub times: Option<Times>,
    /// Extended pairs (type, data); empty when absent.
    pub extended: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Attributes {
    pub(crate) fn decode(fields: &mut Fields<'_>) -> Result<Self, Malformed> {
        let flags = fields.u32("attribute flags")?;
        let has = |bit| flags & bit != 0;
        let mut attributes = Self::default();
        if has(SIZE) {
            attributes.size = Some(fields.u64("size")?);
        }
        if has(OWNER) {
            attributes.owner = Some(Owner { user: fields.u32("uid")?, group: fields.u32("gid")? });
        }
        if has(PERMISSIONS) {
            attributes.permissions = Some(fields.u32("permissions")?);
        }
        if has(TIMES) {
            attributes.times = Some(Times { accessed: fields.u32("atime")?, modified: fields.u32("mtime")? });
        }
        if has(EXTENDED) {
            // The count is the peer's word: no room is made ahead, each pair must be there in the packet.
            for _ in 0..fields.u32("extended count")? {
                let kind = fields.string("extended type")?.to_vec();
                attributes.extended.push((kind, fields.string("extended data")?.to_vec()));
            }
        }
        Ok(attributes)
    }

    pub(crate) fn encode(&self, sink: &mut impl Sink) {
        let bit = |present: bool, bit| if present { bit } else { 0 };
        sink.put_u32(
            bit(self.size.is_some(), SIZE)
                | bit(self.owner.is_some(), OWNER)
                | bit(self.permissions.is_some(), PERMISSIONS)
                | bit(self.times.is_some(), TIMES)
                | bit(!self.extended.is_empty(), EXTENDED),
        );
        if let Some(size) = self.size {
            sink.put_u64(size);
        }
        if let Some(Owner { user, group }) = self.owner {
            sink.put_u32(user);
            sink.put_u32(group);
        }
        if let Some(permissions) = self.permissions {
            sink.put_u32(permissions);
        }
        if let Some(Times { accessed, modified }) = self.times {
            sink.put_u32(accessed);
            sink.put_u32(modified);
        }
        if !self.extended.is_empty() {
            sink.put_u32(u32::try_from(self.extended.len()).unwrap_or(u32::MAX));
            for (kind, data) in &self.extended {
                sink.put_string(kind);
                sink.put_string(data);
            }
        }
    }
}
