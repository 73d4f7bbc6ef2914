//! One word to all faces: finish. Whoever holds a `Stopping` hears it once and for ever.

use tokio::sync::watch;

/// Says the word. Dropping it says it too.
#[derive(Debug)]
pub struct Stop(watch::Sender<bool>);

/// Hears the word. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Stopping(watch::Receiver<bool>);

/// The two ends.
#[must_use]
pub fn stop() -> (Stop, Stopping) {
    let (sender, receiver) = watch::channel(false);
    (Stop(sender), Stopping(receiver))
}

impl Stop {
    /// Asks all listeners and waiting calls to finish.
    pub fn now(&self) {
        self.0.send_replace(true);
    }
}

impl Stopping {
    /// Whether it has been asked.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Returns when it is asked, at once where it was before.
    pub async fn asked(&mut self) {
        // An error means that the other end is gone, which says the same.
        let _ = self.0.wait_for(|asked| *asked).await;
    }
}
