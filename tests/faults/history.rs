//! What writers and readers of one file saw, taken together, has an order in which it could have happened one after the
//! other (CC-05).
//!
//! Writers set values, rotate the data key and change the recipients at the same time, each at a random moment; a reader
//! looks at the bytes of the file all the while. From the times when each began and ended, and from what each was told,
//! [`has_order`] looks for an order that explains all of it. An acknowledged write that is lost, a torn file, an old
//! version that comes back, a refused write that was done all the same: none of these has one.
//!
//! Small form: 30 rounds. Campaign: 1,000.

use std::collections::HashSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::random::Random;
use support::tier;

use crate::scene::{EVERYTHING, Result, Scene, ended, people, verdict};

/// The values of the keys, and whether the file is sealed for two people or for one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Version {
    values: Vec<usize>,
    for_two: bool,
}

/// What somebody did.
#[derive(Clone, Debug, PartialEq)]
enum Act {
    Set { key: usize, value: usize },
    Rotate,
    Recipients { two: bool },
    Read(Version),
}

/// What somebody did, and when. Of a refused act nothing is left to be explained: it must have done nothing.
#[derive(Clone, Debug)]
struct Event {
    act: Act,
    began: Instant,
    ended: Instant,
}

impl Version {
    /// What an act makes of this version; `None` if it cannot have happened here.
    fn after(&self, act: &Act) -> Option<Self> {
        let mut next = self.clone();
        match act {
            Act::Set { key, value } => next.values[*key] = *value,
            Act::Rotate => {}
            Act::Recipients { two } => next.for_two = *two,
            Act::Read(seen) => return (seen == self).then_some(next),
        }
        Some(next)
    }
}

/// Whether there is an order of all `events`, of which none comes before one that had ended when it began, that leads
/// from `version` through all that was read.
fn has_order(events: &[Event], version: &Version) -> bool {
    fn search(events: &[Event], done: u128, version: &Version, dead: &mut HashSet<(u128, Version)>) -> bool {
        let open = |at: &usize| done >> at & 1 == 0;
        let rest = || (0..events.len()).filter(open);
        let Some(first_end) = rest().map(|at| events[at].ended).min() else {
            return true;
        };
        if dead.contains(&(done, version.clone())) {
            return false;
        }
        let found = rest().filter(|at| events[*at].began <= first_end).any(|at| {
            let next = version.after(&events[at].act);
            next.is_some_and(|next| search(events, done | 1 << at, &next, dead))
        });
        if !found {
            dead.insert((done, version.clone()));
        }
        found
    }
    assert!(events.len() <= 128, "{} events", events.len());
    search(events, 0, version, &mut HashSet::new())
}

const KEYS: usize = 3;
const WRITERS: usize = 4;
/// Acts of each writer, one after the other.
const ACTS: usize = 2;
/// More than this a reader does not keep of one round.
const READS: usize = 100;

/// One file, and a policy for one person and one for two.
struct Ground {
    scene: Scene,
    sealed: Vec<u8>,
}

impl Ground {
    fn new() -> Result<Self> {
        let scene = Scene::new(EVERYTHING)?;
        scene.write("file.yaml", "key0: 0\nkey1: 0\nkey2: 0\n")?;
        scene.must(&["encrypt", "-i", "file.yaml"])?;
        let sealed = scene.read("file.yaml")?;
        scene.policy("creation_rules:\n  - path_regex: .\n    age: PERSON0,PERSON1\n")?;
        let one = EVERYTHING.replace("PERSON0", &people()?[0].recipient);
        scene.write("one", one)?;
        Ok(Self { scene, sealed })
    }

    /// Does one thing. Whether it was done; an error if it ended in another way than by a refusal.
    fn act(&self, act: &Act) -> Result<bool> {
        let output = match act {
            Act::Set { key, value } => {
                let path = format!("[\"key{key}\"]");
                let arguments = ["-q", "set", "file.yaml", &path, "--value-stdin"];
                self.scene
                    .seal_with_input(&arguments, value.to_string().as_bytes())?
            }
            Act::Rotate => self.scene.seal(&["-q", "rotate", "file.yaml"])?,
            Act::Recipients { two } => {
                let policy = if *two { ".sops.yaml" } else { "one" };
                self.scene
                    .seal(&["-q", "updatekeys", "--yes", "--config", policy, "file.yaml"])?
            }
            Act::Read(_) => return Ok(true),
        };
        match output.code {
            Some(0) => Ok(true),
            Some(3) if output.err().contains("changed on disk") => Ok(false),
            _ => Err(format!("{act:?}: {}", ended(&output)).into()),
        }
    }

    /// The version that these bytes hold.
    fn version(&self, bytes: &[u8]) -> Result<Version> {
        self.scene.write("look.yaml", bytes)?;
        let plain = self.scene.must(&["decrypt", "look.yaml"])?;
        let value = |line: &str| line.split_once(": ")?.1.parse().ok();
        let values: Vec<usize> = str::from_utf8(&plain)?.lines().filter_map(value).collect();
        if values.len() != KEYS {
            return Err("a read without all keys".into());
        }
        let for_two = String::from_utf8_lossy(bytes).contains(&people()?[1].recipient);
        Ok(Version { values, for_two })
    }

    /// What a round's writers do, and with what pause before each. No two values are the same.
    fn plan(random: &mut Random) -> Vec<Vec<(Duration, Act)>> {
        let mut value = 0;
        let mut act = || {
            value += 1;
            let pause = Duration::from_micros(random.below(20_000) as u64);
            let act = match random.below(6) {
                0 => Act::Rotate,
                1 => Act::Recipients { two: true },
                2 => Act::Recipients { two: false },
                _ => Act::Set {
                    key: random.below(KEYS),
                    value,
                },
            };
            (pause, act)
        };
        (0..WRITERS).map(|_| (0..ACTS).map(|_| act()).collect()).collect()
    }

