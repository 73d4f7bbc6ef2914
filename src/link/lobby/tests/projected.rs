//! The table as the proof reads it.

use std::hash::{Hash, Hasher};

use crate::link::lobby::Lobby;

impl Hash for Lobby {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The slots are what the turns occupy.
        let Self { settings: _, hosts, slots: _, turns, out } = self;
        assert!(out.is_empty(), "actions are done before a state is looked at");
        let mut hosts: Vec<_> = hosts.iter().collect();
        hosts.sort_by(|one, other| one.0.cmp(other.0));
        (hosts, turns).hash(state);
    }
}
