// SPDX-License-Identifier: MPL-2.0
//! The bytes that a carrier holds: a header, a checksum, and coded levels; under a passphrase, sealed.
//!
//! | bytes | |
//! |---|---|
//! | 12 | only with a passphrase, in clear: the keyed hash of what follows, with which the rest is enciphered |
//! | 1 | format version |
//! | 1 a secret | its step |
//! | 4 | bytes of coded levels |
//! | 4 | CRC-32C of all but itself and the hash |
//! | | coded levels |

use crate::network::passphrase::{Key, NONCE};

const VERSION: u8 = 1;
const LENGTH: usize = 4;
const CHECKSUM: usize = 4;

/// What is missing of some secrets in one part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    /// Index of each secret's step.
    pub steps: Vec<u8>,
    /// Their levels, coded one after the other.
    pub coded: Vec<u8>,
}

/// How many bytes a payload has besides its coded levels.
pub fn overhead(secrets: usize, key: Option<&Key>) -> usize {
    key.map_or(0, |_| NONCE) + 1 + secrets + LENGTH + CHECKSUM
}

impl Payload {
    /// As a carrier holds it.
    pub fn into_bytes(self, key: Option<&Key>) -> Vec<u8> {
        let length = (self.coded.len() as u32).to_le_bytes();
        let header = [&[VERSION], &*self.steps, &length].concat();
        let checksum = checksum(&header, &self.coded);
        let mut bytes = [header, checksum.to_le_bytes().into(), self.coded].concat();
        match key {
            Some(key) => {
                let nonce = key.hash(&bytes);
                key.cipher(&nonce).apply(&mut bytes);
                [nonce.into(), bytes].concat()
            }
            None => bytes,
        }
    }

    /// Out of a carrier's bytes, of which no more are taken than needed. None if there is no payload, or if it
    /// was damaged or sealed with another passphrase.
    pub fn read(
        mut bytes: impl ExactSizeIterator<Item = u8>,
        secrets: usize,
        key: Option<&Key>,
    ) -> Option<Self> {
        let room = bytes.len().checked_sub(overhead(secrets, key))?;
        let nonce: Vec<u8> = bytes.by_ref().take(key.map_or(0, |_| NONCE)).collect();
        let mut cipher = key.and_then(|key| Some(key.cipher(nonce.first_chunk()?)));
        let mut take = |count| {
            let mut taken: Vec<u8> = bytes.by_ref().take(count).collect();
            if let Some(cipher) = &mut cipher {
                cipher.apply(&mut taken);
            }
            taken
        };
        let (header, sum) = (take(1 + secrets + LENGTH), take(CHECKSUM));
        let (version, rest) = header.split_first()?;
        let (steps, length) = rest.split_at(secrets);
        let length = u32::from_le_bytes(*length.first_chunk()?) as usize;
        if *version != VERSION || length > room {
            return None;
        }
        let coded = take(length);
        let whole = checksum(&header, &coded).to_le_bytes() == *sum;
        whole.then(|| Self { steps: steps.to_vec(), coded })
    }
}

fn checksum(header: &[u8], coded: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(header), coded)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn payload() -> Payload {
        Payload { steps: vec![3, 250], coded: (0..100).collect() }
    }

    fn read(bytes: &[u8], key: Option<&Key>) -> Option<Payload> {
        Payload::read(bytes.iter().copied(), 2, key)
    }

    #[test]
    fn a_payload_comes_back_with_its_key_alone() {
        let key = Key::from_bytes([7; 32]);
        for key in [None, Some(&key)] {
            let bytes = payload().into_bytes(key);
            assert_eq!(bytes.len(), 100 + overhead(2, key));
            let more = [&*bytes, &[9; 50]].concat();
            assert_eq!(read(&more, key), Some(payload()));
            assert_eq!(read(&bytes, Some(&Key::from_bytes([8; 32]))), None);
            assert_eq!(read(&bytes, None).is_some(), key.is_none());
        }
    }

    #[test]
    fn a_key_shows_nothing_twice() {
        let key = Key::from_bytes([7; 32]);
        let sealed = |payload: Payload| payload.into_bytes(Some(&key));
        let other = Payload { steps: vec![3, 251], ..payload() };
        let (one, other) = (sealed(payload()), sealed(other));
        let same = one.iter().zip(&other).filter(|(a, b)| a == b).count();
        assert!(same < 10, "{same}");
        assert_eq!(one, sealed(payload()));
    }

    #[test]
    fn what_was_changed_or_cut_is_none() {
        let bytes = payload().into_bytes(None);
        for changed in 0..bytes.len() {
            let mut other = bytes.clone();
            other[changed] ^= 4;
            assert_eq!(read(&other, None), None, "{changed}");
            assert_eq!(read(&bytes[..changed], None), None, "{changed}");
        }
        assert_eq!(read(&[255; 64], None), None);
    }
}
