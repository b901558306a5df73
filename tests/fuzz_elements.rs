// SPDX-License-Identifier: MPL-2.0
//! Random caps, buffers and numbers of secrets at both elements: each gives frames or an error with
//! a reason, never a panic, a hang or a warning of GLib.

mod common;

use std::time::{Duration, Instant};

use common::conceal::secrets;
use common::fuzz::config;
use common::{MODEL, SECRETS, buffer, bus, info, init};
use gst::prelude::*;
use gst_check::Harness;
use gst_video::{VideoFormat, VideoFrameFlags, VideoInfo, VideoMeta};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;

const FORMATS: [&str; 7] = ["RGB", "BGR", "RGBx", "BGRx", "RGBA", "BGRA", "GBR"];

/// More than any caps here take from memory.
const MOST_BYTES: usize = 1 << 20;

/// A buffer that follows its caps or not.
#[derive(Clone, Debug)]
struct Shape {
    /// None: what the caps ask for.
    size: Option<usize>,
    layout: Option<Layout>,
}

/// How a buffer's own description differs from the caps'.
#[derive(Clone, Debug)]
struct Layout {
    format: Option<VideoFormat>,
    wider: i64,
    higher: i64,
    stride: i64,
    offset: u64,
}

/// Caps of raw video, most often possible ones, and a buffer.
type Stream = (gst::Caps, Shape);

fn stream() -> impl Strategy<Value = Stream> {
    init();
    (prop_oneof![2 => possible_caps(), 1 => any_caps()], shape())
}

fn possible_caps() -> impl Strategy<Value = gst::Caps> {
    (select(FORMATS.to_vec()), 1..40, 1..40, 0..=60).prop_map(|(format, width, height, fps)| {
        gst::Caps::builder("video/x-raw")
            .field("format", format)
            .field("width", width)
            .field("height", height)
            .field("framerate", gst::Fraction::new(fps, 1))
            .build()
    })
}

fn any_caps() -> impl Strategy<Value = gst::Caps> {
    let formats = ["RGB", "GBR", "I420", "NV12", "v210", "GRAY8", "RGB8P", "NV12_64Z32", "none"];
    let length = || {
        let extremes = select(vec![i32::MIN, -1, 0, 1, 1 << 15, 1 << 16, 1 << 30, i32::MAX]);
        option::weighted(0.9, prop_oneof![1..40, extremes])
    };
    let fraction = || option::of((any::<i32>(), 1..=i32::MAX));
    let modes = ["progressive", "interleaved", "mixed", "fields", "alternate", "none"];
    let colours = ["sRGB", "bt601", "1:4:0:0", "none"];
    (
        option::weighted(0.9, select(formats.to_vec())),
        length(),
        length(),
        fraction(),
        fraction(),
        option::of(select(modes.to_vec())),
        option::of(select(colours.to_vec())),
    )
        .prop_map(|(format, width, height, fps, pixel, mode, colours)| {
            let fraction = |(numer, denom)| gst::Fraction::new(numer, denom);
            gst::Caps::builder("video/x-raw")
                .field_if_some("format", format)
                .field_if_some("width", width)
                .field_if_some("height", height)
                .field_if_some("framerate", fps.map(fraction))
                .field_if_some("pixel-aspect-ratio", pixel.map(fraction))
                .field_if_some("interlace-mode", mode)
                .field_if_some("colorimetry", colours)
                .build()
        })
}

fn shape() -> impl Strategy<Value = Shape> {
    let size = option::weighted(0.4, prop_oneof![Just(0), 0..5000_usize, Just(MOST_BYTES)]);
    let formats = [VideoFormat::Rgb, VideoFormat::Bgra, VideoFormat::Gbr, VideoFormat::I420];
    let layout = (
        option::weighted(0.2, select(formats.to_vec())),
        select(vec![0, 0, 0, 1, 8, -1, i64::from(i32::MAX)]),
        select(vec![0, 0, 0, 1, 8, -1, i64::from(i32::MAX)]),
        select(vec![0, 0, 1, 4, 100, -1, -300, 1 << 20, i64::from(i32::MAX)]),
        select(vec![0, 0, 1, 4, 100, 1 << 20, 1 << 62]),
    )
        .prop_map(|(format, wider, higher, stride, offset)| Layout {
            format,
            wider,
            higher,
            stride,
            offset,
        });
    (size, option::weighted(0.4, layout)).prop_map(|(size, layout)| Shape { size, layout })
}

