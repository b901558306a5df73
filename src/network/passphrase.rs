// SPDX-License-Identifier: MPL-2.0
//! From a passphrase to a key, and from the key to a stream of numbers.

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};
use blake2::Blake2sMac;
use blake2::digest::consts::{U12, U32};
use blake2::digest::{KeyInit, Mac};
use chacha20::ChaCha20;
use chacha20::cipher::{KeyIvInit, StreamCipher};

use super::Error;

/// Fixed by the format: conceal and reveal share nothing but the passphrase.
const SALT: &[u8] = b"gst-plugin-invmih passphrase 1";
/// RFC 9106's second recommendation: 64 MiB, three passes, on one lane.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;

/// Bytes of what makes a cipher's stream another one.
pub(super) const NONCE: usize = 12;

/// What a passphrase stands for. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Key([u8; 32]);

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// Derives the key with Argon2id; takes some tenths of a second on purpose.
    ///
    /// # Errors
    /// [`Error::Passphrase`] if there is no memory for it.
    pub fn derive(passphrase: &[u8]) -> Result<Self, Error> {
        let failed = |error: argon2::Error| Error::Passphrase(error.to_string());
        let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(failed)?;
        let mut key = [0; 32];
        Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
            .hash_password_into(passphrase, SALT, &mut key)
            .map_err(failed)?;
        Ok(Self(key))
    }

    /// A key of these bytes, for training on scrambled mosaics.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Enciphers bytes under their [`hash`](Self::hash), which is returned: the same bytes in the same place
    /// become the same, others look like noise.
    pub(super) fn seal(&self, place: &[u8], bytes: &mut [u8]) -> [u8; NONCE] {
        let nonce = self.hash(place, bytes);
        self.cipher(&nonce).apply_keystream(bytes);
        nonce
    }

    /// Deciphers the first bytes of what was sealed. Whether they are whole the hash of all of them tells.
    pub(super) fn open(&self, nonce: &[u8; NONCE], bytes: &mut [u8]) {
        self.cipher(nonce).apply_keystream(bytes);
    }

    /// BLAKE2s of bytes and their place with a key of its own.
    pub(super) fn hash(&self, place: &[u8], bytes: &[u8]) -> [u8; NONCE] {
        let key = self.derived(b"gst-plugin-invmih hash 1");
        let hash = Blake2sMac::<U12>::new(&key.into()).chain_update(place).chain_update(bytes);
        hash.finalize().into_bytes().into()
    }

    fn cipher(&self, nonce: &[u8; NONCE]) -> ChaCha20 {
        let key = self.derived(b"gst-plugin-invmih cipher 1");
        ChaCha20::new(&key.into(), nonce.into())
    }

    /// A key for one purpose.
    fn derived(&self, purpose: &[u8]) -> [u8; 32] {
        let hash = Blake2sMac::<U32>::new(&self.0.into()).chain_update(purpose);
        hash.finalize().into_bytes().into()
    }

    /// The key's numbers for a frame size.
    pub(super) fn numbers(&self, width: u32, height: u32) -> Numbers {
        let mut nonce = [0; NONCE];
        nonce[..4].copy_from_slice(&width.to_le_bytes());
        nonce[4..8].copy_from_slice(&height.to_le_bytes());
        Numbers(ChaCha20::new(&self.0.into(), &nonce.into()))
    }
}

/// A stream of numbers that only the key and the frame size decide.
pub(super) struct Numbers(ChaCha20);

impl Numbers {
    /// A number from 0 to `bound` − 1, each as likely.
    pub fn below(&mut self, bound: u32) -> u32 {
        let values = 1_u64 << u32::BITS;
        let fair = values - values % u64::from(bound);
        loop {
            let mut bytes = [0; 4];
            self.0.apply_keystream(&mut bytes);
            let number = u32::from_le_bytes(bytes);
            if u64::from(number) < fair {
                return number % bound;
            }
        }
    }

    /// 0 to `count` − 1 in an order of the key's (Fisher and Yates).
    pub fn permutation(&mut self, count: usize) -> Vec<usize> {
        let mut order: Vec<_> = (0..count).collect();
        for last in (1..count).rev() {
            order.swap(last, self.below(last as u32 + 1) as usize);
        }
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8439, 2.4.2's construction with a zero key: block 0 begins 76 b8 e0 ad.
    #[test]
    fn numbers_are_chacha20s() {
        let mut numbers = Key::from_bytes([0; 32]).numbers(0, 0);
        let bound = 1 << 31;
        assert_eq!(numbers.below(bound), u32::from_le_bytes([0x76, 0xb8, 0xe0, 0xad]) % bound);
    }

    #[test]
    fn size_and_key_change_the_order() {
        let (a, b) = (Key::from_bytes([1; 32]), Key::from_bytes([2; 32]));
        let order = |key: &Key, width| key.numbers(width, 9).permutation(50);
        assert_eq!(order(&a, 7), order(&a, 7));
        assert_ne!(order(&a, 7), order(&a, 8));
        assert_ne!(order(&a, 7), order(&b, 7));
        let mut sorted = order(&a, 7);
        sorted.sort();
        assert_eq!(sorted, (0..50).collect::<Vec<_>>());
    }

    /// A change here would lock every secret that was hidden before it.
    /// `argon2-cffi`: hash_secret_raw(b"open sesame", salt, 3, 65536, 1, 32, Type.ID).hex()
    #[test]
    fn a_passphrase_always_gives_the_same_key() {
        let key = Key::derive(b"open sesame").unwrap();
        let hex: String = key.0.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, "786e3f892fb4ec3385ad95b2a0f4bbf77e95cd402d79f48dab3a24f8d9ddf98b");
    }
}
