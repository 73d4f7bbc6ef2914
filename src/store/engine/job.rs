//! What is handed over: a task with its receipt, planned into a commit and answered after it.
//!
//! Planning changes nothing but the commit in the making, so it may be done again. A task that has more to do than one
//! commit should hold (`Step::More`) comes back for the next one and is answered at its end.

use tokio::sync::oneshot;

use super::txn::Txn;
use crate::store::{Receipt, StoreError};

/// How far a task came with one commit.
pub(crate) enum Step<A> {
    /// To its end; the answer, once it is on disk.
    Done(A),
    /// There is more; how much has been done by then.
    More(u64),
}

/// A piece of work.
pub(crate) trait Task: Send + 'static {
    /// What its caller learns.
    type Answer: Send + 'static;

    /// Bytes that it brings, for bounding a commit.
    fn weight(&self) -> usize {
        256
    }

    /// Reads and writes in the commit. `so_far`: what earlier commits did of it.
    fn plan(&self, txn: &mut Txn<'_>, so_far: u64) -> Result<Step<Self::Answer>, StoreError>;
}

/// A task with its receipt, whatever its answer.
pub(crate) trait Job: Send {
    /// As `Task::weight`.
    fn weight(&self) -> usize;

    /// Plans it; on an error the whole commit in the making is spoilt.
    fn plan(&mut self, txn: &mut Txn<'_>) -> Result<(), StoreError>;

    /// The commit is on disk: answers, or comes back for the next one.
    fn kept(self: Box<Self>) -> Option<Box<dyn Job>>;

    /// It will not be done, or nobody knows.
    fn failed(self: Box<Self>, error: StoreError);
}

struct Pending<T: Task> {
    task: T,
    so_far: u64,
    step: Option<Step<T::Answer>>,
    receipt: oneshot::Sender<Result<T::Answer, StoreError>>,
}

/// Makes a job and its receipt.
pub(crate) fn job<T: Task>(task: T) -> (Box<dyn Job>, Receipt<T::Answer>) {
    let (sender, receipt) = Receipt::pending();
    (Box::new(Pending { task, so_far: 0, step: None, receipt: sender }), receipt)
}

impl<T: Task> Job for Pending<T> {
    fn weight(&self) -> usize {
        self.task.weight()
    }

    fn plan(&mut self, txn: &mut Txn<'_>) -> Result<(), StoreError> {
        self.step = Some(self.task.plan(txn, self.so_far)?);
        Ok(())
    }

    fn kept(mut self: Box<Self>) -> Option<Box<dyn Job>> {
        match self.step.take() {
            Some(Step::Done(answer)) => {
                let Self { task, receipt, .. } = *self;
                // First the task, which may hold room in the outbox; a caller that left is no trouble.
                drop(task);
                let _ = receipt.send(Ok(answer));
                None
            }
            Some(Step::More(so_far)) => {
                self.so_far = so_far;
                Some(self)
            }
            None => Some(self),
        }
    }

    fn failed(self: Box<Self>, error: StoreError) {
        let Self { task, receipt, .. } = *self;
        drop(task);
        let _ = receipt.send(Err(error));
    }
}

/// Plans jobs into one commit, as many as it takes: the others come back for the next one. A job that cannot read what it needs
/// is answered with that and the others are planned again without it, so that nothing of it stays in the commit.
pub(crate) fn plan_all<'a>(jobs: &mut Vec<Box<dyn Job>>, open: impl Fn() -> Txn<'a>) -> Txn<'a> {
    loop {
        let mut txn = open();
        let planned = jobs.iter_mut().enumerate().try_for_each(|(at, job)| {
            // Without a step it comes back: none was planned further on before, since an attempt ends where it fails.
            if txn.is_full() {
                return Ok(());
            }
            job.plan(&mut txn).and_then(|()| txn.check_keys()).map_err(|error| (at, error))
        });
        match planned {
            Ok(()) => return txn,
            Err((at, error)) => jobs.remove(at).failed(error),
        }
    }
}
