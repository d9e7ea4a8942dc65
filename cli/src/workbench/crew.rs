//! Many files at once: as many at work as there are cores, and many more that wait for a server.
//!
//! A file whose keys open on this machine needs a core all the time; one whose keys lie with a server mostly waits. So
//! whoever begins to wait lets another file have its turn, and takes one again with the answer.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use key_providers::Keyring;
use sops::KeyKind;

use super::Workbench;
use crate::args::Global;
use crate::audit::Audit;
use crate::error::{Code, Error, Result};
use crate::policy::Start;
use crate::ui::{Manner, Ui};

/// From this many files on a second thread is worth its start.
const MANY: usize = 32;
/// At most this many files are begun and not ended.
const MOST: usize = 32;

/// What a worker tells the thread that started it.
enum Event {
    /// A file is done.
    Done,
    /// It waits for somebody, so that another can work.
    Waits,
    /// There are no more files for it.
    Gone,
}

/// What a worker's workbench knows of the others.
pub(super) struct Member {
    turns: Arc<Turns>,
    events: Sender<Event>,
}

impl Member {
    /// Lets others work until the answer is dropped.
    pub(super) fn away(&self) -> impl Drop + use<> {
        self.turns.give();
        // Nobody listens any more only when the run is over.
        let _ = self.events.send(Event::Waits);
        Away(self.turns.clone())
    }
}

struct Away(Arc<Turns>);

impl Drop for Away {
    fn drop(&mut self) {
        self.0.take();
    }
}

/// How many more may work now.
struct Turns {
    free: Mutex<usize>,
    given: Condvar,
}

impl Turns {
    fn take(&self) {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let free = self.given.wait_while(free, |free| *free == 0);
        *free.unwrap_or_else(PoisonError::into_inner) -= 1;
    }

    fn give(&self) {
        *self.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.given.notify_one();
    }
}

impl Workbench {
    /// Does `work` for every item, on all cores if there are many of them, each thread on a workbench of its own; while
    /// some wait for a server, others are begun. The results are in the order of the items.
    pub(crate) fn for_each<I: Sync, T: Send>(
        &self,
        items: &[I],
        work: impl Fn(&Self, &I) -> T + Sync,
    ) -> Result<Vec<T>> {
        if let [only] = items {
            return Ok(vec![work(self, only)]);
        }
        let mut progress = self.ui.progress(items.len() as u64);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let turns = Arc::new(Turns {
            free: Mutex::new(cores),
            given: Condvar::new(),
        });
        let (events, incoming) = channel();
        let next = AtomicUsize::new(0);
        let results: Vec<Mutex<Option<T>>> = items.iter().map(|_| Mutex::new(None)).collect();
        let member = || Member {
            turns: turns.clone(),
            events: events.clone(),
        };
        let (next, results, work) = (&next, &results, &work);
        let blueprint = Blueprint {
            manner: self.ui.manner(),
            global: self.global.clone(),
            start: self.policies.start(),
            order: self.order.clone(),
            audit: self.audit.clone(),
            keyring: self.keyring.clone(),
        };
        std::thread::scope(|scope| {
            let start = || {
                let (member, blueprint) = (member(), blueprint.clone());
                scope.spawn(move || {
                    let (turns, events) = (member.turns.clone(), member.events.clone());
                    if let Ok(bench) = blueprint.build(member) {
                        while let at = next.fetch_add(1, Ordering::Relaxed)
                            && let Some(item) = items.get(at)
                        {
                            turns.take();
                            let result = work(&bench, item);
                            turns.give();
                            *results[at].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
                            let _ = events.send(Event::Done);
                        }
                    }
                    let _ = events.send(Event::Gone);
                });
            };
            let mut started = cores.min(items.len() / MANY + 1);
            (0..started).for_each(|_| start());
            let mut gone = 0;
            for event in incoming {
                match event {
                    Event::Done => progress.step(),
                    Event::Waits if started < MOST && next.load(Ordering::Relaxed) < items.len() => {
                        started += 1;
                        start();
                    }
                    Event::Waits => {}
                    Event::Gone => gone += 1,
                }
                if gone == started {
                    break;
                }
            }
        });
        self.tell_economy();
        let all = results
            .iter()
            .map(|result| result.lock().unwrap_or_else(PoisonError::into_inner).take());
        all.collect::<Option<Vec<T>>>()
            .ok_or_else(|| Error::new(Code::Generic, "a thread could not start its work"))
    }

    /// What a run over many files asked the holders of keys, and what it did not need to ask.
    fn tell_economy(&self) {
        let (asked, saved) = self.keyring.economy();
        let text = format!("keys unwrapped: {asked}, known already: {saved}");
        self.ui.detail(1, &text);
    }
}

/// What another workbench is made from: what one has unwrapped, read or asked for, the others need not.
#[derive(Clone)]
struct Blueprint {
    manner: Manner,
    global: Global,
    start: Start,
    order: Vec<KeyKind>,
    audit: Arc<Audit>,
    keyring: Arc<Keyring>,
}

impl Blueprint {
    fn build(self, member: Member) -> Result<Workbench> {
        let mut bench = Workbench::with(Ui::new(self.manner), self.global, self.start, self.keyring)?;
        bench.order = self.order;
        bench.audit = self.audit;
        bench.waiting.crew = Some(member);
        Ok(bench)
    }
}
