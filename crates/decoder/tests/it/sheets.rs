//! Contact sheets of recorded footage.

use crate::batch_rig::{Footage3, at, ms, range};
use crate::rig::{Rig, channel};
use framewell_imaging::batch::{Rule, What};
use framewell_imaging::sheet::{Sheet, SheetRequest, Tile};
use framewell_imaging::{Error, Match, PictureFormat};
use framewell_model::{HasKind, TimeRange};
use framewell_testkit::stamp::{GrayImage, read_stamp};

fn request(range: TimeRange, rule: Rule) -> SheetRequest {
    SheetRequest {
        channel: channel(),
        what: What::Range {
            range,
            rule,
            matching: Match::Exact,
        },
        tiles: None,
        columns: None,
        tile_width: 320,
        has_labels: false,
        format: PictureFormat::Jpeg { quality: 95 },
    }
}

/// The pixels of a tile, cut out of the sheet by its map.
fn cut(sheet: &Sheet, tile: &Tile) -> GrayImage {
    let image = turbojpeg::decompress(&sheet.picture.data, turbojpeg::PixelFormat::GRAY).unwrap();
    assert_eq!(image.width, sheet.picture.width as usize);
    let area = tile.area;
    let (left, width) = (area.x as usize, area.width as usize);
    let rows = image.pixels.chunks(image.pitch);
    let rows = rows.skip(area.y as usize).take(area.height as usize);
    GrayImage {
        width,
        height: area.height as usize,
        data: rows
            .flat_map(|row| &row[left..left + width])
            .copied()
            .collect(),
    }
}

#[tokio::test]
async fn every_tile_shows_the_picture_that_the_map_says() {
    let footage = Footage3::new().await;
    // Two sizes of video and a hole.
    let asked = request(range(1_000, 9_000), Rule::Every(500_000));
    let sheet = footage.rig.imaging.sheet(&asked).await.unwrap();
    assert_eq!(sheet.tiles.len(), 8);
    assert_eq!((sheet.gaps.len(), sheet.gaps[0].missing), (1, 8));
    assert!(sheet.next.is_none() && sheet.failures.is_empty());
    for tile in &sheet.tiles {
        let shown = read_stamp(&cut(&sheet, tile)).expect("a readable stamp");
        let error_us = shown.capture.micros_since(tile.captured).abs();
        assert!(error_us <= 20, "{} shows {}", tile.captured, shown.capture);
        assert_eq!(footage.on_screen(tile.requested), Some(tile.captured));
    }
    // Three side by side, in time order by rows.
    let places: Vec<(u32, u32)> = sheet.tiles.iter().map(|t| (t.area.x, t.area.y)).collect();
    assert_eq!(places[..4], [(0, 0), (324, 0), (648, 0), (0, 244)]);
    assert!(sheet.tiles.is_sorted_by_key(|tile| tile.captured));
    let again = footage.rig.imaging.sheet(&asked).await.unwrap();
    assert_eq!(again.picture, sheet.picture);
}

#[tokio::test]
async fn a_sheet_comes_in_every_format_and_with_labels() {
    let footage = Footage3::new().await;
    let plain = request(range(0, 1_900), Rule::Count(4));
    for format in [PictureFormat::Png, PictureFormat::WebP { quality: 80 }] {
        let asked = SheetRequest {
            format,
            ..plain.clone()
        };
        let sheet = footage.rig.imaging.sheet(&asked).await.unwrap();
        assert_eq!((sheet.picture.width, sheet.picture.height), (644, 484));
        let magic: &[u8] = if format == PictureFormat::Png {
            b"\x89PNG"
        } else {
            b"RIFF"
        };
        assert!(sheet.picture.data.starts_with(magic));
    }
    let labelled = SheetRequest {
        has_labels: true,
        ..plain.clone()
    };
    let labelled = footage.rig.imaging.sheet(&labelled).await.unwrap();
    let first = cut(&labelled, &labelled.tiles[0]);
    // "1": a black box in the corner, the shaft of the digit white.
    let pixel = |x: usize, y: usize| first.data[y * first.width + x];
    assert!(
        pixel(0, 0) < 40 && pixel(7, 8) > 200,
        "{} {}",
        pixel(0, 0),
        pixel(7, 8)
    );
}

#[tokio::test]
async fn a_range_with_more_pictures_takes_several_sheets() {
    let footage = Footage3::new().await;
    let whole = request(range(0, 12_000), Rule::Keyframes);
    let first = SheetRequest {
        tiles: Some(8),
        ..whole.clone()
    };
    let first = footage.rig.imaging.sheet(&first).await.unwrap();
    let second = SheetRequest {
        what: What::After(first.next.unwrap()),
        tiles: Some(8),
        ..whole
    };
    let second = footage.rig.imaging.sheet(&second).await.unwrap();
    assert!(second.next.is_none());
    let tiles = first.tiles.iter().chain(&second.tiles);
    let captured: Vec<i64> = tiles.map(|tile| ms(tile.captured)).collect();
    assert_eq!((captured.len(), captured[8]), (12, 8_000));
}

#[tokio::test]
async fn absurd_sheets_are_refused_with_the_number() {
    let rig = Rig::new(at(60_000)).await;
    let why = async |request: SheetRequest| {
        let error = rig.imaging.sheet(&request).await.unwrap_err();
        (error.kind().http_status(), error.to_string())
    };
    let plain = request(range(0, 10_000), Rule::Count(9));
    let many = request(range(0, 10_000), Rule::Rate(30.0));
    let (status, text) = why(many).await;
    assert!(
        status == 400 && text.contains("would take 300 tiles"),
        "{text}"
    );
    for (wrong, word) in [
        (
            SheetRequest {
                tile_width: 10,
                ..plain.clone()
            },
            "64 to 1280",
        ),
        (
            SheetRequest {
                tiles: Some(0),
                ..plain.clone()
            },
            "1 to 100",
        ),
        (
            SheetRequest {
                columns: Some(0),
                ..plain.clone()
            },
            "columns",
        ),
        (
            SheetRequest {
                format: PictureFormat::Nv12,
                ..plain.clone()
            },
            "jpg, png or webp",
        ),
    ] {
        let (status, text) = why(wrong).await;
        assert!(status == 400 && text.contains(word), "{text}");
    }
    let error = rig.imaging.sheet(&plain).await.unwrap_err();
    let none = framewell_footage::Error::NoFootage {
        channel: channel(),
        at: at(0),
        before: None,
        after: None,
    };
    assert!(
        matches!(&error, Error::Footage(found) if found.to_string() == none.to_string()),
        "{error:?}"
    );
}
