//! Links and families: JSON by key, the tokens of a link sealed beside it.
//!
//! ```text
//! link     1 | length u32 | sealed JSON of the held tokens | JSON of the rest
//! family   1 | JSON
//! ```

use serde::{Serialize, de::DeserializeOwned};

use super::{
    codec::{Put, Small, Take, damaged, family_key, small, small_range},
    job::{Step, Task},
    kv::{Kv, Space},
    seal::Seal,
    txn::Txn,
};
use crate::{
    store::StoreError,
    wire::{
        family::FamilyRecord,
        host::PeerHost,
        record::{HeldRecord, LinkRecord, VaultContents, VaultWrite},
    },
};

/// Writes in one commit.
pub(crate) struct Commit(pub(crate) Vec<VaultWrite>);

impl Task for Commit {
    type Answer = ();

    fn plan(&self, txn: &mut Txn<'_>, _: u64) -> Result<Step<()>, StoreError> {
        write(txn, &self.0).map(Step::Done)
    }
}

/// Writes as a part of another task's commit.
pub(crate) fn write(txn: &mut Txn<'_>, writes: &[VaultWrite]) -> Result<(), StoreError> {
    for change in writes {
        match change {
            VaultWrite::PutLink(link) => {
                let value = encode_link(txn.seal, link)?;
                txn.put(Space::Small, link_key(&link.host), value);
            }
            VaultWrite::DropLink(host) => drop_link(txn, host)?,
            VaultWrite::PutFamily(family) => {
                let mut put = Put::new(256);
                put.bytes(&json(&**family)?);
                txn.put(Space::Small, family_key(&family.subject, Some(family.id)), put.0);
            }
            VaultWrite::DropFamily { subject, id } => {
                txn.remove(Space::Small, family_key(subject, Some(*id)))
            }
        }
    }
    Ok(())
}

fn drop_link(txn: &mut Txn<'_>, host: &PeerHost) -> Result<(), StoreError> {
    txn.remove(Space::Small, link_key(host));
    let prefix = family_key(&format!("peer:{host}"), None);
    let mut families = txn.added(Space::Small, &prefix);
    let end = [&prefix[..], &[0xff; 9]].concat();
    txn.scan(Space::Small, &prefix, &end, &mut |key, _| {
        families.push(key.to_vec());
        Ok(true)
    })?;
    families.into_iter().for_each(|key| txn.remove(Space::Small, key));
    Ok(())
}

/// Everything.
pub(crate) fn read(kv: &dyn Kv, seal: &Seal) -> Result<VaultContents, StoreError> {
    let mut contents = VaultContents::default();
    let (from, to) = small_range(Small::Link);
    kv.scan(Space::Small, &from, &to, &mut |key, value| {
        contents.links.push(decode_link(seal, key, value)?);
        Ok(true)
    })?;
    let (from, to) = small_range(Small::Family);
    kv.scan(Space::Small, &from, &to, &mut |key, value| {
        let family = Take::new(value).and_then(|take| unjson::<FamilyRecord>(take.rest()));
        contents.families.push(family.ok_or_else(|| damaged(Space::Small, key))?);
        Ok(true)
    })?;
    Ok(contents)
}

fn link_key(host: &PeerHost) -> Vec<u8> {
    small(Small::Link, &[host.as_str().as_bytes()])
}

fn encode_link(seal: &Seal, link: &LinkRecord) -> Result<Vec<u8>, StoreError> {
    let open = LinkRecord { held: Vec::new(), ..link.clone() };
    let held = seal.seal(link.host.as_str(), json(&link.held)?).map_err(|_| refused("sealing a token"))?;
    let mut put = Put::new(512 + held.len());
    put.u32(u32::try_from(held.len()).map_err(|_| refused("sealing a token"))?);
    put.bytes(&held);
    put.bytes(&json(&open)?);
    Ok(put.0)
}

fn decode_link(seal: &Seal, key: &[u8], value: &[u8]) -> Result<LinkRecord, StoreError> {
    let broken = || damaged(Space::Small, key);
    let mut take = Take::new(value).ok_or_else(broken)?;
    let length = take.u32().ok_or_else(broken)? as usize;
    let (held, rest) = take.rest().split_at_checked(length).ok_or_else(broken)?;
    let mut link = unjson::<LinkRecord>(rest).ok_or_else(broken)?;
    let opened = seal.open(link.host.as_str(), held).map_err(|_| {
        StoreError::Damaged(format!("the tokens of {} do not open with the file seal.key", link.host).into())
    })?;
    link.held = unjson::<Vec<HeldRecord>>(&opened).ok_or_else(broken)?;
    Ok(link)
}

fn json<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|_| refused("writing a record as JSON"))
}

fn unjson<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    serde_json::from_slice(bytes).ok()
}

fn refused(what: &str) -> StoreError {
    StoreError::Io { what: what.into(), cause: "refused".into() }
}
