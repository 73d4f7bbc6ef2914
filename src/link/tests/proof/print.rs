//! Reading a state whole: what two states that are the same agree in (`naming` says how it is read).

use std::hash::{Hash as _, Hasher as _};

use crate::wire::record::{LinkRecord, VaultWrite};

use super::{
    naming::{Print, Reader, print_of},
    world::*,
};

impl World {
    /// What this state is known by. `whole`: with what the explorer may still do, else as the machines are.
    pub(super) fn print(&self, whole: bool) -> Print {
        print_of(self.now(), |reader| {
            self.hosts.iter().for_each(|host| host.read(reader));
            self.flights.hash(reader);
            self.mallory.hash(reader);
            self.stale.hash(reader);
            if whole {
                (self.left, self.crossed, self.lost).hash(reader);
            }
        })
    }
}

impl Host {
    fn read(&self, reader: &mut Reader) {
        // The place stands for itself, the dice's next throw is always a new one.
        let Self { place: _, sides, lobby, dice: _, families, jobs, offered, waiting } = self;
        for side in sides {
            let Side { peer, link, outbox, inbox, started, starts: _, seen, kept } = side;
            peer.hash(reader);
            reader.write_u8(u8::from(link.is_some()));
            link.iter().for_each(|link| read_link(link, reader));
            (outbox, inbox, started).hash(reader);
            (seen, kept).hash(reader);
        }
        lobby.hash(reader);
        // As they come back after a restart.
        let mut stored: Vec<_> = families.iter().collect();
        stored.sort_by_key(|(of, family)| (*of, family.opened, family.id));
        stored.hash(reader);
        reader.write_usize(jobs.len());
        for (job, writes) in jobs {
            match job {
                Job::Offer { of, family } => (0, of, family).hash(reader),
                Job::Keep { of, change } => (1, of, change).hash(reader),
                Job::Marks(then, seen) => (2, then, seen).hash(reader),
                Job::Save => 3.hash(reader),
            }
            for write in writes {
                match write {
                    VaultWrite::PutLink(link) => read_link(link, reader),
                    VaultWrite::PutFamily(family) => family.hash(reader),
                    VaultWrite::DropFamily { id, .. } => id.hash(reader),
                    VaultWrite::DropLink(_) => reader.write_u8(9),
                }
            }
        }
        (offered, waiting).hash(reader);
    }
}

fn read_link(link: &LinkRecord, reader: &mut Reader) {
    let LinkRecord {
        host: _,
        held,
        repeats,
        tries: _,
        failures,
        heard,
        succeeded,
        failed: _,
        published: _,
        paused,
        condemned,
    } = link;
    (held, repeats, failures, heard.is_some(), succeeded.is_some(), paused, condemned).hash(reader);
}
