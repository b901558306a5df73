// SPDX-License-Identifier: MPL-2.0
//! Levels of frequencies to few bits: how large one is, is likely like its neighbours.

use super::Stuck;
use super::chance::{Chance, Coder};
use super::contexts::{COUNTED, Contexts, FREQUENCIES};
use super::neighbours::{Around, Block, Neighbours};
use super::transform::Levels;

/// Puts the levels of one picture through a coder, all of them set before, if it writes.
///
/// # Errors
/// The coder's, and [`Stuck`] if it reads what cannot have been written.
pub fn code(
    levels: &mut Levels,
    contexts: &mut Contexts,
    coder: &mut impl Coder,
) -> Result<(), Stuck> {
    let mut neighbours = Neighbours::new(levels.columns);
    for own in levels.values.as_chunks_mut().0 {
        code_channel(own, &neighbours.around(), neighbours.channel(), contexts, coder)?;
        neighbours.push(own);
    }
    Ok(())
}

/// As [`code`], of a channel of one block, whose number is given.
///
/// # Errors
/// As [`code`].
pub fn code_channel(
    own: &mut Block,
    around: &Around,
    channel: usize,
    contexts: &mut Contexts,
    coder: &mut impl Coder,
) -> Result<(), Stuck> {
    let mut filled = own.iter().any(|level| *level != 0);
    coder.learnt(&mut filled, contexts.filled(channel, around.kind))?;
    if !filled {
        return Ok(());
    }
    for frequency in 0..FREQUENCIES {
        let kind = around.kind_of(own, frequency);
        let mut nonzero = own[frequency] != 0;
        coder.learnt(&mut nonzero, contexts.nonzero(channel, frequency, kind))?;
        if nonzero {
            own[frequency] = code_level(own[frequency], kind, contexts, coder)?;
        }
    }
    Ok(())
}

/// A level that is not 0.
fn code_level(
    level: i16,
    kind: usize,
    contexts: &mut Contexts,
    coder: &mut impl Coder,
) -> Result<i16, Stuck> {
    let given = usize::from(level.unsigned_abs());
    let mut magnitude = 1;
    loop {
        let mut more = given > magnitude;
        coder.learnt(&mut more, contexts.larger(magnitude, kind))?;
        if !more {
            break;
        }
        magnitude += 1;
        if magnitude == COUNTED {
            magnitude += code_rest(given.saturating_sub(COUNTED), coder)?;
            break;
        }
    }
    let mut negative = level < 0;
    coder.code(&mut negative, Chance::EVEN)?;
    let magnitude = i16::try_from(magnitude).map_err(|_| Stuck)?;
    Ok(if negative { -magnitude } else { magnitude })
}

/// A number by Elias' gamma code of one more.
fn code_rest(given: usize, coder: &mut impl Coder) -> Result<usize, Stuck> {
    let given = given + 1;
    let mut digits = 1;
    loop {
        let mut more = given >> digits > 0;
        coder.code(&mut more, Chance::EVEN)?;
        if !more {
            break;
        }
        digits += 1;
        if digits > 16 {
            return Err(Stuck);
        }
    }
    let mut number = 1;
    for digit in (0..digits - 1).rev() {
        let mut bit = given >> digit & 1 == 1;
        coder.code(&mut bit, Chance::EVEN)?;
        number = number << 1 | usize::from(bit);
    }
    Ok(number - 1)
}

#[cfg(test)]
mod tests {
    use super::super::chance::{Reader, Writer};
    use super::super::transform::VALUES;
    use super::*;
    use proptest::prelude::*;

    fn written(levels: &Levels) -> Vec<u8> {
        let mut writer = Writer::new(usize::MAX);
        code(&mut levels.clone(), &mut Contexts::default(), &mut writer).unwrap();
        writer.into_bytes().unwrap()
    }

    fn read(bytes: &[u8], columns: usize, values: usize) -> Result<Levels, Stuck> {
        let mut levels = Levels { columns, values: vec![0; values] };
        code(&mut levels, &mut Contexts::default(), &mut Reader::new(bytes))?;
        Ok(levels)
    }

    proptest! {
        #[test]
        fn levels_come_back(
            sparse in proptest::collection::vec((0..6 * VALUES, -i16::MAX..=i16::MAX), 0..40),
            dense in proptest::collection::vec(-3..=3_i16, 2 * VALUES),
        ) {
            let mut values = vec![0; 6 * VALUES];
            values[..2 * VALUES].copy_from_slice(&dense);
            for (place, level) in sparse {
                values[place] = level;
            }
            let levels = Levels { columns: 3, values };
            prop_assert_eq!(read(&written(&levels), 3, 6 * VALUES).unwrap(), levels);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..6000),
        ) {
            let _ = read(&bytes, 2, 4 * VALUES);
        }
    }

    #[test]
    fn a_magnitude_that_no_level_has_is_an_error() {
        let written = |given: usize| {
            let mut writer = Writer::new(100);
            let (mut contexts, mut yes) = (Contexts::default(), true);
            writer.learnt(&mut yes, contexts.filled(0, 0)).unwrap();
            writer.learnt(&mut yes, contexts.nonzero(0, 0, 0)).unwrap();
            for magnitude in 1..COUNTED {
                writer.learnt(&mut yes, contexts.larger(magnitude, 0)).unwrap();
            }
            code_rest(given - COUNTED, &mut writer).unwrap();
            writer.into_bytes().unwrap()
        };
        assert_eq!(read(&written(32_767), 1, VALUES).unwrap().values[0], 32_767);
        assert!(read(&written(32_768), 1, VALUES).is_err());
        // All bits set, so that numbers have no end.
        assert!(read(&[255; 4000], 1, VALUES).is_err());
    }

    #[test]
    fn nothing_takes_next_to_nothing() {
        let levels = Levels { columns: 32, values: vec![0; 1024 * VALUES] };
        assert!(written(&levels).len() < 32, "{}", written(&levels).len());
    }
}
