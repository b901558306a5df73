// SPDX-License-Identifier: MPL-2.0
//! Bytes in the least significant bits of a stego's values: R, G and B of pixel after pixel, row after row.

use std::ops::Range;

use tch::{Device, Tensor};

use crate::network::Frame;
use crate::network::quantisation::FREE;

const CHANNELS: usize = 3;

/// Some rows of a stego, as wide as what is hidden in.
#[derive(Clone, Debug)]
pub struct Carrier {
    /// From the top.
    pub rows: Range<i64>,
    /// In pixels.
    pub width: i64,
}

impl Carrier {
    /// Whole bytes that fit.
    pub fn capacity(&self) -> usize {
        self.values() / 8
    }

    fn values(&self) -> usize {
        (self.rows.end - self.rows.start) as usize * self.width as usize * CHANNELS
    }

    /// The bytes in a stego that is no smaller.
    pub fn read(&self, stego: &Frame) -> Vec<u8> {
        let (length, stride) = (self.width as usize * CHANNELS, stego.width() * CHANNELS);
        let rows = stego.pixels().chunks_exact(stride).take(self.rows.end as usize);
        let rows = rows.skip(self.rows.start as usize).flat_map(|row| &row[..length]);
        let bits: Vec<u8> = rows.map(|value| value & 1).collect();
        let (bytes, _) = bits.as_chunks::<8>();
        bytes.iter().map(|bits| bits.iter().rev().fold(0, |byte, bit| byte << 1 | bit)).collect()
    }

    /// What bits its values have to have, 1×3×H×W, for bytes that fit; [`FREE`] after them.
    pub fn plane(&self, bytes: &[u8], device: Device) -> Tensor {
        let bits = bytes.iter().flat_map(|byte| (0..8).map(move |k| f32::from(byte >> k & 1)));
        let mut values: Vec<f32> = bits.collect();
        values.resize(self.values(), FREE);
        let plane = Tensor::from_slice(&values).view([1, -1, self.width, CHANNELS as i64]);
        plane.permute([0, 3, 1, 2]).to_device(device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::quantisation::to_bytes;

    #[test]
    fn bytes_come_back_out_of_the_rows_they_went_into() {
        // Two columns are not hidden in.
        let frame = |value: u8| Frame::new(7, 6, vec![value; 7 * 6 * 3]).unwrap();
        let carrier = Carrier { rows: 2..6, width: 5 };
        assert_eq!(carrier.capacity(), 7);
        let bytes = [1, 2, 255, 0, 170];
        let stego = frame(100).to_tensor(Device::Cpu) * 255.0;
        let mut rows = stego.narrow(2, 2, 4).narrow(3, 0, 5);
        rows.copy_(&to_bytes(&rows, Some(&carrier.plane(&bytes, Device::Cpu))));
        let stego = Frame::from_tensor(&(stego / 255.0)).unwrap().swap_remove(0);
        assert_eq!((carrier.read(&stego).len(), &carrier.read(&stego)[..5]), (7, &bytes[..]));
        let changed = stego.pixels().iter().enumerate().filter(|(_, value)| **value != 100);
        assert!(changed.clone().count() > 5);
        assert!(changed.into_iter().all(|(place, _)| place >= 2 * 7 * 3 && place / 3 % 7 < 5));
    }
}
