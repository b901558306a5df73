// SPDX-License-Identifier: MPL-2.0
//! The bytes that a carrier holds.
//!
//! | bytes | |
//! |---|---|
//! | 12 | only with a passphrase: the keyed hash of its place and of all that follows, which is enciphered |
//! | 1 | format version |
//! | 1 a secret | its step |
//! | 4 | bytes of coded levels |
//! | 4 | CRC-32C of its place and of all but itself and the hash |
//! | | coded levels |

use crate::network::passphrase::{Key, NONCE};

/// Another one for any other way from bytes to secrets: first guesses and neighbourhoods count too.
const VERSION: u8 = 4;
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
    key.map_or(0, |_| NONCE) + head(secrets) + CHECKSUM
}

/// Bytes before the checksum.
fn head(secrets: usize) -> usize {
    1 + secrets + LENGTH
}

impl Payload {
    /// As the carrier at a place holds it.
    pub fn into_bytes(self, place: &[u8], key: Option<&Key>) -> Vec<u8> {
        let length = (self.coded.len() as u32).to_le_bytes();
        let head = [&[VERSION], &*self.steps, &length].concat();
        let checksum = checksum(place, &head, &self.coded);
        let mut bytes = [head, checksum.into(), self.coded].concat();
        match key {
            Some(key) => [key.seal(place, &mut bytes).into(), bytes].concat(),
            None => bytes,
        }
    }

    /// Out of the bytes of the carrier at a place. None if there is no payload, or if it was changed, belongs
    /// elsewhere or was sealed with another passphrase.
    pub fn read(bytes: &[u8], place: &[u8], secrets: usize, key: Option<&Key>) -> Option<Self> {
        let (nonce, bytes) = bytes.split_at_checked(key.map_or(0, |_| NONCE))?;
        let mut bytes = bytes.to_vec();
        if let Some(key) = key {
            key.open(nonce.first_chunk()?, &mut bytes);
        }
        let (head, rest) = bytes.split_at_checked(head(secrets))?;
        let (version, steps) = head.split_first()?;
        let (steps, length) = steps.split_at(secrets);
        let length = u32::from_le_bytes(*length.first_chunk()?) as usize;
        let (sum, coded) = rest.split_at_checked(CHECKSUM)?;
        let coded = coded.get(..length)?;
        if *version != VERSION || checksum(place, head, coded) != *sum {
            return None;
        }
        let sealed = &bytes[..head.len() + CHECKSUM + length];
        if key.is_some_and(|key| key.hash(place, sealed) != *nonce) {
            return None;
        }
        Some(Self { steps: steps.into(), coded: coded.into() })
    }
}

fn checksum(place: &[u8], head: &[u8], coded: &[u8]) -> [u8; CHECKSUM] {
    [head, coded].into_iter().fold(crc32c::crc32c(place), crc32c::crc32c_append).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: &[u8] = b"here";

    fn payload() -> Payload {
        Payload { steps: vec![3, 250], coded: (0..100).collect() }
    }

    fn read(bytes: &[u8], key: Option<&Key>) -> Option<Payload> {
        Payload::read(bytes, PLACE, 2, key)
    }

    #[test]
    fn a_payload_comes_back_with_its_key_and_in_its_place_alone() {
        let key = Key::from_bytes([7; 32]);
        for key in [None, Some(&key)] {
            let bytes = payload().into_bytes(PLACE, key);
            assert_eq!(bytes.len(), 100 + overhead(2, key));
            let more = [&*bytes, &[9; 50]].concat();
            assert_eq!(read(&more, key), Some(payload()));
            assert_eq!(Payload::read(&more, b"there", 2, key), None);
            assert_eq!(Payload::read(&more, PLACE, 3, key), None);
            assert_eq!(read(&bytes, Some(&Key::from_bytes([8; 32]))), None);
            assert_eq!(read(&bytes, None).is_some(), key.is_none());
        }
    }

    #[test]
    fn a_key_shows_nothing_twice() {
        let key = Key::from_bytes([7; 32]);
        let sealed = |payload: Payload| payload.into_bytes(PLACE, Some(&key));
        let other = Payload { steps: vec![3, 251], ..payload() };
        let (one, other) = (sealed(payload()), sealed(other));
        let same = one.iter().zip(&other).filter(|(a, b)| a == b).count();
        assert!(same < 10, "{same}");
        assert_eq!(one, sealed(payload()));
    }

    #[test]
    fn what_was_changed_or_cut_is_none() {
        let bytes = payload().into_bytes(PLACE, None);
        for changed in 0..bytes.len() {
            let mut other = bytes.clone();
            other[changed] ^= 4;
            assert_eq!(read(&other, None), None, "{changed}");
            assert_eq!(read(&bytes[..changed], None), None, "{changed}");
        }
        assert_eq!(read(&[255; 64], None), None);
    }

    /// A cipher's bits can be turned over by anyone, and those of a CRC to match.
    #[test]
    fn a_sealed_payload_cannot_be_changed_to_another_one() {
        let key = Key::from_bytes([7; 32]);
        let mut bytes = payload().into_bytes(PLACE, Some(&key));
        let other = Payload { steps: vec![3, 251], ..payload() };
        let [before, after] = [payload(), other].map(|payload| payload.into_bytes(PLACE, None));
        for (place, (before, after)) in before.iter().zip(&after).enumerate() {
            bytes[NONCE + place] ^= before ^ after;
        }
        assert_eq!(read(&bytes, Some(&key)), None);
    }
}
