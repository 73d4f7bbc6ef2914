//! A store beside a plain model of it: whatever is done in whatever order, with restarts between, both say the same.

use std::collections::{BTreeMap, BTreeSet};

use ymp::{
    store::Inbox,
    wire::{
        cursor::Cursor,
        record::{MessageState, Seq},
        time::Wall,
    },
};

use crate::house::{House, all, host, service, text};

const STEPS: usize = 150;
const PEERS: [&str; 3] = ["beta.test", "gamma.test", "delta.test"];

/// A row of numbers, the same for each seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % bound.max(1) as u64).unwrap()
    }

    fn of<'a, T>(&mut self, all: &'a [T]) -> Option<&'a T> {
        if all.is_empty() { None } else { all.get(self.below(all.len())) }
    }
}

/// What must be so.
#[derive(Default)]
struct Model {
    seen: BTreeSet<(String, String)>,
    /// All that ever came; `low` of them are gone.
    inbox: Vec<String>,
    low: usize,
    acknowledged: usize,
    seq: u64,
    queues: BTreeMap<String, BTreeMap<u64, String>>,
    states: BTreeMap<String, MessageState>,
    dead: Vec<String>,
    hosts: BTreeMap<String, String>,
}

struct Walk<'a> {
    house: &'a mut House,
    dice: Dice,
    model: Model,
    fresh: u64,
}

