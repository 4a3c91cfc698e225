use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];
const LIMIT: usize = 1 << 20;

/// What has come of some octets, up to where they end or may not go on.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    passed: Vec<u8>,
    pings: Vec<Vec<u8>>,
    end: Option<Result<Vec<u8>, Close>>,
}

fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ ..126 => frame.push(0x80 | short as u8),
        middle @ ..0x1_0000 => {
            frame.push(0xfe);
            frame.extend((middle as u16).to_be_bytes());
        }
        long => {
            frame.push(0xff);
            frame.extend((long as u64).to_be_bytes());
        }
    }
    frame.extend(KEY);
    frame.extend(payload.iter().zip(KEY.iter().cycle()).map(|(octet, key)| octet ^ key));
    frame
}

fn feed(inlet: &mut Inlet, mut piece: &[u8], outcome: &mut Outcome) {
    while !piece.is_empty() && outcome.end.is_none() {
        let mut room = inlet.room();
        let octets = piece.len().min(room.remaining_mut());
        assert!(octets > 0, "there is always room");
        room.put_slice(&piece[..octets]);
        piece = &piece[octets..];
        loop {
            match inlet.next() {
                Ok(None) => break,
                Ok(Some(Word::Ping(words))) => outcome.pings.push(words.to_vec()),
                Ok(Some(Word::Close(words))) => outcome.end = Some(Ok(words.to_vec())),
                Err(close) => outcome.end = Some(Err(close)),
            }
            if outcome.end.is_some() {
                break;
            }
        }
        outcome.passed.extend(inlet.passable());
        inlet.passed(inlet.passable().len());
        assert!(inlet.octets.capacity() <= ROOM, "the buffer does not grow");
    }
}

fn outcome<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let (mut inlet, mut outcome) = (Inlet::new(b"", LIMIT), Outcome::default());
    pieces.into_iter().for_each(|piece| feed(&mut inlet, piece, &mut outcome));
    outcome
}

#[test]
fn frames_mean_the_same_wherever_they_are_cut() {
    let middle = vec![b'm'; 300];
    let ends = |close| Some(Err(close));
    for (frames, passed, pings, end) in [
        (vec![frame(0x82, b"one"), frame(0x82, b""), frame(0x82, b"two")], &b"onetwo"[..], vec![], None),
        (vec![frame(0x82, &middle), frame(0x8a, b"pong")], &middle[..], vec![], None),
        (
            vec![
                frame(0x02, b"o"),
                frame(0x89, b"?"),
                frame(0x00, b""),
                frame(0x00, b"n"),
                frame(0x80, b"e"),
            ],
            b"one",
            vec![&b"?"[..]],
            None,
        ),
        // Of a message that is not whole, or that turns out to be forbidden, nothing goes on.
        (vec![frame(0x82, b"one"), frame(0x02, b"two")], b"one", vec![], None),
        (
            vec![frame(0x82, b"one"), frame(0x02, b"two"), frame(0x82, b"")],
            b"one",
            vec![],
            ends(Close::Protocol),
        ),
        (vec![frame(0x82, b"one"), frame(0x80, b"two")], b"one", vec![], ends(Close::Protocol)),
        (vec![frame(0x02, b"one"), frame(0x01, b"two")], b"", vec![], ends(Close::Protocol)),
        (vec![frame(0x82, b"one"), frame(0x81, b"two")], b"one", vec![], ends(Close::Text)),
        (vec![frame(0x01, b"tw\xc3")], b"", vec![], ends(Close::Text)),
        (vec![frame(0x81, b"tw\xc3")], b"", vec![], ends(Close::Utf8)),
        (vec![frame(0x01, b"t\xffw")], b"", vec![], ends(Close::Utf8)),
        (
            vec![frame(0x82, b"one"), frame(0x88, b"\x03\xe8so"), vec![0xff]],
            b"one",
            vec![],
            Some(Ok(b"\x03\xe8so".to_vec())),
        ),
        (vec![frame(0x88, b"")], b"", vec![], Some(Ok(vec![]))),
        (vec![frame(0x88, b"\x03")], b"", vec![], ends(Close::Protocol)),
        (vec![frame(0x88, b"\x03\xed")], b"", vec![], ends(Close::Protocol)),
        (vec![frame(0x88, b"\x03\xe8\xff")], b"", vec![], ends(Close::Utf8)),
        (
            vec![frame(0x02, b"x"), [&b"\x80\xff\0\0\0\0\0\x10\0\0"[..], &KEY].concat()],
            b"",
            vec![],
            ends(Close::FrameSize(LIMIT)),
        ),
        (vec![[&[0x82, 0xff][..], &[0xff; 8], &KEY].concat()], b"", vec![], ends(Close::FrameSize(LIMIT))),
    ] {
        let octets = frames.concat();
        let pings = pings.into_iter().map(<[u8]>::to_vec).collect();
        let expected = Outcome { passed: passed.to_vec(), pings, end };
        assert_eq!(outcome([&octets[..]]), expected, "{octets:02x?}");
        assert_eq!(outcome(octets.chunks(1)), expected, "octet by octet: {octets:02x?}");
        for cut in 1..octets.len() {
            let (before, behind) = octets.split_at(cut);
            assert_eq!(outcome([before, behind]), expected, "cut at {cut}: {octets:02x?}");
        }
    }
}

