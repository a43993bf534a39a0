//! What is drawn onto pictures: the time of capture, and the boxes of metadata documents.

use super::RenderOptions;
use super::cut::Piece;
use crate::Clips;
use crate::handler::Stop;
use framewell_catalog::Order;
use framewell_catalog::meta::{Document, DocumentSearch, Filter, Object, Scope};
use framewell_decode::{MAX_BOXES, RenderBox};
use framewell_model::{ChannelId, WallTime};
use std::collections::BTreeMap;

/// An object stays on the picture until the next document, and no longer than this.
const LASTING_US: i64 = 500_000;
/// Capture times of one picture from different sources differ by less.
const ROUNDING_US: i64 = 100;
/// Most documents of one piece; those behind are not drawn.
const MOST_DOCUMENTS: u64 = 1_000;
/// Most boxes of one picture.
const MOST_BOXES: usize = 30;
/// Most characters of a name: with as many boxes on all pictures of a job, its description can be sent.
const MOST_CHARACTERS: usize = 32;

/// Adds what the options say to the frames of a piece.
pub(crate) async fn add(
    clips: &Clips,
    channel: ChannelId,
    options: &RenderOptions,
    piece: &mut Piece,
) -> Result<(), Stop> {
    if options.burn_time {
        for (frame, captured) in piece.frames.iter_mut().zip(&piece.captured) {
            frame.text = Some(time_text(*captured));
        }
    }
    let ends = (piece.captured.first(), piece.captured.last());
    if let (true, (Some(first), Some(last))) = (options.burn_boxes, ends) {
        let boxes = load(clips, channel, *first, *last).await?;
        for (frame, captured) in piece.frames.iter_mut().zip(&piece.captured) {
            frame.boxes = on_screen(&boxes, *captured).to_vec();
        }
    }
    Ok(())
}

/// `2024-05-01 10:20:30.123 UTC`.
fn time_text(at: WallTime) -> String {
    let text = at.to_rfc3339().replace('T', " ");
    let shown: String = text.chars().take("yyyy-mm-dd hh:mm:ss.mmm".len()).collect();
    format!("{shown} UTC")
}

/// Boxes by the instant of their documents.
type Boxes = BTreeMap<WallTime, Vec<RenderBox>>;

async fn load(
    clips: &Clips,
    channel: ChannelId,
    first: WallTime,
    last: WallTime,
) -> Result<Boxes, Stop> {
    let everything = Filter::And(Vec::new());
    let query = DocumentSearch {
        scope: Scope {
            channels: &[channel],
            filter: &everything,
            start: Some(first.plus_micros(-LASTING_US)),
            end: Some(last.plus_micros(ROUNDING_US)),
        },
        order: Order::Ascending,
        after: None,
        limit: MOST_DOCUMENTS,
    };
    let page = clips.inner.catalog.search_documents(&query).await;
    let page = page.map_err(|error| Stop::of(&error))?;
    let mut boxes = Boxes::new();
    for (_, document) in &page.documents {
        let found = of_document(document);
        if !found.is_empty() {
            let known = boxes.entry(document.timestamp).or_default();
            known.extend(found);
            known.truncate(MOST_BOXES.min(MAX_BOXES));
        }
    }
    Ok(boxes)
}

fn of_document(document: &Document) -> Vec<RenderBox> {
    let objects = document.native.objects.iter();
    objects.filter_map(of_object).collect()
}

fn of_object(object: &Object) -> Option<RenderBox> {
    let bounds = object.bounds?;
    #[expect(clippy::cast_possible_truncation, reason = "parts of a picture")]
    let place = [bounds.x, bounds.y, bounds.width, bounds.height].map(|part| part as f32);
    let mut label = object.label.clone().unwrap_or_default();
    if let Some(score) = object.score {
        label = format!("{label} {:.0}%", score * 100.0);
    }
    // What the font has not is blank. A character is then a byte, also on the way to the worker.
    let has = |c: char| c.is_ascii_alphanumeric() || "-:./%#_".contains(c);
    let label = label.chars().map(|c| if has(c) { c } else { ' ' });
    Some(RenderBox {
        place,
        label: label.take(MOST_CHARACTERS).collect(),
    })
}

/// Those of the newest documents that are not too old.
fn on_screen(boxes: &Boxes, captured: WallTime) -> &[RenderBox] {
    let newest = boxes
        .range(..=captured.plus_micros(ROUNDING_US))
        .next_back();
    match newest {
        Some((at, boxes)) if captured.micros_since(*at) < LASTING_US => boxes,
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_readable_to_the_millisecond() {
        let at: WallTime = "2024-05-01T10:20:30.123456Z".parse().unwrap();
        assert_eq!(time_text(at), "2024-05-01 10:20:30.123 UTC");
    }

    #[test]
    fn a_box_stays_until_the_next_document_or_half_a_second() {
        let at = |ms: i64| WallTime::from_micros(1_000_000_000 + ms * 1_000);
        let named = |label: &str| RenderBox {
            place: [0.0, 0.0, 0.5, 0.5],
            label: label.into(),
        };
        let boxes = Boxes::from([(at(0), vec![named("A")]), (at(200), vec![named("B")])]);
        let label = |ms| on_screen(&boxes, at(ms)).first().map(|b| b.label.clone());
        assert_eq!(label(-40), None);
        assert_eq!(label(0).as_deref(), Some("A"));
        assert_eq!(label(160).as_deref(), Some("A"));
        assert_eq!(label(200).as_deref(), Some("B"));
        assert_eq!(label(699).as_deref(), Some("B"));
        assert_eq!(label(700), None);
    }

    #[test]
    fn labels_say_what_and_how_sure() {
        let object = Object {
            label: Some("größe".into()),
            score: Some(0.917),
            bounds: Some(framewell_catalog::meta::Bounds {
                x: 0.1,
                y: 0.2,
                width: 0.3,
                height: 0.4,
            }),
            ..Object::default()
        };
        assert_eq!(of_object(&object).unwrap().label, "gr  e 92%");
        let hostile = Object {
            label: Some("\u{1}\"\\".repeat(64)),
            ..object
        };
        assert_eq!(of_object(&hostile).unwrap().label, " ".repeat(32));
    }
}
