//! Requests and answers as bytes.

use std::io;

use secret::SecretBytes;

use super::Mark;

/// Bytes before the rest of a message.
pub(super) const HEAD: usize = 5;
/// No rest is longer, in bytes.
const LONGEST: usize = 2 << 20;
/// Names of keys are cut here, in bytes.
const LONGEST_NAME: usize = 255;

pub(super) enum Request {
    Get(Mark),
    Put {
        mark: Mark,
        name: String,
        key: SecretBytes,
    },
    Status,
    Lock,
    Stop,
}

pub(super) struct Answer {
    pub(super) yes: bool,
    pub(super) rest: SecretBytes,
}

impl Request {
    pub(super) fn bytes(&self) -> SecretBytes {
        match self {
            Self::Get(mark) => bytes(1, &[mark]),
            Self::Put { mark, name, key } => {
                let name = &name.as_bytes()[..name.len().min(LONGEST_NAME)];
                bytes(
                    2,
                    &[
                        mark,
                        &[u8::try_from(name.len()).unwrap_or(u8::MAX)],
                        name,
                        key.expose(),
                    ],
                )
            }
            Self::Status => bytes(3, &[]),
            Self::Lock => bytes(4, &[]),
            Self::Stop => bytes(5, &[]),
        }
    }

    /// # Errors
    /// [`io::ErrorKind::InvalidData`] for what is no request.
    pub(super) fn parse(operation: u8, rest: &SecretBytes) -> io::Result<Self> {
        let rest = rest.expose();
        let request = match operation {
            1 => rest.try_into().ok().map(Self::Get),
            2 => put(rest),
            3 if rest.is_empty() => Some(Self::Status),
            4 if rest.is_empty() => Some(Self::Lock),
            5 if rest.is_empty() => Some(Self::Stop),
            _ => None,
        };
        request.ok_or_else(invalid)
    }
}

fn put(rest: &[u8]) -> Option<Request> {
    let (mark, rest) = rest.split_first_chunk()?;
    let (length, rest) = rest.split_first()?;
    let (name, key) = rest.split_at_checked(usize::from(*length))?;
    Some(Request::Put {
        mark: *mark,
        name: String::from_utf8_lossy(name).into_owned(),
        key: SecretBytes::copy_from(key),
    })
}

impl Answer {
    pub(super) fn bytes(&self) -> SecretBytes {
        bytes(u8::from(self.yes), &[self.rest.expose()])
    }

    /// # Errors
    /// [`io::ErrorKind::InvalidData`] for what is no answer.
    pub(super) fn parse(first: u8, rest: SecretBytes) -> io::Result<Self> {
        match first {
            0 | 1 => Ok(Self {
                yes: first == 1,
                rest,
            }),
            _ => Err(invalid()),
        }
    }
}

/// What a message begins with, and how long its rest is.
///
/// # Errors
/// [`io::ErrorKind::InvalidData`] for more than any message has.
pub(super) fn head(bytes: [u8; HEAD]) -> io::Result<(u8, SecretBytes)> {
    let [first, length @ ..] = bytes;
    match u32::from_le_bytes(length) as usize {
        length if length <= LONGEST => Ok((first, SecretBytes::new(vec![0; length]))),
        _ => Err(invalid()),
    }
}

/// One message, to be written in one piece.
fn bytes(first: u8, parts: &[&[u8]]) -> SecretBytes {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut whole = SecretBytes::new(Vec::with_capacity(HEAD + length));
    let message = whole.expose_mut();
    message.push(first);
    // What does not fit is refused by whoever reads it.
    message.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    for part in parts {
        message.extend_from_slice(part);
    }
    whole
}

fn invalid() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(mut bytes: &[u8]) -> io::Result<Request> {
        let (start, rest) = bytes.split_first_chunk().ok_or_else(invalid)?;
        let (operation, mut buffer) = head(*start)?;
        bytes = rest;
        if bytes.len() != buffer.len() {
            return Err(invalid());
        }
        buffer.expose_mut().copy_from_slice(bytes);
        Request::parse(operation, &buffer)
    }

    #[test]
    fn what_is_written_is_read() {
        let request = Request::Put {
            mark: [7; 32],
            name: "a key".into(),
            key: SecretBytes::copy_from(b"secret"),
        };
        let bytes = request.bytes();
        match parse(bytes.expose()).expect("read") {
            Request::Put { mark, name, key } => {
                assert_eq!(
                    (mark, name.as_str(), key.expose()),
                    ([7; 32], "a key", &b"secret"[..])
                );
            }
            _ => panic!("another request"),
        }
        for length in 0..bytes.len() {
            assert!(parse(&bytes.expose()[..length]).is_err(), "{length}");
        }
        let long = Request::Put {
            mark: [7; 32],
            name: "k".repeat(1000),
            key: SecretBytes::copy_from(b"secret"),
        };
        match parse(long.bytes().expose()).expect("read") {
            Request::Put { name, key, .. } => {
                assert_eq!((name.len(), key.expose()), (LONGEST_NAME, &b"secret"[..]));
            }
            _ => panic!("another request"),
        }
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for bytes in [
            &[0, 0, 0, 0, 0][..],
            &[9, 0, 0, 0, 0],
            &[1, 1, 0, 0, 0, 5],
            &[3, 1, 0, 0, 0, 5],
            &[2, 2, 0, 0, 0, 5, 5],
            &[1, 255, 255, 255, 255],
        ] {
            let error = parse(bytes).err().expect("an error");
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{bytes:?}");
        }
    }
}
