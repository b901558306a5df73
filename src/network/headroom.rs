// SPDX-License-Identifier: MPL-2.0
//! Room at black and white for what is hidden: where a cover is black or burnt out, half of what a
//! mosaic adds to it would lie outside [0, 1], be cut off and be lost to the file.

use tch::Tensor;

/// Side of the neighbourhood in pixels.
const WINDOW: i64 = 9;
/// Room as a share of the deviation in the neighbourhood: the busier a cover, the more is hidden there,
/// and in what is evenly black or white next to nothing.
const SHARE: f64 = 0.1;
/// The most room, eight of 255 levels.
const MOST: f64 = 8.0 / 255.0;

/// Covers N×3×H×W in [0, 1] without what is too near to black or white.
pub fn with_headroom(covers: &Tensor) -> Tensor {
    let room = (deviation(covers) * SHARE).clamp_max(MOST);
    covers.maximum(&room).minimum(&(1.0 - &room))
}

/// The standard deviation of each value's neighbourhood.
fn deviation(pictures: &Tensor) -> Tensor {
    // Around zero, so that the squares' difference keeps its digits.
    let values = pictures - 0.5;
    (mean(&values.square()) - mean(&values).square()).clamp_min(0.0).sqrt()
}

/// The mean of each value's neighbourhood, within the picture.
fn mean(pictures: &Tensor) -> Tensor {
    let along = |x: &Tensor, size: [i64; 2]| {
        x.avg_pool2d(size, [1, 1], size.map(|side| side / 2), false, false, None::<i64>)
    };
    along(&along(pictures, [WINDOW, 1]), [1, WINDOW])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    /// 1×3×16×16, the left half `even`, the right one 0 and 1 in turn.
    fn half_busy(even: f64) -> Tensor {
        let columns = Tensor::arange(16, (Kind::Float, Device::Cpu)).remainder(2.0);
        let picture = columns.expand([1, 3, 16, 16], false).contiguous();
        let _ = picture.narrow(3, 0, 8).fill_(even);
        picture
    }

    #[test]
    fn what_is_busy_gets_room_and_what_is_even_stays() {
        for even in [0.0, 0.5, 1.0] {
            let cover = half_busy(even);
            let made = with_headroom(&cover);
            assert_eq!(made.narrow(3, 0, 4), cover.narrow(3, 0, 4));
            let busy = made.narrow(3, 12, 4);
            let (low, high) = (busy.min().double_value(&[]), busy.max().double_value(&[]));
            assert!(
                (low - MOST).abs() < 1e-6 && (high - (1.0 - MOST)).abs() < 1e-6,
                "{low} {high}"
            );
        }
    }

    #[test]
    fn the_deviation_is_that_of_the_neighbourhood() {
        let picture = half_busy(0.25);
        let part = picture.narrow(1, 0, 1).narrow(2, 3, WINDOW).narrow(3, 5, WINDOW);
        let expected = part.std(false).double_value(&[]);
        let actual = deviation(&picture).double_value(&[0, 0, 7, 9]);
        assert!((actual - expected).abs() < 1e-5, "{actual}, {expected}");
    }

    #[test]
    fn covers_are_looked_at_one_by_one_however_small() {
        let busy =
            Tensor::from_slice(&[0f32, 1.0, 1.0, 0.0]).view([1, 1, 2, 2]).repeat([1, 3, 1, 1]);
        let both = with_headroom(&Tensor::cat(&[&busy, &busy.zeros_like()], 0));
        assert_eq!(both.narrow(0, 0, 1), with_headroom(&busy));
        assert_eq!(both.narrow(0, 1, 1), busy.zeros_like());
    }
}
