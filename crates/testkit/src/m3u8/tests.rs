//! Playlists that break one rule each.

use super::*;

const GOOD: &str = "#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:1
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5,CAN-SKIP-UNTIL=6.0
#EXT-X-PART-INF:PART-TARGET=0.5
#EXT-X-MEDIA-SEQUENCE:10
#EXT-X-DISCONTINUITY-SEQUENCE:3
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI=\"init-10.mp4?t\"
#EXT-X-PROGRAM-DATE-TIME:2024-05-01T10:00:00.000000Z
#EXTINF:1.000000,
seg-10.m4s?t
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2024-05-01T10:00:09.000000Z
#EXTINF:1.000000,
seg-11.m4s?t
#EXT-X-PROGRAM-DATE-TIME:2024-05-01T10:00:10.000000Z
#EXT-X-PART:DURATION=0.500000,URI=\"part-12-0.m4s?t\",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.500000,URI=\"part-12-1.m4s?t\"
#EXTINF:1.000000,
seg-12.m4s?t
#EXT-X-PROGRAM-DATE-TIME:2024-05-01T10:00:11.000000Z
#EXT-X-PART:DURATION=0.500000,URI=\"part-13-0.m4s?t\",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"part-13-1.m4s?t\"
";

fn good() -> Playlist {
    Playlist::read(GOOD, "t").unwrap()
}

#[test]
fn a_good_playlist_is_read_whole() {
    let playlist = good();
    let numbers = |s: &Segment| (s.sequence, s.discontinuity, s.parts.len());
    let segments: Vec<_> = playlist.all().map(numbers).collect();
    assert_eq!(segments, [(10, 3, 0), (11, 4, 0), (12, 4, 2), (13, 4, 1)]);
    assert_eq!(playlist.newest_part(), Some((13, 0)));
    assert_eq!(playlist.hint.as_deref(), Some("part-13-1.m4s"));
    assert_eq!(playlist.segments[1].map.uri, "init-10.mp4");
}

/// What stands for what in the good playlist, and the rule that breaks.
const BROKEN: &[(&str, &str, &str)] = &[
    ("#EXTM3U\n", "\n", "4.4.1.1"),
    ("VERSION:9", "VERSION:5", "8:"),
    ("#EXT-X-VERSION:9\n", "", "EXT-X-VERSION is missing"),
    (
        "EXTINF:1.000000,\nseg-10",
        "EXTINF:1.500000,\nseg-10",
        "4.4.3.1",
    ),
    (
        "DURATION:1\n",
        "DURATION:1\n#EXT-X-TARGETDURATION:1\n",
        "twice",
    ),
    ("PART-HOLD-BACK=1.5", "PART-HOLD-BACK=1.4", "4.4.3.8"),
    ("CAN-SKIP-UNTIL=6.0", "CAN-SKIP-UNTIL=5.9", "4.4.3.8"),
    ("#EXT-X-PART-INF:PART-TARGET=0.5\n", "", "4.4.3.7"),
    (
        "PART-TARGET=0.5\n",
        "PART-TARGET=0.4\n",
        "longer than the part target",
    ),
    (
        "DURATION=0.500000,URI=\"part-12-0",
        "DURATION=0.400000,URI=\"part-12-0",
        "85 %",
    ),
    (
        "DURATION=0.500000,URI=\"part-12-1",
        "DURATION=0.400000,URI=\"part-12-1",
        "not as long",
    ),
    ("12-0.m4s?t\",INDEPENDENT=YES", "12-0.m4s?t\"", "4.4.2.1"),
    ("#EXT-X-INDEPENDENT-SEGMENTS\n", "", "INDEPENDENT-SEGMENTS"),
    ("#EXT-X-MAP:URI=\"init-10.mp4?t\"\n", "", "3.1.2"),
    ("10:00:10.0", "10:00:10.5", "4.4.4.6"),
    ("URI=\"part-13-1", "URI=\"part-13-0", "4.4.5.3"),
    ("seg-11.m4s?t", "seg-11.m4s", "another query"),
    ("seg-11.m4s", "/seg-11.m4s", "no relative name"),
    ("CAN-BLOCK-RELOAD=YES,", "", "B.1"),
    ("INDEPENDENT=YES\n", "INDEPENDENT=NO\n", "4.4.4.9"),
    (
        "PART-TARGET=0.5",
        "PART-TARGET=0.5,PART-TARGET=0.5",
        "stands twice",
    ),
    (
        "#EXT-X-INDEPENDENT-SEGMENTS\n",
        "#EXT-X-OTHER\n",
        "no rules are known",
    ),
    (
        "#EXT-X-MEDIA-SEQUENCE",
        "#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-MEDIA-SEQUENCE",
        "4.4.3.5",
    ),
    (
        "#EXT-X-PRELOAD",
        "#EXT-X-ENDLIST\n#EXT-X-PRELOAD",
        "4.4.3.4",
    ),
    (
        "#EXT-X-MAP",
        "#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXT-X-MAP",
        "6.2.5.1",
    ),
];

