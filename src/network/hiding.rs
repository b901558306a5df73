// SPDX-License-Identifier: MPL-2.0
//! Invertible Image Hiding (IIH): a mosaic into a cover and back (paper, section 2).

use tch::nn;
use tch::{Device, Tensor};

use super::Error;
use super::coupling::{InvBlockConfig, InvBlocks};
use super::decomposition::Decomposition;
use super::headroom::with_headroom;
use super::noise_shaping::NoiseShaper;
use super::precision::Precision;
use super::quantisation::{Digits, quantise, straight_through, to_bytes};
use super::weights::{Header, WeightsFile};

/// Channels of the Haar bands of an RGB picture.
const BANDS: i64 = 12;

/// G InvBlocks over Haar bands: l is the cover's, h the mosaic's.
#[derive(Debug)]
pub struct Hiding {
    wavelet: Decomposition,
    blocks: InvBlocks,
    /// How its stegos are rounded, if not to the nearest.
    pub shaper: Option<NoiseShaper>,
}

impl Hiding {
    /// A module of `blocks` InvBlocks (paper: 16) whose exponent stays within ±`clamp`.
    pub fn new(path: &nn::Path, blocks: usize, clamp: f64) -> Self {
        let config = InvBlockConfig { low: BANDS, high: BANDS, clamp, gain: 0.1 };
        Self {
            wavelet: Decomposition::haar(path.device()),
            blocks: InvBlocks::new(path, blocks, config),
            shaper: None,
        }
    }

    /// The module in a weights file, frozen.
    ///
    /// # Errors
    /// [`Error::WeightsContent`].
    pub(crate) fn restored(
        file: &WeightsFile,
        device: Device,
        precision: Precision,
    ) -> Result<Self, Error> {
        let Header { blocks, clamp, .. } = file.header;
        let mut hiding = file.restored(device, precision, |path| Self::new(path, blocks, clamp))?;
        hiding.shaper = file.shaper(device)?;
        Ok(hiding)
    }

    /// Cover and mosaic B×3×H×W in [0, 1] to the stego B×3×H×W, not yet rounded; the latent r
    /// is dropped. The paper's but for the cover's headroom.
    pub fn conceal(&self, cover: &Tensor, mosaic: &Tensor, precision: Precision) -> Tensor {
        let cover = with_headroom(cover);
        let (cover, mosaic) = (self.wavelet.forward(&cover), self.wavelet.forward(mosaic));
        self.wavelet.inverse(&self.blocks.forward_low(&cover, &mosaic, precision))
    }

    /// The stego B×3×H×W as an 8-bit file holds it, in [0, 1].
    pub fn quantise(&self, stego: &Tensor) -> Tensor {
        match &self.shaper {
            Some(shaper) => shaper.quantise(stego, None),
            None => quantise(stego),
        }
    }

    /// As [`quantise`](Self::quantise), so that bytes carry digits.
    pub fn carrying(&self, stego: &Tensor, digits: &Digits) -> Tensor {
        match &self.shaper {
            Some(shaper) => shaper.quantise(stego, Some(digits)),
            None => straight_through(stego, |levels| to_bytes(&levels, Some(digits))),
        }
    }

    /// A gradient B×3×H×W in the stego, evened out over what reveal hears well and badly.
    pub fn preconditioned(&self, gradient: Tensor) -> Tensor {
        match &self.shaper {
            Some(shaper) => shaper.preconditioned(&gradient),
            None => gradient,
        }
    }

    /// Stego B×3×H×W in [0, 1] to the mosaic B×3×H×W, with z = 0 in place of r.
    pub fn reveal(&self, stego: &Tensor, precision: Precision) -> Tensor {
        let stego = self.wavelet.forward(stego);
        let z = stego.zeros_like();
        self.wavelet.inverse(&self.blocks.inverse_high(&stego, &z, precision))
    }

    /// Multiplications of [`conceal`](Self::conceal) and of [`reveal`](Self::reveal) for each four pixels.
    pub fn multiplications(&self) -> (usize, usize) {
        (self.blocks.forward_low_multiplications(), self.blocks.inverse_high_multiplications())
    }

    /// The gradient of a loss in the stego B×3×H×W that [`reveal`](Self::reveal) takes; `answer` says
    /// what it is in the mosaic.
    pub fn reveal_gradient(
        &self,
        stego: &Tensor,
        precision: Precision,
        answer: impl FnOnce(&Tensor) -> Tensor,
    ) -> Tensor {
        let stego = self.wavelet.forward(stego);
        let z = stego.zeros_like();
        let answer = |cover: &Tensor, mosaic: &Tensor| {
            let mosaic = answer(&self.wavelet.inverse(mosaic));
            (cover.zeros_like(), self.wavelet.inverse_gradient(&mosaic))
        };
        let (bands, _z) = self.blocks.inverse_gradient(&stego, &z, precision, answer);
        // The wavelet is orthonormal.
        self.wavelet.inverse(&bands)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::coupling::tests::randomise;
    use tch::Kind;
    use tch::nn::VarStore;

    #[test]
    fn parameters_are_the_papers() {
        let store = VarStore::new(Device::Cpu);
        Hiding::new(&store.root(), 16, 2.0);
        let parameters: usize = store.variables().values().map(Tensor::numel).sum();
        assert_eq!(parameters, 4_050_240);
    }

    #[test]
    fn it_inverts_itself() {
        let store = VarStore::new(Device::Cpu);
        let module = Hiding::new(&store.root(), 4, 2.0);
        randomise(&store);
        // Bands of 5×4: odd and even.
        let picture = || Tensor::rand([2, 3, 10, 8], (Kind::Float, Device::Cpu)) * 0.9 + 0.05;
        let (cover, mosaic) = (picture(), picture());
        let bands = |picture: &Tensor| module.wavelet.forward(picture);
        let (stego, latent) = module.blocks.forward(&bands(&cover), &bands(&mosaic));
        let concealed = module.wavelet.inverse(&stego);
        assert_eq!(concealed, module.conceal(&cover, &mosaic, Precision::F32));
        assert!((&concealed - &cover).abs().max().double_value(&[]) > 1e-3);
        let (_, recovered) = module.blocks.inverse(&stego, &latent, Precision::F32);
        let alone = module.blocks.inverse_high(&stego, &latent, Precision::F32);
        assert_eq!(alone, recovered);
        let error = (module.wavelet.inverse(&recovered) - mosaic).abs().max().double_value(&[]);
        assert!(error < 1e-4, "{error}");
    }
}
