// SPDX-License-Identifier: MPL-2.0
//! A dark page that takes pictures with captions.

use std::convert::Infallible;

use embedded_graphics::mono_font::MonoTextStyle;
use embedded_graphics::mono_font::iso_8859_1::FONT_10X20;
use embedded_graphics::pixelcolor::Rgb888;
use embedded_graphics::prelude::*;
use embedded_graphics::text::{Alignment, Baseline, Text, TextStyleBuilder};
use image::imageops::{self, FilterType};
use image::{Rgb, RgbImage};

/// How many pixels wide and high a dot of the font is.
const DOT: u32 = 2;
/// Height of a line of text in pixels.
pub const TEXT_HEIGHT: u32 = 20 * DOT;

const BACKGROUND: Rgb<u8> = Rgb([24; 3]);
const INK: Rgb888 = Rgb888::new(232, 232, 232);

/// The page.
pub struct Canvas(RgbImage);

impl Canvas {
    /// An empty page.
    pub fn new(width: u32, height: u32) -> Self {
        Self(RgbImage::from_pixel(width, height, BACKGROUND))
    }

    /// A picture brought to `size`, its upper left at `corner`, with a caption below.
    pub fn picture(
        &mut self,
        picture: &RgbImage,
        corner: (u32, u32),
        size: (u32, u32),
        caption: &str,
    ) {
        let scaled = imageops::resize(picture, size.0, size.1, FilterType::Lanczos3);
        imageops::replace(&mut self.0, &scaled, corner.0.into(), corner.1.into());
        self.text(caption, corner.0 + size.0 / 2, corner.1 + size.1 + 2 * DOT);
    }

    /// A line of text, centred at `x`, its top at `y`.
    pub fn text(&mut self, text: &str, x: u32, y: u32) {
        let position = Point::new((x / DOT) as i32, (y / DOT) as i32);
        let style =
            TextStyleBuilder::new().alignment(Alignment::Center).baseline(Baseline::Top).build();
        let ink = MonoTextStyle::new(&FONT_10X20, INK);
        let Ok(_) = Text::with_text_style(text, position, ink, style).draw(self);
    }

    /// The finished page.
    pub fn into_picture(self) -> RgbImage {
        self.0
    }
}

impl OriginDimensions for Canvas {
    fn size(&self) -> Size {
        Size::new(self.0.width() / DOT, self.0.height() / DOT)
    }
}

impl DrawTarget for Canvas {
    type Color = Rgb888;
    type Error = Infallible;

    fn draw_iter<I>(&mut self, dots: I) -> Result<(), Infallible>
    where
        I: IntoIterator<Item = Pixel<Rgb888>>,
    {
        let page = self.bounding_box();
        for Pixel(dot, color) in dots.into_iter().filter(|dot| page.contains(dot.0)) {
            let (left, top) = (dot.x as u32 * DOT, dot.y as u32 * DOT);
            let color = Rgb([color.r(), color.g(), color.b()]);
            for (x, y) in (0..DOT * DOT).map(|i| (left + i % DOT, top + i / DOT)) {
                self.0.put_pixel(x, y, color);
            }
        }
        Ok(())
    }
}
