//! One run of a plugin: stanzas go in and come out.
//!
//! ```text
//! -> COMMAND ARGUMENT...
//! BASE64, 64 characters a line; the last line is shorter, or empty
//! ```

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use age_core::format::{Stanza, is_arbitrary_string};
use base64::prelude::{BASE64_STANDARD_NO_PAD, Engine as _};
use secret::SecretBytes;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::{Prompt, process};

/// How long a plugin may say nothing; it may wait for somebody to find and touch a device.
const SILENCE: Duration = Duration::from_secs(300);
/// After this much of it a person is told what is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// How long a plugin may take to end once all is said.
const FAREWELL: Duration = Duration::from_secs(1);
/// What a plugin may say in all, in bytes.
const MOST_SAID: u64 = 1024 * 1024;
/// How often it may ask or tell something.
const MOST_MESSAGES: usize = 1_000;
/// Its own errors are cut here, in characters.
const MOST_SHOWN: usize = 200;
/// Base64 characters of a full line.
const LINE: usize = 64;

/// What a plugin hands over.
pub(super) enum Message {
    /// `file-key`
    FileKey(Zeroizing<Vec<u8>>),
    /// `recipient-stanza`
    Stanza(Stanza),
    /// `labels`
    Labels(Vec<String>),
}

/// A plugin that runs. It ends with the session.
pub(super) struct Session {
    child: Child,
    input: ChildStdin,
    output: BufReader<tokio::io::Take<ChildStdout>>,
    /// What has come of a line that is still awaited.
    line: Zeroizing<Vec<u8>>,
    name: String,
}

