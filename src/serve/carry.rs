//! Work that must not stop half-way, whoever goes away.
//!
//! ```text
//! awaited to its end                   it runs where it is awaited: no task, no hand-over
//! dropped before (the caller left)     what is left of it goes on in a task of its own
//! ```

use std::{
    future::Future,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::runtime::Handle;

use super::respond::Fault;

//= HT-PKT-14: whoever goes away
/// Runs work to its end: a caller that goes away drops only the waiting. It is asked within the runtime.
///
/// # Errors
/// The work's own, and `Internal` where it panicked.
pub(crate) async fn carry_on<T: Send + 'static, E: Into<Fault> + Send + 'static>(
    work: impl Future<Output = Result<T, E>> + Send + 'static,
) -> Result<T, Fault> {
    match (Carried { left: Some(Box::pin(work)) }).await {
        Some(done) => done.map_err(Into::into),
        None => {
            tracing::error!("a call ended without an outcome: it panicked");
            Err(Fault::Internal)
        }
    }
}

/// `None` where the work panicked.
struct Carried<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    left: Option<Pin<Box<F>>>,
}

impl<F> Future for Carried<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    type Output = Option<F::Output>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let Some(work) = &mut this.left else { return Poll::Ready(None) };
        let polled = catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(cx)));
        if !matches!(polled, Ok(Poll::Pending)) {
            this.left = None;
        }
        polled.map_or(Poll::Ready(None), |polled| polled.map(Some))
    }
}

impl<F> Drop for Carried<F>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    fn drop(&mut self) {
        // Without a runtime the process is at its end.
        if let (Some(left), Ok(runtime)) = (self.left.take(), Handle::try_current()) {
            drop(runtime.spawn(left));
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::{sync::oneshot, task::yield_now};

    use super::*;
    use crate::wire::refusal::Refusal;

    //= HT-PKT-14
    #[tokio::test]
    async fn work_goes_on_when_its_caller_goes_away() {
        let (go, gone) = oneshot::channel::<()>();
        let (done, outcome) = oneshot::channel();
        let call = tokio::spawn(carry_on(async move {
            let came = gone.await.is_ok();
            yield_now().await;
            let _ = done.send(came);
            Ok::<_, Refusal>(())
        }));
        yield_now().await;
        call.abort();
        assert!(call.await.unwrap_err().is_cancelled());
        go.send(()).unwrap();
        assert_eq!(outcome.await, Ok(true));
    }

    #[tokio::test]
    async fn work_that_is_awaited_ends_where_it_is_awaited() {
        let here = tokio::task::try_id();
        let work = async move { Ok::<_, Refusal>(tokio::task::try_id()) };
        assert_eq!(carry_on(work).await.ok(), Some(here));
    }

    #[tokio::test]
    async fn work_that_panics_ends_its_call_and_nothing_else() {
        let work = async {
            yield_now().await;
            if tokio::task::try_id().is_none() {
                panic!("wanted");
            }
            Ok::<_, Refusal>(())
        };
        assert!(matches!(carry_on(work).await, Err(Fault::Internal)));
    }
}
