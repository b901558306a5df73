// SPDX-License-Identifier: MPL-2.0
//! Curves in TensorBoard's format: protocol buffers in TFRecord's framing.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

use super::Error;

/// What TensorBoard wants to read first.
const VERSION: &str = "brain.Event:2";

/// tensorflow/core/util/event.proto, the fields used here.
#[derive(Clone, PartialEq, Message)]
struct Event {
    /// Seconds since 1970.
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

/// tensorflow/core/framework/summary.proto.
#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Scalar>,
}

/// `Summary.Value` of the same file.
#[derive(Clone, PartialEq, Message)]
struct Scalar {
    #[prost(string, tag = "1")]
    tag: String,
    // Optional, so that a zero is written too.
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// An event file.
pub struct Curves {
    file: File,
    path: PathBuf,
}

impl Curves {
    /// Starts `events.out.tfevents.SECONDS.PROCESS.NAME` in a folder.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn create(folder: &Path, name: &str) -> Result<Self, Error> {
        let (seconds, process) = (now() as u64, std::process::id());
        let path = folder.join(format!("events.out.tfevents.{seconds}.{process}.{name}"));
        let file = OpenOptions::new().create(true).append(true).open(&path);
        let file = file.map_err(|source| Error::Io { path: path.clone(), source })?;
        let mut curves = Self { file, path };
        curves.write(Event { file_version: Some(VERSION.into()), ..event(0) })?;
        Ok(curves)
    }

    /// Adds a point at `step` to each named curve, values that are not finite left out.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn add(&mut self, step: u64, points: &[(String, f64)]) -> Result<(), Error> {
        let finite = points.iter().filter(|(_, value)| value.is_finite());
        let value = finite
            .map(|(tag, value)| Scalar { tag: tag.clone(), simple_value: Some(*value as f32) })
            .collect();
        self.write(Event { summary: Some(Summary { value }), ..event(step) })
    }

    fn write(&mut self, event: Event) -> Result<(), Error> {
        let record = framed(&event.encode_to_vec());
        self.file.write_all(&record).map_err(|source| Error::Io { path: self.path.clone(), source })
    }
}

fn event(step: u64) -> Event {
    Event { wall_time: now(), step: step as i64, ..Event::default() }
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

/// TFRecord: length, its checksum, the data, their checksum.
fn framed(data: &[u8]) -> Vec<u8> {
    let length = (data.len() as u64).to_le_bytes();
    [&length[..], &checksum(&length), data, &checksum(data)].concat()
}

/// CRC-32C, masked as TFRecord wants it.
fn checksum(data: &[u8]) -> [u8; 4] {
    crc32c::crc32c(data).rotate_right(15).wrapping_add(0xa282_ead8).to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The events of a file whose checksums all hold.
    fn read(path: &Path) -> Vec<Event> {
        let bytes = std::fs::read(path).unwrap();
        let (mut rest, mut events) = (&bytes[..], Vec::new());
        while !rest.is_empty() {
            let (length, after) = rest.split_at(8);
            assert_eq!(after[..4], checksum(length));
            let length = u64::from_le_bytes(length.try_into().unwrap()) as usize;
            let (data, after) = after[4..].split_at(length);
            assert_eq!(after[..4], checksum(data));
            events.push(Event::decode(data).unwrap());
            rest = &after[4..];
        }
        events
    }

    #[test]
    fn a_file_gives_back_its_points() {
        let folder = tempfile::tempdir().unwrap();
        let mut curves = Curves::create(folder.path(), "joint").unwrap();
        let points = [("a/rate".into(), 0.0), ("a/loss".into(), 0.25), ("b".into(), f64::NAN)];
        curves.add(70, &points).unwrap();
        let events = read(&curves.path);
        assert_eq!(events[0].file_version.as_deref(), Some(VERSION));
        let scalars = events[1].summary.as_ref().unwrap();
        let scalars: Vec<_> =
            scalars.value.iter().map(|s| (s.tag.as_str(), s.simple_value)).collect();
        assert_eq!(scalars, [("a/rate", Some(0.0)), ("a/loss", Some(0.25))]);
        assert_eq!((events.len(), events[1].step), (2, 70));
    }

    /// The first twelve bytes of every file that TensorFlow's own writer makes:
    /// `tf.summary.create_file_writer("/tmp/x")`, length 24 and its checksum.
    #[test]
    fn the_checksum_is_tensorflows() {
        assert_eq!(checksum(&24u64.to_le_bytes()), [0xa3, 0x7f, 0x4b, 0x22]);
    }
}
