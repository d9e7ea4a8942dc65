//! One data key on many threads (CC-06): every thread gets what it would get alone, of its own file and nobody else's.

use document::{Document, Form, Format, Limits, Value};
use secret::SecretBytes;
use sops::{Checks, DataKey, KeyEntry, MasterKey, Metadata, Rules, Sealing, open, seal};

const THREADS: usize = 64;

fn metadata() -> Metadata {
    let key = MasterKey::Age {
        recipient: "age1test".into(),
    };
    let entry = KeyEntry::new(key, String::new(), "wrapped".into());
    Metadata::new(
        vec![vec![entry]],
        Rules::default(),
        String::new(),
        "3.11.0".into(),
    )
}

fn parsed(form: Form, text: &[u8]) -> Document {
    let source = SecretBytes::copy_from(text);
    Document::parse(Format::Yaml, form, source, &Limits::default()).expect("a document")
}

/// Seals `text`, with random numbers that depend on `seed` alone.
fn sealed(key: &DataKey, text: &str, seed: u64) -> Vec<u8> {
    let mut state = seed;
    let mut random = |buffer: &mut [u8]| {
        for byte in buffer {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            *byte = (state >> 33) as u8;
        }
        Ok(())
    };
    let limits = Limits::default();
    let sealing = Sealing {
        key,
        now: "2026-01-02T03:04:05Z",
        fields: true,
        reuse: None,
        block: None,
        limits: &limits,
    };
    let document = parsed(Form::Plain, text.as_bytes());
    let sealed = seal(&document, metadata(), sealing, &mut random).expect("sealed");
    sealed.bytes.expose().to_vec()
}

fn block(document: &Document) -> Metadata {
    let block: Value = document.block().expect("it reads").expect("a block");
    Metadata::from_value(&block).expect("metadata")
}

/// What comes of opening: the plaintext, or why not.
fn opened(document: &Document, key: &DataKey) -> Result<String, String> {
    let opened = open(document, &block(document), key, &Checks::default());
    opened
        .map(|opened| String::from_utf8_lossy(opened.plaintext.expose()).into_owned())
        .map_err(|error| error.to_string())
}

/// The number of the thread in every value, so that another's would show.
fn text(number: usize) -> String {
    let lines = (0..40).map(|line| format!("key{line}: of {number} in {line} # comment {number}\n"));
    lines.collect()
}

#[test]
fn many_threads_with_one_data_key_get_what_each_would_get_alone() {
    let key = &DataKey::new([7; 32]);
    let start = &std::sync::Barrier::new(THREADS);
    let results: Vec<_> = std::thread::scope(|scope| {
        let work = |number: usize| {
            start.wait();
            let sealed = sealed(key, &text(number), number as u64);
            // Every fourth file is not the one that was sealed: its neighbours must not notice.
            let mut shown = String::from_utf8(sealed.clone()).expect("text");
            if number % 4 == 3 {
                shown = shown.replacen("key1:", "other:", 1);
            }
            (sealed, opened(&parsed(Form::Sealed, shown.as_bytes()), key))
        };
        let threads: Vec<_> = (0..THREADS)
            .map(|number| scope.spawn(move || work(number)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().expect("no panic"))
            .collect()
    });
    for (number, (bytes, result)) in results.into_iter().enumerate() {
        assert_eq!(bytes, sealed(key, &text(number), number as u64), "{number}");
        match (number % 4, result) {
            (3, Err(_)) => {}
            (3, Ok(_)) => panic!("{number}: a changed file was opened"),
            (_, result) => assert_eq!(result, Ok(text(number)), "{number}"),
        }
    }
}

/// One document, and one that is so long that each opening works on several threads of its own.
#[test]
fn many_threads_open_the_same_document_alike() {
    let key = &DataKey::new([9; 32]);
    let long: String = (0..6_000).map(|line| format!("key{line}: {line}\n")).collect();
    for (text, threads) in [(text(1), THREADS), (long, 4)] {
        let document = &parsed(Form::Sealed, &sealed(key, &text, 1));
        let start = &std::sync::Barrier::new(threads);
        std::thread::scope(|scope| {
            let opening = || {
                start.wait();
                opened(document, key)
            };
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(opening)).collect();
            for thread in threads {
                let result = thread.join().expect("no panic");
                assert!(result.as_deref() == Ok(text.as_str()), "{:?}", result.err());
            }
        });
    }
}