#[test]
fn a_short_message_goes_on_whole_and_a_long_one_as_it_comes() {
    for (length, waits) in [(WHOLE_OCTETS_MAX, true), (WHOLE_OCTETS_MAX + 1, false), (LIMIT, false)] {
        let payload: Vec<u8> = (0..length).map(|place| (place % 251) as u8).collect();
        let octets = frame(0x82, &payload);
        let (mut inlet, mut outcome) = (Inlet::new(b"", LIMIT), Outcome::default());
        let (most, last) = octets.split_at(octets.len() - 1);
        feed(&mut inlet, most, &mut outcome);
        assert_eq!(outcome.passed.len(), if waits { 0 } else { length - 1 });
        feed(&mut inlet, last, &mut outcome);
        assert!(outcome.passed == payload && outcome.end.is_none(), "{length} octets");
    }
    let pieces = frame(0x02, &[b'x'; WHOLE_OCTETS_MAX]);
    assert_eq!(outcome([&pieces[..]]).passed, b"");
    let more = [&pieces[..], &frame(0x00, b"y")].concat();
    assert_eq!(outcome([&more[..]]).passed.len(), WHOLE_OCTETS_MAX + 1);
}

#[test]
fn more_is_taken_while_the_target_takes_nothing_but_not_without_end() {
    let mut inlet = Inlet::new(b"", LIMIT);
    let payload: Vec<u8> = (0..1_000_u32).map(|place| (place % 251) as u8).collect();
    let octets = frame(0x82, &payload);
    let (mut sent, mut passed) = (0, 0);
    while inlet.has_room() {
        let mut room = inlet.room();
        let rest = &octets[sent % octets.len()..];
        let piece = &rest[..rest.len().min(room.remaining_mut())];
        room.put_slice(piece);
        sent += piece.len();
        assert_eq!(inlet.next(), Ok(None));
        // A little of it goes on.
        let little = inlet.passable().len().min(7);
        inlet.passed(little);
        passed += little;
        assert!(!piece.is_empty() && inlet.octets.capacity() <= ROOM);
    }
    let expected = payload.repeat(sent / octets.len());
    assert!(expected.len() > ROOM / 4 && inlet.passable() == &expected[passed..]);
    inlet.passed(inlet.passable().len());
    assert!(inlet.has_room());
}

#[test]
fn a_large_buffer_is_given_back_when_nothing_is_in_it() {
    let (mut inlet, mut outcome) = (Inlet::new(b"", LIMIT), Outcome::default());
    let octets = frame(0x82, &[b'x'; READ_OCTETS]);
    feed(&mut inlet, &octets[..50_000], &mut outcome);
    inlet.rest();
    assert!(inlet.is_large(), "it holds half a frame");
    feed(&mut inlet, &octets[50_000..], &mut outcome);
    inlet.rest();
    assert!(!inlet.is_large());
    feed(&mut inlet, &frame(0x82, b"more"), &mut outcome);
    assert!(outcome.passed.ends_with(b"xmore") && !inlet.is_large());
}

#[test]
fn what_comes_with_the_request_comes_first() {
    let octets = frame(0x82, b"EHLO iit.edu\r\n");
    let (early, late) = octets.split_at(9);
    let (mut inlet, mut outcome) = (Inlet::new(early, LIMIT), Outcome::default());
    assert_eq!(inlet.next(), Ok(None));
    feed(&mut inlet, late, &mut outcome);
    assert_eq!(outcome.passed, b"EHLO iit.edu\r\n");
}

fn length() -> impl Strategy<Value = usize> {
    prop_oneof![4 => 0..200_usize, 1 => 0..20_000_usize, 1 => 60_000..140_000_usize]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Messages in pieces with pings between them arrive as they were sent, in whatever amounts they are read.
    #[test]
    fn whole_messages_arrive(
        messages in vec(vec((length(), any::<bool>()), 1..4), 1..6),
        cuts in vec(1..100_000_usize, 1..8),
    ) {
        let (mut octets, mut expected) = (Vec::new(), Outcome::default());
        for pieces in &messages {
            for (number, (length, ping)) in pieces.iter().enumerate() {
                let fin = if number + 1 == pieces.len() { 0x80 } else { 0 };
                let payload: Vec<u8> = (0..*length).map(|place| (place * 7 + number) as u8).collect();
                octets.extend(frame(fin | if number == 0 { 2 } else { 0 }, &payload));
                expected.passed.extend(payload);
                if *ping {
                    octets.extend(frame(0x89, &[number as u8; 3]));
                    expected.pings.push(vec![number as u8; 3]);
                }
            }
        }
        prop_assert!(outcome(cut(&octets, &cuts)) == expected);
    }

    /// Whatever comes means the same however it is cut, and nothing panics.
    #[test]
    fn anything_means_the_same_however_it_is_cut(
        frames in vec((any::<u8>(), prop::bool::weighted(0.1), length(), any::<u8>()), 1..12),
        flip in (any::<prop::sample::Index>(), prop::bool::weighted(0.3), any::<u8>()),
        cuts in vec(1..3_000_usize, 1..8),
    ) {
        const LIKELY: [u8; 8] = [0x82, 0x82, 0x02, 0x80, 0x00, 0x89, 0x8a, 0x88];
        let mut octets = Vec::new();
        for (first, any_first, length, octet) in frames {
            let first = if any_first { first } else { LIKELY[usize::from(first) % LIKELY.len()] };
            let length = if first & 8 == 0 { length } else { length % 126 };
            octets.extend(frame(first, &vec![octet; length]));
        }
        let (place, flips, bits) = flip;
        if flips {
            let place = place.index(octets.len().min(64));
            octets[place] ^= bits;
        }
        prop_assert!(outcome(cut(&octets, &cuts)) == outcome([&octets[..]]));
    }
}

fn cut<'a>(octets: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let (mut rest, mut pieces) = (octets, Vec::new());
    for length in lengths.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (piece, more) = rest.split_at(rest.len().min(*length));
        pieces.push(piece);
        rest = more;
    }
    pieces
}
