//! Dead messages as they are stored.

use std::time::Duration;

use super::codec::{Put, Take};

/// The layout that notes a time to live.
const TIMED: u8 = 2;

/// A message that was set aside.
pub(crate) struct Fallen<'a> {
    pub(crate) id: &'a str,
    pub(crate) raw: &'a [u8],
    /// Its time to live, which starts anew where it is queued again; `None` from an earlier version, which did not note it.
    pub(crate) time_to_live: Option<Duration>,
}

impl<'a> Fallen<'a> {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut put = match self.time_to_live {
            None => Put::new(2 + self.id.len() + self.raw.len()),
            Some(time) => {
                let mut put = Put::bare(Vec::with_capacity(11 + self.id.len() + self.raw.len()));
                put.bytes(&[TIMED]);
                put.u64(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
                put
            }
        };
        put.text(self.id);
        put.bytes(self.raw);
        put.0
    }

    pub(crate) fn decode(value: &'a [u8]) -> Option<Self> {
        let (mut take, time_to_live) = match Take::of(value, TIMED) {
            None => (Take::new(value)?, None),
            Some(mut take) => {
                let time = Duration::from_millis(take.u64()?);
                (take, Some(time))
            }
        };
        Some(Self { id: take.text()?, raw: take.rest(), time_to_live })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_message_reads_back_with_and_without_a_time_to_live() {
        for time_to_live in [None, Some(Duration::ZERO), Some(Duration::from_millis(1_500))] {
            let written = Fallen { id: "a", raw: b"{}", time_to_live }.encode();
            let read = Fallen::decode(&written).unwrap();
            assert_eq!((read.id, read.raw, read.time_to_live), ("a", &b"{}"[..], time_to_live));
            assert!(Fallen::decode(&written[..2]).is_none());
        }
        assert!(Fallen::decode(&[9, 0, 0]).is_none(), "of another version");
    }
}