impl Session {
    /// Starts `program` in the folder where it stands, so that it finds nothing of ours by a relative name.
    pub(super) fn start(program: &Path, state: &str, name: &str) -> Result<Self, String> {
        let mut command = process::command(program);
        command
            .arg(format!("--age-plugin={state}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        if let Some(folder) = program.parent() {
            command.current_dir(folder);
        }
        let mut child = command
            .spawn()
            .map_err(|error| format!("it could not start: {}", error.kind()))?;
        match (child.stdin.take(), child.stdout.take()) {
            (Some(input), Some(output)) => Ok(Self {
                child,
                input,
                output: BufReader::new(output.take(MOST_SAID)),
                line: Zeroizing::default(),
                name: name.to_owned(),
            }),
            _ => Err("it could not be talked to".to_owned()),
        }
    }

    /// Says one thing.
    pub(super) async fn send(&mut self, command: &str, args: &[&str], body: &[u8]) -> Result<(), String> {
        let base64 = Zeroizing::new(BASE64_STANDARD_NO_PAD.encode(body));
        let mut text = Zeroizing::new(String::with_capacity(base64.len() * 2 + 256));
        text.push_str("-> ");
        text.push_str(command);
        for arg in args {
            text.push(' ');
            text.push_str(arg);
        }
        let mut rest = base64.as_str();
        while rest.len() >= LINE {
            let (line, after) = rest.split_at(LINE);
            text.push('\n');
            text.push_str(line);
            rest = after;
        }
        text.push('\n');
        text.push_str(rest);
        text.push('\n');
        match timeout(SILENCE, self.input.write_all(text.as_bytes())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err("it ended too early".to_owned()),
            Err(_) => Err("it does not listen".to_owned()),
        }
    }

    /// Answers what the plugin asks until it is done, and hands on what it found.
    pub(super) async fn converse(
        &mut self,
        prompt: &dyn Prompt,
        mut found: impl FnMut(Message),
    ) -> Result<(), String> {
        let mut failure = None;
        for _ in 0..MOST_MESSAGES {
            let stanza = self.receive(prompt).await?;
            let text = || String::from_utf8_lossy(&stanza.body);
            match (stanza.tag.as_str(), stanza.args.as_slice()) {
                ("done", _) => {
                    // It may have to put something away.
                    let _ = timeout(FAREWELL, self.child.wait()).await;
                    return failure.map_or(Ok(()), Err);
                }
                ("error", _) => {
                    failure.get_or_insert_with(|| text().chars().take(MOST_SHOWN).collect());
                    self.send("ok", &[], &[]).await?;
                }
                ("msg", _) => {
                    prompt.message(&text());
                    self.send("ok", &[], &[]).await?;
                }
                ("request-public", _) => {
                    let answer = prompt.line(&format!("{} ", text()));
                    let answer = answer.map(|line| SecretBytes::new(line.into_bytes()));
                    self.answer(answer).await?;
                }
                ("request-secret", _) => self.answer(prompt.secret(&format!("{} ", text()))).await?,
                ("confirm", words @ ([_] | [_, _])) => {
                    let words: Option<Vec<String>> = words.iter().map(|word| decoded(word)).collect();
                    let chosen = words.and_then(|words| {
                        prompt.confirm(&text(), &words[0], words.get(1).map(String::as_str))
                    });
                    match chosen {
                        Some(true) => self.send("ok", &["yes"], &[]).await?,
                        Some(false) => self.send("ok", &["no"], &[]).await?,
                        None => self.send("fail", &[], &[]).await?,
                    }
                }
                ("file-key", [_]) => {
                    found(Message::FileKey(Zeroizing::new(stanza.body)));
                    self.send("ok", &[], &[]).await?;
                }
                ("recipient-stanza", [_, tag, args @ ..]) => {
                    found(Message::Stanza(Stanza {
                        tag: tag.clone(),
                        args: args.to_vec(),
                        body: stanza.body,
                    }));
                    self.send("ok", &[], &[]).await?;
                }
                ("labels", labels) => {
                    found(Message::Labels(labels.to_vec()));
                    self.send("ok", &[], &[]).await?;
                }
                _ => self.send("unsupported", &[], &[]).await?,
            }
        }
        Err("it does not come to an end".to_owned())
    }

    async fn answer(&mut self, answer: Option<SecretBytes>) -> Result<(), String> {
        match answer {
            Some(answer) => self.send("ok", &[], answer.expose()).await,
            None => self.send("fail", &[], &[]).await,
        }
    }

    async fn receive(&mut self, prompt: &dyn Prompt) -> Result<Stanza, String> {
        let first = match timeout(PATIENCE, self.line()).await {
            Ok(first) => first?,
            Err(_) => {
                prompt.message(&format!("waiting for {}", self.name));
                let line = timeout(SILENCE - PATIENCE, self.line()).await;
                line.map_err(|_| format!("it said nothing for {} seconds", SILENCE.as_secs()))??
            }
        };
        let malformed = || "what it says is malformed".to_owned();
        let head = std::str::from_utf8(&first).map_err(|_| malformed())?;
        let mut words = head.strip_prefix("-> ").ok_or_else(malformed)?.split(' ');
        let tag = words.next().unwrap_or_default().to_owned();
        let args: Vec<String> = words.map(str::to_owned).collect();
        if !std::iter::once(&tag).chain(&args).all(is_arbitrary_string) {
            return Err(malformed());
        }
        let mut base64 = Zeroizing::new(Vec::new());
        loop {
            let line = timeout(SILENCE, self.line()).await.map_err(|_| malformed())??;
            base64.extend_from_slice(&line);
            if line.len() != LINE {
                break;
            }
        }
        let body = BASE64_STANDARD_NO_PAD.decode(&*base64).map_err(|_| malformed())?;
        Ok(Stanza { tag, args, body })
    }

    /// A line without its end. When the wait is cut short, the next one goes on where it stopped.
    async fn line(&mut self) -> Result<Zeroizing<Vec<u8>>, String> {
        let read = self.output.read_until(b'\n', &mut self.line).await;
        let mut line = std::mem::take(&mut self.line);
        match read {
            Ok(_) if line.pop_if(|last| *last == b'\n').is_some() => Ok(line),
            _ if self.output.get_ref().limit() == 0 => Err("it says too much".to_owned()),
            _ => Err("it ended too early".to_owned()),
        }
    }
}

fn decoded(word: &str) -> Option<String> {
    let bytes = BASE64_STANDARD_NO_PAD.decode(word).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}
