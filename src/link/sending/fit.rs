//! What fits into one packet.

use super::{Phase, Sending, Sent};
use crate::{
    link::context::{Bounds, Context},
    wire::{packet::PACKET_FRAME_BYTES, record::Mail},
};

impl Sending {
    /// How many of the window fit into one packet: it was read when the bounds were perhaps others.
    pub(super) fn fitting(&self, bounds: Bounds) -> usize {
        let mut bytes = PACKET_FRAME_BYTES;
        let fits = |mail: &&Mail| {
            bytes += mail.raw.len() + 1;
            // No comma stands before the first.
            bytes - 1 <= bounds.bytes
        };
        self.window.iter().take(bounds.messages).take_while(fits).count()
    }

    /// The first message, where it is larger than the peer says that it takes: it is not sent, it would only be refused.
    pub(super) fn oversize(&self, bounds: Bounds) -> Option<usize> {
        let bytes = PACKET_FRAME_BYTES + self.window.front()?.raw.len();
        (bounds.announced && bytes > bounds.bytes).then_some(bytes)
    }

    /// Sets the first message aside where it is larger than the peer says that it takes; within the rule of ten.
    pub(in crate::link) fn condemn_oversize(&mut self, ctx: &mut Context<'_>) -> Sent {
        match self.oversize(ctx.bounds).filter(|_| self.phase == Phase::Idle) {
            Some(bytes) => self.condemn_at(0, too_large(bytes, ctx.bounds.bytes), ctx),
            None => Sent::Nothing,
        }
    }
}

fn too_large(packet: usize, most: usize) -> String {
    format!(
        "it makes a packet of {packet} bytes, and the peer's host information says that it takes {most} at most"
    )
}