impl Walk<'_> {
    fn step(&mut self) {
        match self.dice.below(20) {
            0..4 => self.arrive(),
            4..6 => self.read(),
            6 => self.acknowledge(),
            7 => self.trim(),
            8..11 => self.queue(),
            11..14 => self.settle(),
            14 => self.load(),
            15 => self.revive(),
            16 => self.bury(),
            17 => self.prune(),
            18 => self.house.restart(),
            _ => self.look(),
        }
    }

    fn arrive(&mut self) {
        let from = PEERS[self.dice.below(PEERS.len())];
        let messages: Vec<_> = (0..self.dice.below(40))
            .map(|_| (format!("{}", self.dice.below(400)), format!("{from} says")))
            .collect();
        let borrowed: Vec<_> = messages.iter().map(|(id, text)| (id.as_str(), text.as_str())).collect();
        let answer = self.house.arrive(self.house.packet(from, &borrowed)).unwrap();
        let before = self.model.inbox.len();
        for (id, text) in &messages {
            if self.model.seen.insert((from.to_owned(), id.clone())) {
                self.model.inbox.push(text.clone());
            }
        }
        assert_eq!(answer.kept, self.model.inbox.len() - before);
        assert_eq!(answer.repeats, messages.len() - answer.kept);
    }

    fn read(&mut self) {
        let (after, max) = (self.dice.below(self.model.inbox.len() + 2), 1 + self.dice.below(30));
        let entries =
            Inbox::read(self.house.store(), &service(), Cursor(after as u64), max, usize::MAX).unwrap();
        let from = after.max(self.model.low);
        let expected: Vec<_> = (from + 1..).zip(self.model.inbox.iter().skip(from).take(max)).collect();
        let found: Vec<_> = entries.iter().map(|entry| (entry.cursor.0, text(&entry.raw))).collect();
        let expected: Vec<_> = expected.into_iter().map(|(at, text)| (at as u64, text.clone())).collect();
        assert_eq!(found, expected, "after {after}, at most {max}");
    }

    fn acknowledge(&mut self) {
        let cursor = self.dice.below(self.model.inbox.len() + 1);
        assert!(self.house.acknowledge("app", cursor as u64));
        self.model.acknowledged = self.model.acknowledged.max(cursor);
    }

    fn trim(&mut self) {
        assert_eq!(self.house.trim(&["app"], Wall(0)), 0, "nothing unread goes");
        self.model.low = self.model.low.max(self.model.acknowledged);
    }

    fn queue(&mut self) {
        let mut items = Vec::new();
        for _ in 0..1 + self.dice.below(30) {
            self.fresh += 1;
            let (id, to) = (format!("m{}", self.fresh), PEERS[self.dice.below(PEERS.len())]);
            items.push(self.house.mail(to, &id));
        }
        // One that is known already, as an app that did not hear the answer sends it again.
        let known: Vec<_> = self.model.states.keys().cloned().collect();
        if let Some(id) = self.dice.of(&known) {
            items.push(self.house.mail(&self.model.hosts[id], id));
        }
        let (mut expected, mut fresh) = (Vec::new(), 0);
        for item in &items {
            let (id, to) = (item.id.to_string(), item.host.to_string());
            if !self.model.states.contains_key(&id) {
                self.model.post(&id, &to);
                fresh += 1;
            }
            expected.push(self.model.states[&id]);
        }
        assert_eq!(self.house.send(items).unwrap(), all(expected, fresh));
    }

    fn settle(&mut self) {
        let to = PEERS[self.dice.below(PEERS.len())].to_owned();
        let waiting: Vec<_> = self.model.queues.entry(to.clone()).or_default().keys().copied().collect();
        // Most of the time the first ones, as they are sent; now and then any.
        let (any, count) = (self.dice.below(4) == 0, self.dice.below(waiting.len() + 1));
        let (mut delivered, mut dead) = (Vec::new(), Vec::new());
        for (at, seq) in waiting.iter().enumerate() {
            let chosen = if any { self.dice.below(3) == 0 } else { at < count };
            match (chosen, self.dice.below(12)) {
                (false, _) => {}
                (true, 0) => dead.push(*seq),
                (true, _) => delivered.push(*seq),
            }
        }
        // Places that are not there change nothing.
        delivered.push(self.model.seq + 1000);
        self.house.settle(&to, &delivered, &dead);
        self.house.settle(&to, &delivered, &[]);
        for (seqs, state) in [(&delivered, MessageState::Delivered), (&dead, MessageState::Dead)] {
            for seq in seqs {
                let Some(id) = self.model.queues.get_mut(&to).unwrap().remove(seq) else { continue };
                if state == MessageState::Dead {
                    self.model.dead.push(id.clone());
                }
                self.model.states.insert(id, state);
            }
        }
    }

    fn load(&mut self) {
        let to = PEERS[self.dice.below(PEERS.len())];
        let (after, max) = (self.dice.below(self.model.seq as usize + 2) as u64, self.dice.below(20));
        let mails = self.house.store().load(&host(to), Seq(after), max, usize::MAX).unwrap();
        let found: Vec<_> = mails.iter().map(|mail| (mail.seq.0, mail.id.to_string())).collect();
        let queue = self.model.queues.entry(to.to_owned()).or_default();
        let expected: Vec<_> =
            queue.range(after + 1..).take(max).map(|(seq, id)| (*seq, id.clone())).collect();
        assert_eq!(found, expected, "{to} after {after}, at most {max}");
    }

    fn revive(&mut self) {
        let Some(id) = self.dice.of(&self.model.dead).cloned() else { return };
        let expires = self.house.now().plus(std::time::Duration::from_secs(60));
        let revived = self.house.store().revive(&id, self.house.now(), expires, 2).unwrap().wait().unwrap();
        assert!(revived);
        self.model.dead.retain(|dead| *dead != id);
        let to = self.model.hosts[&id].clone();
        self.model.post(&id, &to);
    }

    fn bury(&mut self) {
        let Some(id) = self.dice.of(&self.model.dead).cloned() else { return };
        let bury = || self.house.store().bury(&id, self.house.now()).unwrap().wait().unwrap();
        assert!(bury() && !bury());
        self.model.dead.retain(|dead| *dead != id);
    }

    fn prune(&mut self) {
        self.house.pass(std::time::Duration::from_secs(1));
        let ended = self.model.ended();
        let count = self.house.store().prune(self.house.now()).unwrap().wait().unwrap();
        assert_eq!(count, ended.len() as u64);
        self.model.states.retain(|id, _| !ended.contains(id));
    }

    /// Everything is as it must be.
    fn look(&self) {
        for (id, state) in &self.model.states {
            let status =
                self.house.store().status(id).unwrap().unwrap_or_else(|| panic!("{id} is not known"));
            let (attempts, ended) = match state {
                MessageState::Queued => (0, false),
                // Of five tries two were before it.
                MessageState::Delivered | MessageState::Dead => (3, true),
            };
            assert_eq!(
                (status.state, status.attempts, status.ended.is_some()),
                (*state, attempts, ended),
                "{id}"
            );
        }
        assert!(self.house.store().status("m0").unwrap().is_none());
        assert_eq!(self.house.dead(), self.model.dead);
        for to in PEERS {
            let expected: Vec<_> =
                self.model.queues.get(to).into_iter().flat_map(|queue| queue.values().cloned()).collect();
            assert_eq!(self.house.outbox(to), expected, "{to}");
            let waiting = self.house.store().waiting_for(&host(to)).map_or(0, |waiting| waiting.messages);
            assert_eq!(waiting, expected.len() as u64);
        }
        assert_eq!(self.house.inbox(), self.model.inbox[self.model.low..]);
    }
}

impl Model {
    fn post(&mut self, id: &str, to: &str) {
        self.seq += 1;
        self.queues.entry(to.to_owned()).or_default().insert(self.seq, id.to_owned());
        self.states.insert(id.to_owned(), MessageState::Queued);
        self.hosts.insert(id.to_owned(), to.to_owned());
    }

    /// Delivered, or deleted when dead.
    fn ended(&self) -> Vec<String> {
        let ended = |(id, state): &(&String, &MessageState)| match state {
            MessageState::Queued => false,
            MessageState::Delivered => true,
            MessageState::Dead => !self.dead.contains(id),
        };
        self.states.iter().filter(ended).map(|(id, _)| id.clone()).collect()
    }
}

crate::promises! {
    fn whatever_is_done_the_store_says_what_the_model_says(house) {
        for seed in 1..=4 {
            let mut walk = Walk { house: &mut *house, dice: Dice(seed), model: Model::default(), fresh: 0 };
            if seed > 1 {
                // Another world: nothing of the last one may be left.
                *walk.house = if walk.house.is_on_disk() { House::embedded() } else { House::memory() };
            }
            for _ in 0..STEPS {
                walk.step();
            }
            walk.house.restart();
            walk.look();
        }
    }
}
