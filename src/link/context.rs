//! What the handling of an event needs beside the machine itself.

use std::collections::VecDeque;

use super::{
    dice::Dice,
    event::{Action, Fact},
    settings::Settings,
};
use crate::wire::{parameters::Parameters, time::Now};

/// Handed from `Peer` to its parts for the time of one event.
pub(super) struct Context<'a> {
    pub(super) now: Now,
    pub(super) dice: &'a mut dyn Dice,
    pub(super) settings: &'a Settings,
    pub(super) bounds: Bounds,
    pub(super) out: &'a mut VecDeque<Action>,
}

impl Context<'_> {
    pub(super) fn note(&mut self, fact: Fact) {
        self.out.push_back(Action::Note(fact));
    }
}

/// What a packet to this peer may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Bytes of its body.
    pub(super) bytes: usize,
    /// Messages.
    pub(super) messages: usize,
    /// Whether `bytes` is what the peer announced: a message that needs more is not sent.
    pub(super) announced: bool,
}

impl Bounds {
    //= HT-SEND-03: the peer's or our own limits
    pub(super) fn new(settings: &Settings, peer: Option<&Parameters>) -> Self {
        let bytes = peer.and_then(|peer| peer.packet_bytes).filter(|bytes| *bytes < settings.packet_bytes);
        let messages = peer.and_then(|peer| peer.packet_messages).unwrap_or(usize::MAX);
        Self {
            bytes: bytes.unwrap_or(settings.packet_bytes),
            messages: messages.min(settings.packet_messages),
            announced: bytes.is_some(),
        }
    }
}