#[test]
fn each_broken_rule_is_named() {
    for (from, to, rule) in BROKEN {
        assert!(GOOD.contains(*from), "{from}");
        let broken = GOOD.replacen(*from, to, 1);
        let found = Playlist::read(&broken, "t").map(drop).unwrap_err();
        assert!(found.contains(*rule), "{from} to {to}: {found}");
    }
}

/// The next state: segment 10 is gone, 13 is complete.
fn next_text() -> String {
    let before = "#EXT-X-PROGRAM-DATE-TIME:2024-05-01T10:00:00.000000Z\n#EXTINF:1.000000,\nseg-10.m4s?t\n#EXT-X-DISCONTINUITY\n";
    GOOD.replace(before, "")
        .replace("MEDIA-SEQUENCE:10", "MEDIA-SEQUENCE:11")
        .replace("DISCONTINUITY-SEQUENCE:3", "DISCONTINUITY-SEQUENCE:4")
        .replace(
            "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"part-13-1.m4s?t\"",
            "#EXT-X-PART:DURATION=0.500000,URI=\"part-13-1.m4s?t\"\n#EXTINF:1.000000,\nseg-13.m4s?t",
        )
}

#[test]
fn what_may_change_may_and_nothing_else() {
    let next = |text: &str| Playlist::read(text, "t").unwrap();
    let text = next_text();
    assert_eq!(good().check_successor(&next(&text)), Ok(()));
    let cases = [
        (
            "DISCONTINUITY-SEQUENCE:4",
            "DISCONTINUITY-SEQUENCE:3",
            "discontinuity sequence",
        ),
        ("MEDIA-SEQUENCE:11", "MEDIA-SEQUENCE:9", "must not decrease"),
        (
            "TARGETDURATION:1\n",
            "TARGETDURATION:2\n",
            "target duration",
        ),
        ("seg-12.m4s", "seg-12b.m4s", "segment 12 changed"),
        ("part-13-0.m4s", "part-13-x.m4s", "segment 13 changed"),
    ];
    for (from, to, rule) in cases {
        let broken = text
            .replacen(from, to, 1)
            .replace("CAN-SKIP-UNTIL=6.0", "CAN-SKIP-UNTIL=12.0");
        let found = good().check_successor(&next(&broken)).unwrap_err();
        assert!(found.contains(rule), "{from} to {to}: {found}");
    }
    let ended = next(&text.replace("seg-13.m4s?t\n", "seg-13.m4s?t\n#EXT-X-ENDLIST\n"));
    assert!(ended.check_successor(&next(&text)).is_err());
}

#[test]
fn a_delta_update_gives_the_full_playlist_or_is_refused() {
    let full = next_text();
    let kept = full
        .find("#EXT-X-PROGRAM-DATE-TIME:2024-05-01T10:00:10")
        .unwrap();
    let head = full.find("#EXT-X-MAP").unwrap();
    let delta = |count| {
        let (head, kept) = (full.split_at(head).0, full.split_at(kept).1);
        let text = format!("{head}#EXT-X-SKIP:SKIPPED-SEGMENTS={count}\n{kept}");
        Playlist::read(&text, "t")
    };
    // The boundary is six seconds, and two are left.
    assert!(delta(1).unwrap_err().contains("6.2.5.1"));
    let mut update = Playlist::read(&full, "t").unwrap();
    update.segments.remove(0);
    update.skipped = 1;
    let updated = good().updated_by(&update).unwrap();
    assert_eq!(updated, Playlist::read(&full, "t").unwrap());
    update.skipped = 3;
    assert!(good().updated_by(&update).is_err());
}
