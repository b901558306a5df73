// SPDX-License-Identifier: MPL-2.0
//! The layout: cover, stego and their difference on top, secrets and revealed below.

use gstinvmih::training::sheet::{GAIN, difference};
use image::RgbImage;

use crate::Pair;
use crate::canvas::{Canvas, TEXT_HEIGHT};

const GAP: u32 = 24;
const TILE_GAP: u32 = 8;
const COLUMNS: u32 = 4;
const PANEL_WIDTH: u32 = 768;
const WIDTH: u32 = 3 * PANEL_WIDTH + 4 * GAP;
const BLOCK_WIDTH: u32 = (WIDTH - 3 * GAP) / 2;
const TILE_WIDTH: u32 = (BLOCK_WIDTH - (COLUMNS - 1) * TILE_GAP) / COLUMNS;
const LINE: u32 = TEXT_HEIGHT + TILE_GAP;

/// The whole sheet; every picture takes the shape of the cover.
pub fn draw(cover: &Pair, secrets: &[Pair]) -> RgbImage {
    let panel_height = scaled_height(&cover.original, PANEL_WIDTH);
    let tile_height = scaled_height(&cover.original, TILE_WIDTH);
    let rows = (secrets.len() as u32).div_ceil(COLUMNS);
    let blocks_top = 2 * GAP + panel_height + LINE;
    let height = blocks_top + LINE + rows * (tile_height + LINE) + GAP;

    let mut canvas = Canvas::new(WIDTH, height);
    let panels = [
        (&cover.original, "Cover".to_owned()),
        (&cover.result, format!("Stego: all {} inside, {:.1} dB", secrets.len(), cover.psnr)),
        (&difference(&cover.original, &cover.result), format!("Difference \u{d7}{GAIN}")),
    ];
    for (column, (picture, caption)) in (0..).zip(&panels) {
        let corner = (GAP + column * (PANEL_WIDTH + GAP), GAP);
        canvas.picture(picture, corner, (PANEL_WIDTH, panel_height), caption);
    }

    let (secrets_left, revealed_left) = (GAP, 2 * GAP + BLOCK_WIDTH);
    canvas.text("Secrets", secrets_left + BLOCK_WIDTH / 2, blocks_top);
    canvas.text("Revealed from the stego", revealed_left + BLOCK_WIDTH / 2, blocks_top);
    for (index, secret) in (0..).zip(secrets) {
        let x = index % COLUMNS * (TILE_WIDTH + TILE_GAP);
        let y = blocks_top + LINE + index / COLUMNS * (tile_height + LINE);
        let size = (TILE_WIDTH, tile_height);
        canvas.picture(&secret.original, (secrets_left + x, y), size, &secret.name);
        let caption = format!("{:.1} dB", secret.psnr);
        canvas.picture(&secret.result, (revealed_left + x, y), size, &caption);
    }
    canvas.into_picture()
}

fn scaled_height(picture: &RgbImage, width: u32) -> u32 {
    width * picture.height() / picture.width()
}
