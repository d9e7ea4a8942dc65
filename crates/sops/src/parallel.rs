//! Work on all cores: a list is cut into as many runs as there are threads, and the results are in order.

/// Below this many values a second thread costs more than it brings.
pub(crate) const WORTH_IT: usize = 5_000;

/// Calls `work` on consecutive runs of `items`, each on a thread of its own if there are enough of them. The
/// second argument is the position of the run's first item.
pub(crate) fn in_runs<T: Sync, R: Send>(items: &[T], work: impl Fn(&[T], usize) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    if threads == 1 || items.len() < WORTH_IT {
        return vec![work(items, 0)];
    }
    let run = items.len().div_ceil(threads);
    let work = &work;
    std::thread::scope(|scope| {
        let handles: Vec<_> = items
            .chunks(run)
            .enumerate()
            .map(|(at, chunk)| scope.spawn(move || work(chunk, at * run)))
            .collect();
        handles
            .into_iter()
            .map(|handle| {
                handle
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    })
}
