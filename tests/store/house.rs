//! One engine with its folder, its settings and a clock that a test moves.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tempfile::TempDir;
use ymp::{
    store::{Inbox, Outbox, Settings, Store, StoreError, Vault, embedded::Embedded, memory::Memory},
    wire::{
        cursor::Cursor,
        host::PeerHost,
        packet::{ServiceKey, content_sum},
        record::{
            Accepted, Appended, DeadFilter, InboxBatch, InboxItem, MessageState, OutboxBatch, OutboxItem,
            Seq, Settlement, VaultContents, VaultWrite,
        },
        time::{Mono, Now, Wall},
    },
};

enum Engine {
    Memory(Box<Memory>),
    Embedded(Option<Embedded>),
}

pub(crate) struct House {
    engine: Engine,
    settings: Settings,
    dir: TempDir,
    clock: Arc<AtomicU64>,
}

/// The time at which every test begins.
pub(crate) const START: u64 = 1_800_000_000_000;

pub(crate) fn settings() -> Settings {
    Settings { free_space_min: 0, ..Settings::default() }
}

pub(crate) fn open(dir: &Path, settings: Settings, clock: &Arc<AtomicU64>) -> Result<Embedded, StoreError> {
    let clock = clock.clone();
    let now = move || {
        let at = clock.load(Ordering::Relaxed);
        Now { mono: Mono(at - START), wall: Wall(at) }
    };
    Embedded::open(dir, settings, Arc::new(now))
}

impl House {
    pub(crate) fn memory() -> Self {
        let engine = Engine::Memory(Box::new(Memory::new(settings()).unwrap()));
        Self { engine, settings: settings(), dir: tempfile::tempdir().unwrap(), clock: clock() }
    }

    pub(crate) fn embedded() -> Self {
        let (dir, clock) = (tempfile::tempdir().unwrap(), clock());
        let engine = Engine::Embedded(Some(open(dir.path(), settings(), &clock).unwrap()));
        Self { engine, settings: settings(), dir, clock }
    }

