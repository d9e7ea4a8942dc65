//! Work on all cores: a list is cut into as many runs as there are threads, and the results are in order.

/// Below this many values a second thread costs more than it brings.
pub(crate) const WORTH_IT: usize = 5_000;

/// Calls both, the second on a thread of its own if `count` values are worth it.
pub(crate) fn join<A, B: Send>(
    count: usize,
    first: impl FnOnce() -> A,
    second: impl FnOnce() -> B + Send,
) -> (A, B) {
    if threads_for(count) == 1 {
        return (first(), second());
    }
    std::thread::scope(|scope| {
        let second = scope.spawn(|| leaving_nothing(second));
        (first(), finished(second))
    })
}

/// Calls `work` on consecutive runs of `items`, each on a thread of its own if there are enough of them. The
/// second argument is the position of the run's first item.
pub(crate) fn in_runs<T: Sync, R: Send>(items: &[T], work: impl Fn(&[T], usize) -> R + Sync) -> Vec<R> {
    let threads = threads_for(items.len());
    if threads == 1 {
        return vec![work(items, 0)];
    }
    let run = items.len().div_ceil(threads);
    let work = &work;
    std::thread::scope(|scope| {
        let handles: Vec<_> = items
            .chunks(run)
            .enumerate()
            .map(|(at, chunk)| scope.spawn(move || leaving_nothing(|| work(chunk, at * run))))
            .collect();
        handles.into_iter().map(finished).collect()
    })
}

/// How many threads `count` values are worth. Asking the system takes longer than opening a small file.
fn threads_for(count: usize) -> usize {
    if count < WORTH_IT {
        return 1;
    }
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The system keeps the stack of a thread that has ended, for the next one.
fn leaving_nothing<T>(work: impl FnOnce() -> T) -> T {
    let done = work();
    secret::wipe_stack();
    done
}

fn finished<T>(thread: std::thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