    /// One round: the events, and how many acts were refused.
    fn round(&self, random: &mut Random) -> Result<(Vec<Event>, usize)> {
        self.scene.write("file.yaml", &self.sealed)?;
        let (events, refused, wrong) = (
            Mutex::new(Vec::new()),
            AtomicUsize::new(0),
            Mutex::new(Vec::new()),
        );
        let running = AtomicUsize::new(WRITERS);
        let mut reads = Vec::new();
        let read = || -> Result<_> {
            let began = Instant::now();
            let bytes = self.scene.read("file.yaml")?;
            Ok((bytes, began, Instant::now()))
        };
        std::thread::scope(|scope| -> Result {
            for writer in Self::plan(random) {
                let (events, refused, wrong, running) = (&events, &refused, &wrong, &running);
                scope.spawn(move || {
                    for (pause, act) in writer {
                        std::thread::sleep(pause);
                        let began = Instant::now();
                        let done = self.act(&act).map_err(|error| error.to_string());
                        let ended = Instant::now();
                        match done {
                            Ok(true) => locked(events).push(Event { act, began, ended }),
                            Ok(false) => drop(refused.fetch_add(1, Ordering::Relaxed)),
                            Err(error) => locked(wrong).push(error),
                        }
                    }
                    running.fetch_sub(1, Ordering::Relaxed);
                });
            }
            while running.load(Ordering::Relaxed) > 0 {
                if reads.len() < READS {
                    reads.push(read()?);
                }
                std::thread::sleep(Duration::from_millis(3));
            }
            Ok(())
        })?;
        if let Some(error) = locked(&wrong).pop() {
            return Err(error.into());
        }
        reads.push(read()?);
        let mut events = events.into_inner().unwrap_or_default();
        let mut last: Option<(Vec<u8>, Version)> = None;
        for (bytes, began, ended) in reads {
            let version = match last {
                Some((before, version)) if before == bytes => version,
                _ => self.version(&bytes)?,
            };
            last = Some((bytes, version.clone()));
            let act = Act::Read(version);
            events.push(Event { act, began, ended });
        }
        Ok((events, refused.into_inner()))
    }
}

fn locked<T>(of: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    of.lock().unwrap_or_else(|error| error.into_inner())
}

#[test]
fn what_writers_and_readers_saw_could_have_happened_in_some_order() -> Result {
    let (ground, mut random) = (Ground::new()?, Random::new(5));
    let first = ground.version(&ground.sealed)?;
    let (rounds, mut wrong) = (tier::count(30, 1_000), Vec::new());
    let (mut done, mut refused, mut versions) = (0, 0, 0);
    for number in 0..rounds {
        match ground.round(&mut random) {
            Err(error) => wrong.push(format!("round {number}: {error}")),
            Ok((events, no)) => {
                let acts = events.iter().filter(|event| !matches!(event.act, Act::Read(_)));
                done += acts.count();
                refused += no;
                let reads: Vec<_> = events
                    .iter()
                    .filter(|event| matches!(event.act, Act::Read(_)))
                    .collect();
                let seen = reads.windows(2).filter(|pair| pair[0].act != pair[1].act);
                versions += seen.count();
                if !has_order(&events, &first) {
                    wrong.push(format!("round {number} has no order: {events:#?}"));
                }
            }
        }
    }
    use std::io::Write as _;
    writeln!(
        std::io::stdout().lock(),
        "faults: {rounds} rounds of {WRITERS} writers: {done} acts done, {refused} refused, {versions} versions read, \
         {} rounds wrong",
        wrong.len()
    )?;
    assert!(refused < done, "{refused} of {done} were refused");
    verdict(&wrong, rounds, rounds)
}

/// The search itself: what a loss, a stale read and a refused act that was done look like.
#[test]
fn a_history_with_a_loss_has_no_order() {
    let start = Instant::now();
    let event = |act, began: u64, ended: u64| Event {
        act,
        began: start + Duration::from_secs(began),
        ended: start + Duration::from_secs(ended),
    };
    let version = |values: [usize; 2], for_two| Version {
        values: values.into(),
        for_two,
    };
    let set = |key, value| Act::Set { key, value };
    let read = |values, for_two| Act::Read(version(values, for_two));
    let ordered = |events: &[Event]| has_order(events, &version([0, 0], false));
    let both = [event(set(0, 1), 0, 5), event(set(1, 2), 1, 4)];
    let after = |act| ordered(&[both[0].clone(), both[1].clone(), event(act, 6, 7)]);
    assert!(after(read([1, 2], false)));
    assert!(!after(read([1, 0], false)), "a lost write");
    assert!(!after(read([1, 2], true)), "recipients that nobody asked for");
    // Two at once on one key: either may be the last, but both readers must agree.
    let pair = [event(set(0, 1), 0, 5), event(set(0, 2), 0, 5)];
    let reads = |one, other| {
        let reads = [
            event(read([one, 0], false), 6, 7),
            event(read([other, 0], false), 8, 9),
        ];
        ordered(&[&pair[..], &reads[..]].concat())
    };
    assert!(reads(1, 1) && reads(2, 2) && !reads(1, 2) && !reads(0, 1));
    // An old recipient that comes back, although nobody was at it.
    let gone = event(Act::Recipients { two: true }, 0, 1);
    let back = [event(read([0, 0], true), 2, 3), event(read([0, 0], false), 4, 5)];
    assert!(!ordered(
        &[&[gone][..], &back[..], &[event(Act::Rotate, 2, 6)]].concat()
    ));
}
