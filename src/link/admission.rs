//! May this packet come in? Pure: the caller's host is known by its bearer, the packet is parsed.

use std::time::Duration;

use crate::wire::{
    host::{OwnHost, PeerHost},
    packet::Packet,
    policy::Policy,
    refusal::Refusal,
    time::Mono,
};

//= SEED-PACKET-2: an error when it is invalid
/// Checks a packet against the host that its bearer was given to; the first message at fault is named.
///
/// # Errors
/// `Policy`, `SenderNotHolder`, `NotForUs`: 403, and nothing of the packet is kept.
pub fn admit(own: &OwnHost, caller: &PeerHost, policy: &Policy, packet: &Packet) -> Result<(), Refusal> {
    //= HT-PKT-06: 403
    if !policy.allows(caller) {
        return Err(Refusal::Policy { host: caller.to_string(), index: None });
    }
    //= HT-CHK-08, YMP-MSG-09: the first at fault; the caller's, and for us
    for (index, message) in packet.messages.iter().enumerate() {
        //= HT-PKT-07: 403
        if message.sender_host != *caller {
            return Err(Refusal::SenderNotHolder { index });
        }
        //= HT-PKT-08: 403
        if !own.is(&message.host) {
            return Err(Refusal::NotForUs { index });
        }
    }
    Ok(())
}

/// A token bucket in thousandths: how many packets a peer may send. Ten seconds' worth may come at once.
#[derive(Clone, Copy, Debug)]
pub struct Bucket {
    thousandths: u64,
    filled: Mono,
}

const BURST_SECONDS: u64 = 10;

impl Bucket {
    /// A full one.
    #[must_use]
    pub fn full(per_second: u32, now: Mono) -> Self {
        Self { thousandths: u64::from(per_second) * 1000 * BURST_SECONDS, filled: now }
    }

    /// Whether nothing was taken of late: it says no more than a new one.
    #[must_use]
    pub fn is_full(&self, per_second: u32, now: Mono) -> bool {
        let mut later = *self;
        later.refill(u64::from(per_second.max(1)), now);
        later.thousandths >= u64::from(per_second.max(1)) * 1000 * BURST_SECONDS
    }

    fn refill(&mut self, rate: u64, now: Mono) {
        let gained =
            u64::try_from(now.since(self.filled).as_millis()).unwrap_or(u64::MAX).saturating_mul(rate);
        self.thousandths = self.thousandths.saturating_add(gained).min(rate * 1000 * BURST_SECONDS);
        self.filled = now;
    }

    //= HT-PKT-12: 429
    /// Takes one.
    ///
    /// # Errors
    /// `TooFast` with the wait until there is one.
    pub fn take(&mut self, per_second: u32, now: Mono) -> Result<(), Refusal> {
        let rate = u64::from(per_second.max(1));
        self.refill(rate, now);
        match self.thousandths.checked_sub(1000) {
            Some(left) => {
                self.thousandths = left;
                Ok(())
            }
            None => Err(Refusal::TooFast {
                retry_after: Duration::from_millis((1000 - self.thousandths).div_ceil(rate)),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::wire::policy::DenyPattern;

    fn packet(pairs: &[(&str, &str)]) -> Packet {
        let messages: Vec<_> = pairs
            .iter()
            .map(|(from, to)| {
                format!(
                    r#"{{"sender":{{"host":"{from}","protocol":"p","service":"s"}},"id":"1","host":"{to}","protocol":"p",
                    "service":"s","action":"a","payload":{{}}}}"#
                )
            })
            .collect();
        let body = Packet::encode(messages.iter().map(String::as_bytes));
        Packet::decode(&Bytes::from(body), 10).unwrap()
    }

    fn verdict(pairs: &[(&str, &str)]) -> Result<(), Refusal> {
        let (own, caller) = (OwnHost::parse("a.test").unwrap(), PeerHost::parse("b.test").unwrap());
        admit(&own, &caller, &Policy::default(), &packet(pairs))
    }

    //= SEED-PACKET-2, HT-PKT-07, HT-PKT-08, YMP-MSG-09
    #[test]
    fn a_packet_comes_in_when_all_its_messages_are_the_callers_and_for_us() {
        assert_eq!(verdict(&[]), Ok(()));
        assert_eq!(verdict(&[("b.test", "a.test"), ("B.test:443", "A.TEST")]), Ok(()));
        assert_eq!(
            verdict(&[("b.test", "a.test"), ("c.test", "a.test")]),
            Err(Refusal::SenderNotHolder { index: 1 })
        );
        assert_eq!(verdict(&[("b.test", "b.test")]), Err(Refusal::NotForUs { index: 0 }));
        assert_eq!(verdict(&[("b.test", "a.test:8443")]), Err(Refusal::NotForUs { index: 0 }));
    }

    //= HT-PKT-06
    #[test]
    fn the_policy_is_asked_with_every_packet() {
        let (own, caller) = (OwnHost::parse("a.test").unwrap(), PeerHost::parse("b.test").unwrap());
        let policy = Policy { listed: None, deny: vec![DenyPattern::parse("b.test").unwrap()] };
        assert!(matches!(admit(&own, &caller, &policy, &packet(&[])), Err(Refusal::Policy { .. })));
    }

    //= HT-PKT-12
    #[test]
    fn a_bucket_gives_a_burst_then_the_rate() {
        let mut bucket = Bucket::full(2, Mono(0));
        for _ in 0..20 {
            assert_eq!(bucket.take(2, Mono(0)), Ok(()));
        }
        assert_eq!(
            bucket.take(2, Mono(0)),
            Err(Refusal::TooFast { retry_after: Duration::from_millis(500) })
        );
        assert_eq!(bucket.take(2, Mono(500)), Ok(()));
        assert!(bucket.take(2, Mono(500)).is_err());
    }
}