fn build((caps, shape): &Stream) -> gst::Buffer {
    let info = VideoInfo::from_caps(caps).ok();
    let wanted = info.as_ref().map_or(100, VideoInfo::size).min(MOST_BYTES);
    let mut buffer = gst::Buffer::from_mut_slice(vec![99; shape.size.unwrap_or(wanted)]);
    let target = buffer.get_mut().unwrap();
    target.set_pts(gst::ClockTime::ZERO);
    if let (Some(layout), Some(info)) = (&shape.layout, &info) {
        let sum = |length: u32, more: i64| (i64::from(length) + more).clamp(0, 1 << 31) as u32;
        let stride = |own: &i32| (i64::from(*own) + layout.stride).min(i64::from(i32::MAX)) as i32;
        let offset = |own: &usize| own + layout.offset as usize;
        VideoMeta::add_full(
            target,
            VideoFrameFlags::empty(),
            layout.format.unwrap_or(info.format()),
            sum(info.width(), layout.wider),
            sum(info.height(), layout.higher),
            &info.offset().iter().map(offset).collect::<Vec<_>>(),
            &info.stride().iter().map(stride).collect::<Vec<_>>(),
        )
        .unwrap();
    }
    buffer
}

/// Start and duration of a frame or a gap, in nanoseconds.
type Span = (u64, Option<u64>);

/// The longest there is: one more stands for none.
const MOST: u64 = u64::MAX - 1;

/// When a frame and a gap after it are, often at an end of what there is.
#[derive(Clone, Debug)]
struct Times {
    rate: f64,
    base: u64,
    frame: Span,
    gap: Option<Span>,
}

fn times() -> impl Strategy<Value = Times> {
    init();
    let time = || select(vec![0, 0, 1, 40_000_000, 1 << 62, 1 << 63, MOST - 40_000_000, MOST]);
    let span = move || (time(), option::of(time()));
    (select(vec![1.0, 2.0, -1.0]), time(), span(), option::of(span()))
        .prop_map(|(rate, base, frame, gap)| Times { rate, base, frame, gap })
}

/// Sends a picture of 8x8 and the gap at their times, and the end.
fn send_at(harness: &mut Harness, times: &Times) {
    let clock_time = gst::ClockTime::from_nseconds;
    let format = info(VideoFormat::Rgb, 8, 8, 25);
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_rate(times.rate);
    segment.set_base(clock_time(times.base));
    segment.set_stop(clock_time(MOST));
    harness.push_event(gst::event::Caps::new(&format.to_caps().unwrap()));
    harness.push_event(gst::event::Segment::new(&segment));
    let mut frame = buffer(&secrets((8, 8), 1)[0], &format, 0);
    let target = frame.get_mut().unwrap();
    target.set_pts(clock_time(times.frame.0));
    target.set_duration(times.frame.1.map(clock_time));
    // It may come after the end of the others.
    let _ = harness.push(frame);
    if let Some((start, duration)) = times.gap {
        let gap = gst::event::Gap::builder(clock_time(start));
        harness.push_event(gap.duration(duration.map(clock_time)).build());
    }
    harness.push_event(gst::event::Eos::new());
}

/// Sends a stream's caps, its frame and its end as far as the element takes them.
fn send(harness: &mut Harness, stream: &Stream) -> Result<gst::FlowSuccess, gst::FlowError> {
    harness.push_event(gst::event::Caps::new(&stream.0));
    harness.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    let flow = harness.push(build(stream));
    harness.push_event(gst::event::Eos::new());
    flow
}

/// The errors on a bus, none of them a caught panic.
fn errors(bus: &gst::Bus) -> Vec<String> {
    let messages = bus.iter_filtered(&[gst::MessageType::Error]);
    let texts = messages.map(|message| match message.view() {
        gst::MessageView::Error(error) => error.error().to_string(),
        _ => unreachable!("only errors were asked for"),
    });
    let texts: Vec<_> = texts.collect();
    assert!(!texts.iter().any(|text| text.contains("anicked")), "{texts:?}");
    texts
}

/// Every frame that came out is as large as its caps say.
fn check_frames(harness: &mut Harness, count: usize) {
    let frames: Vec<_> = std::iter::from_fn(|| harness.try_pull()).collect();
    assert_eq!(frames.len(), count);
    let caps = harness.sinkpad().unwrap().current_caps();
    for frame in frames {
        let info = VideoInfo::from_caps(caps.as_ref().unwrap()).unwrap();
        assert!(frame.size() >= info.size(), "{} bytes for {info:?}", frame.size());
    }
}