    /// The same with other limits; what was in it is gone.
    pub(crate) fn with(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.settings);
        match &mut self.engine {
            Engine::Memory(memory) => **memory = Memory::new(self.settings.clone()).unwrap(),
            Engine::Embedded(_) => self.restart(),
        }
    }

    pub(crate) fn store(&self) -> &dyn Store {
        match &self.engine {
            Engine::Memory(memory) => &**memory,
            Engine::Embedded(embedded) => embedded.as_ref().unwrap(),
        }
    }

    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn is_on_disk(&self) -> bool {
        matches!(self.engine, Engine::Embedded(_))
    }

    /// Moves the clock.
    pub(crate) fn pass(&self, time: Duration) {
        self.clock.fetch_add(time.as_millis() as u64, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> Wall {
        Wall(self.clock.load(Ordering::Relaxed))
    }

    /// Closes and opens again.
    pub(crate) fn restart(&mut self) {
        self.store().close();
        match &mut self.engine {
            Engine::Memory(memory) => memory.crash(),
            Engine::Embedded(embedded) => {
                *embedded = None;
                *embedded = Some(open(self.dir.path(), self.settings.clone(), &self.clock).unwrap());
            }
        }
    }

    pub(crate) fn fail_next_commit(&self) {
        match &self.engine {
            Engine::Memory(memory) => memory.fail_next_commit(),
            Engine::Embedded(embedded) => embedded.as_ref().unwrap().fail_next_commit(),
        }
    }

    pub(crate) fn doubt_next_commit(&self) {
        match &self.engine {
            Engine::Memory(memory) => memory.doubt_next_commit(),
            Engine::Embedded(embedded) => embedded.as_ref().unwrap().doubt_next_commit(),
        }
    }

    /// Waits until the engine has read itself again.
    pub(crate) fn recover(&self) {
        if let Engine::Memory(memory) = &self.engine {
            memory.recover();
        }
        for _ in 0..1000 {
            if self.store().healthy().is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("still not well: {:?}", self.store().healthy());
    }

    pub(crate) fn arrive(&self, batch: InboxBatch) -> Result<Appended, StoreError> {
        Inbox::append(self.store(), batch)?.wait()
    }

    /// A packet of `from` at the present time.
    pub(crate) fn packet(&self, from: &str, messages: &[(&str, &str)]) -> InboxBatch {
        let items = messages.iter().map(|(id, text)| item("chat", "room", id, text)).collect();
        InboxBatch { from: Some(host(from)), received: self.now(), items, marks: Vec::new() }
    }

    pub(crate) fn inbox(&self) -> Vec<String> {
        self.inbox_after(0)
    }

    pub(crate) fn inbox_after(&self, cursor: u64) -> Vec<String> {
        let entries = Inbox::read(self.store(), &service(), Cursor(cursor), 100_000, usize::MAX).unwrap();
        entries.iter().map(|entry| text(&entry.raw)).collect()
    }

    pub(crate) fn acknowledge(&self, app: &str, cursor: u64) -> bool {
        self.store().acknowledge(app, &service(), Cursor(cursor)).unwrap().wait().unwrap()
    }

    pub(crate) fn trim(&self, apps: &[&str], keep_from: Wall) -> u64 {
        let apps: Vec<String> = apps.iter().map(|app| (*app).to_owned()).collect();
        self.store().trim(&service(), &apps, keep_from).unwrap().wait().unwrap()
    }

    pub(crate) fn send(&self, items: Vec<OutboxItem>) -> Result<Accepted, StoreError> {
        Outbox::append(self.store(), OutboxBatch { items, queued: self.now() })?.wait()
    }

    /// Messages for a peer with ids and texts alike.
    pub(crate) fn queue(&self, to: &str, ids: &[&str]) -> Accepted {
        self.send(ids.iter().map(|id| self.mail(to, id)).collect()).unwrap()
    }

    pub(crate) fn mail(&self, to: &str, id: &str) -> OutboxItem {
        OutboxItem {
            id: id.into(),
            host: host(to),
            own: None,
            sender: service(),
            raw: id.as_bytes().to_vec().into(),
            content: [id.len() as u8; 32],
            expires: self.now().plus(Duration::from_secs(3600)),
            tries_before: 2,
        }
    }

    pub(crate) fn outbox(&self, to: &str) -> Vec<String> {
        let mails = self.store().load(&host(to), Seq(0), 100_000, usize::MAX).unwrap();
        mails.iter().map(|mail| text(&mail.raw)).collect()
    }

    pub(crate) fn settle(&self, to: &str, delivered: &[u64], dead: &[u64]) {
        let dead = dead.iter().map(|seq| (Seq(*seq), "gave up".to_owned())).collect();
        let delivered = delivered.iter().map(|seq| Seq(*seq)).collect();
        let marks = Vec::new();
        let settlement = Settlement { host: host(to), now: self.now(), tries: 5, delivered, dead, marks };
        self.store().settle(settlement).unwrap().wait().unwrap();
    }

    pub(crate) fn dead(&self) -> Vec<String> {
        self.store()
            .dead(&DeadFilter::default(), 1000)
            .unwrap()
            .iter()
            .map(|dead| dead.status.id.to_string())
            .collect()
    }

    pub(crate) fn write(&self, writes: Vec<VaultWrite>) {
        Vault::commit(self.store(), writes).unwrap().wait().unwrap();
    }

    pub(crate) fn vault(&self) -> VaultContents {
        let mut contents = Vault::read(self.store()).unwrap();
        contents.families.sort_by(|a, b| (&a.subject, a.id).cmp(&(&b.subject, b.id)));
        contents
    }
}

pub(crate) fn clock() -> Arc<AtomicU64> {
    Arc::new(AtomicU64::new(START))
}

/// So many were new.
pub(crate) fn all(states: Vec<MessageState>, fresh: usize) -> Accepted {
    Accepted::All { states, fresh }
}

pub(crate) fn host(name: &str) -> PeerHost {
    PeerHost::parse(name).unwrap()
}

pub(crate) fn service() -> ServiceKey {
    ServiceKey::new("chat", "room")
}

pub(crate) fn item(protocol: &str, name: &str, id: &str, text: &str) -> InboxItem {
    let service = ServiceKey::new(protocol, name);
    let content_sum = content_sum(&[], text);
    InboxItem { service, id: id.into(), raw: text.as_bytes().to_vec().into(), content_sum }
}

pub(crate) fn text(raw: &[u8]) -> String {
    String::from_utf8(raw.to_vec()).unwrap()
}
