//! The least that sealing and opening a file can take with the parts in use: `floor PLAIN SEALED`, two YAML files of the
//! same values, prints how long each part takes, in microseconds, as the best of several runs in one process.
//!
//! Values are sealed and opened on all cores, as the program does it; everything else is one thread's work. Reading and
//! writing files, the walks, the rules, the restored text and the start of a process are not in it.

#![allow(clippy::print_stdout, reason = "its output is what it is for")]
#![allow(
    clippy::disallowed_methods,
    reason = "it measures the crate and is no part of it"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use document::{Document, Event, Form, Format, Limits};
use secret::SecretBytes;
use sha2::{Digest, Sha512};
use sops::DataKey;
use sops::value::{Cipher, Sealed, ValueType, plaintext};

const RUNS: usize = 7;

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    let mut files = std::env::args_os().skip(1);
    let mut read =
        || -> Result<Vec<u8>, Failure> { Ok(std::fs::read(files.next().ok_or("two files are due")?)?) };
    let (plain, sealed) = (read()?, read()?);
    let values = values(&parse(&plain, Form::Plain)?)?;
    let cipher = Cipher::new(&DataKey::new([7; 32]));
    let texts = on_all_cores(&values, |values| seal(&cipher, values));
    let parts = [
        ("parse-plain", best(|| parse(&plain, Form::Plain))),
        (
            "seal",
            best(|| on_all_cores(&values, |values| seal(&cipher, values))),
        ),
        ("parse-sealed", best(|| parse(&sealed, Form::Sealed))),
        (
            "open",
            best(|| on_all_cores(&texts, |texts| open(&cipher, texts))),
        ),
        ("hash", best(|| hash(&values))),
    ];
    for (part, time) in parts {
        println!("{part} {}", time.as_micros());
    }
    Ok(())
}

/// A value to be sealed and its path.
struct Value {
    ty: ValueType,
    plaintext: Vec<u8>,
    path: Vec<u8>,
}

/// A sealed value and its path.
struct Text {
    sealed: Vec<u8>,
    path: Vec<u8>,
}

fn parse(source: &[u8], form: Form) -> Result<Document, document::Error> {
    let source = SecretBytes::copy_from(source);
    Document::parse(Format::Yaml, form, source, &Limits::default())
}

fn values(document: &Document) -> Result<Vec<Value>, Failure> {
    let (mut values, mut path) = (Vec::new(), Vec::<&[u8]>::new());
    for event in document.walk() {
        match event {
            Event::Key(key, _) => path.push(key),
            Event::End => drop(path.pop()),
            Event::Leaf(id) => {
                let scalar = document.scalar(id)?;
                let joined = path.iter().flat_map(|key| [key, &b":"[..]].concat()).collect();
                values.extend(plaintext(&scalar).map(|(ty, plaintext)| Value {
                    ty,
                    plaintext: plaintext.into_owned(),
                    path: joined,
                }));
                path.pop();
            }
            _ => {}
        }
    }
    Ok(values)
}

fn seal(cipher: &Cipher, values: &[Value]) -> Vec<Text> {
    let mut iv = [0; 32];
    let texts = values.iter().enumerate().map(|(number, value)| {
        iv[..8].copy_from_slice(&number.to_le_bytes());
        let mut sealed = Vec::with_capacity(192);
        cipher.seal_into(value.ty, &value.plaintext, &value.path, &iv, &mut sealed);
        Text {
            sealed,
            path: value.path.clone(),
        }
    });
    texts.collect()
}

fn open(cipher: &Cipher, texts: &[Text]) -> Vec<u8> {
    let mut out = Vec::with_capacity(texts.len() * 32);
    for Text { sealed, path } in texts {
        let sealed = Sealed::parse(sealed).ok().flatten().expect("it was just sealed");
        cipher
            .open_into(&sealed, path, &mut out)
            .expect("it was just sealed");
    }
    out
}

fn hash(values: &[Value]) -> [u8; 64] {
    let mut hash = Sha512::new();
    for value in values {
        hash.update(&value.plaintext);
    }
    hash.finalize().into()
}

/// Calls `work` on consecutive parts of `items`, one per core, and puts what they return in a row.
fn on_all_cores<T: Sync, R: Send>(items: &[T], work: impl Fn(&[T]) -> Vec<R> + Sync) -> Vec<R> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let work = &work;
    std::thread::scope(|scope| {
        let threads: Vec<_> = items
            .chunks(items.len().div_ceil(cores).max(1))
            .map(|part| scope.spawn(move || work(part)))
            .collect();
        let parts = threads
            .into_iter()
            .map(|thread| thread.join().expect("it does not panic"));
        parts.flatten().collect()
    })
}

fn best<R>(mut work: impl FnMut() -> R) -> Duration {
    let times = (0..RUNS).map(|_| {
        let start = Instant::now();
        black_box(work());
        start.elapsed()
    });
    times.min().unwrap_or_default()
}
