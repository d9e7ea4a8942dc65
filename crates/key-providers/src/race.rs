//! Several futures at once, asked in order, on whatever runtime polls them.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;

type Runner<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Futures that run concurrently. Dropping the race cancels those that have not finished.
pub(crate) struct Race<'a, T> {
    /// `None` once finished; the position is the future's name.
    runners: Vec<Option<Runner<'a, T>>>,
}

impl<'a, T> Race<'a, T> {
    /// Starts nothing yet: futures run when a result is awaited.
    pub(crate) fn new<F: Future<Output = T> + Send + 'a>(runners: impl Iterator<Item = F>) -> Self {
        Self {
            runners: runners
                .map(|runner| Some(Box::pin(runner) as Runner<'a, T>))
                .collect(),
        }
    }

    /// The next result with the position of its future; `None` when all have finished. Futures are asked in
    /// order and no further than the first that has finished, so one that answers at once keeps those behind
    /// it from starting.
    pub(crate) async fn first(&mut self) -> Option<(usize, T)> {
        self.next(1).await.pop()
    }

    /// All results that are there at the same time, at least one unless all have finished before.
    pub(crate) async fn batch(&mut self) -> Vec<(usize, T)> {
        self.next(usize::MAX).await
    }

    async fn next(&mut self, most: usize) -> Vec<(usize, T)> {
        poll_fn(|context| {
            let mut finished = Vec::new();
            let mut running = false;
            for (at, slot) in self.runners.iter_mut().enumerate() {
                if finished.len() == most {
                    break;
                }
                let Some(runner) = slot else { continue };
                match runner.as_mut().poll(context) {
                    Poll::Ready(result) => {
                        *slot = None;
                        finished.push((at, result));
                    }
                    Poll::Pending => running = true,
                }
            }
            if finished.is_empty() && running {
                Poll::Pending
            } else {
                Poll::Ready(finished)
            }
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    #[tokio::test]
    async fn one_that_answers_at_once_keeps_later_ones_from_starting() {
        let started = AtomicUsize::new(0);
        let mut race = Race::new((0..3).map(|at| {
            let started = &started;
            async move {
                started.fetch_add(1, Ordering::Relaxed);
                at
            }
        }));
        assert_eq!(race.first().await, Some((0, 0)));
        assert_eq!(started.load(Ordering::Relaxed), 1);
        assert_eq!(race.batch().await, [(1, 1), (2, 2)]);
        assert_eq!(race.first().await, None);
        assert_eq!(race.batch().await, []);
    }

    #[tokio::test(start_paused = true)]
    async fn slow_ones_run_at_the_same_time() {
        let begin = tokio::time::Instant::now();
        let mut race = Race::new([200, 200, 20].into_iter().map(|millis| async move {
            tokio::time::sleep(Duration::from_millis(millis)).await;
            millis
        }));
        assert_eq!(race.first().await, Some((2, 20)));
        while race.first().await.is_some() {}
        assert_eq!(begin.elapsed(), Duration::from_millis(200));
    }
}