proptest! {
    #![proptest_config(config(300))]

    #[test]
    fn reveal_gives_frames_or_a_reason(
        stego in stream(),
        output in select(vec!["sequence", "montage", "preview"]),
    ) {
        let _loaded = &*MODEL;
        let element = gst::ElementFactory::make("invmihreveal");
        let element = element.property_from_str("output", output).build().unwrap();
        let bus = bus(&element);
        let mut harness = Harness::with_element(&element, Some("sink"), Some("src"));
        harness.play();
        let flow = send(&mut harness, &stego);
        let errors = errors(&bus);
        match flow {
            Ok(_) => check_frames(&mut harness, if output == "sequence" { SECRETS } else { 1 }),
            Err(gst::FlowError::Error) => prop_assert!(!errors.is_empty()),
            Err(flow) => prop_assert_eq!(flow, gst::FlowError::NotNegotiated),
        }
    }

    #[test]
    fn conceal_gives_a_frame_or_a_reason(cover in stream(), secret in stream()) {
        let _loaded = &*MODEL;
        let (bus, mut harness, mut others) = conceal();
        harness.play();
        others.iter_mut().for_each(Harness::play);
        let format = info(VideoFormat::Rgb, 8, 8, 25);
        for (other, still) in others.iter_mut().zip(secrets((8, 8), 1)).skip(1) {
            other.set_src_caps(format.to_caps().unwrap());
            other.push(buffer(&still, &format, 0)).unwrap();
            other.push_event(gst::event::Eos::new());
        }
        let _ = send(&mut others[0], &secret);
        let flow = send(&mut harness, &cover);
        if ends_well(&harness, &bus) {
            // A cover that was not taken leaves nothing to hide in.
            check_frames(&mut harness, usize::from(flow.is_ok()));
        }
    }

    #[test]
    fn conceal_takes_frames_and_gaps_at_any_time(cover in times(), secret in times()) {
        let _loaded = &*MODEL;
        let (bus, mut harness, mut others) = conceal();
        for harness in others.iter_mut().chain([&mut harness]) {
            harness.set_live(false);
            harness.play();
        }
        others.iter_mut().for_each(|other| send_at(other, &secret));
        send_at(&mut harness, &cover);
        if ends_well(&harness, &bus) {
            check_frames(&mut harness, 1);
        }
    }
}

/// A conceal's bus, and a harness for its cover and each secret.
fn conceal() -> (gst::Bus, Harness, Vec<Harness>) {
    let element = gst::ElementFactory::make("invmihconceal").build().unwrap();
    let cover = Harness::with_element(&element, Some("sink"), Some("src"));
    let secret = |u| Harness::with_element(&element, Some(&format!("secret_{u}")), None);
    (bus(&element), cover, (0..SECRETS).map(secret).collect())
}

/// Waits for the end of the stream; false if an error comes before it.
fn ends_well(harness: &Harness, bus: &gst::Bus) -> bool {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        let ended = harness.sinkpad().unwrap().sticky_event::<gst::event::Eos>(0).is_some();
        if !errors(bus).is_empty() {
            return false;
        }
        if ended {
            return true;
        }
        assert!(Instant::now() < deadline, "neither a frame nor an error");
        std::thread::sleep(Duration::from_millis(1));
    }
}

proptest! {
    #![proptest_config(config(40))]

    #[test]
    fn any_number_of_secrets_and_pads_starts_or_is_refused(
        secrets in prop_oneof![4 => 0..20_u32, 1 => any::<u32>()],
        numbers in proptest::collection::vec(prop_oneof![4 => 0..18_u32, 1 => any::<u32>()], 0..4),
    ) {
        init();
        for (name, pad) in [("invmihconceal", "secret"), ("invmihreveal", "src")] {
            let element = gst::ElementFactory::make(name).property("secrets", secrets).build();
            let element = element.unwrap();
            let bus = bus(&element);
            let mut names: Vec<_> = numbers.iter().map(|number| format!("{pad}_{number}")).collect();
            names.sort();
            names.dedup();
            for name in &names {
                prop_assert!(element.request_pad_simple(name).is_some(), "{name}");
            }
            let legal = [4, 6, 8, 9, 16].contains(&secrets)
                && numbers.iter().all(|&number| number < secrets);
            let started = element.set_state(gst::State::Paused).is_ok();
            let errors = errors(&bus);
            prop_assert_eq!(started, legal, "{:?}", errors);
            prop_assert_eq!(errors.is_empty(), legal);
            element.set_state(gst::State::Null).unwrap();
        }
    }
}
