//! A peer's machine as the proof reads it: all of it, but what no rule reads.

use std::hash::{Hash, Hasher};

use crate::link::{health::Health, peer::Peer};

impl Hash for Peer {
    fn hash<H: Hasher>(&self, state: &mut H) {
        // The names stand for the machine's place; settings do not change.
        let Self {
            host: _,
            settings: _,
            asking,
            sending,
            health,
            families,
            found,
            seeking,
            sent_under,
            paused,
            rest,
            cut,
            keeping,
            forgotten,
            outed,
            stumbles,
            dirty,
            save,
            out,
        } = self;
        assert!(out.is_empty(), "actions are done before a state is looked at");
        // Tries and the last failure are told to people. The day in which a peer was heard from is longer than any run.
        let Health { tries: _, failures, heard, succeeded, failed: _ } = health;
        (failures, heard.is_some(), succeeded.is_some()).hash(state);
        (asking, sending, families, keeping, outed.len()).hash(state);
        // One by one: a row of numbers would be read as bytes.
        outed.iter().for_each(|id| id.hash(state));
        (found.as_ref().map(|found| found.parameters.form()), seeking, sent_under, paused, rest).hash(state);
        (cut, forgotten, stumbles, dirty, save).hash(state);
    }
}
