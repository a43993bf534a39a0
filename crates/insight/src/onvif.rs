//! Reads what cameras say in ONVIF metadata: notifications (ONVIF Core Specification section 9.5,
//! ONVIF Streaming Specification section 5.2). Prefixes of names are not looked at: firmware differs.

use framewell_model::WallTime;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use std::collections::BTreeMap;

/// Most notifications that are read of one document.
const MAX_NOTIFICATIONS: usize = 64;
/// Most items of one notification.
const MAX_ITEMS: usize = 32;
/// Most characters of a name or value.
const MAX_CHARACTERS: usize = 256;

/// One event of the camera.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Notification {
    /// Without prefixes: `RuleEngine/CellMotionDetector/Motion`.
    pub(crate) topic: String,
    /// By the camera's clock.
    pub(crate) time: Option<WallTime>,
    /// `None`: it happened, and lasts no time.
    pub(crate) property: Option<Property>,
    /// Where.
    pub(crate) source: BTreeMap<String, String>,
    /// What.
    pub(crate) data: BTreeMap<String, String>,
}

/// What happened to a state (ONVIF Core Specification section 9.4.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Property {
    /// It is there, or has changed.
    Is,
    /// It is no more.
    Deleted,
}

/// Where the items of a message belong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Other,
    Topic,
    Source,
    Data,
}

/// The notifications of a document; what comes before damage is kept.
pub(crate) fn notifications(document: &[u8]) -> Vec<Notification> {
    let mut walk = Walk {
        found: Vec::new(),
        open: None,
        part: Part::Other,
    };
    let mut reader = Reader::from_reader(document);
    reader.config_mut().trim_text(true);
    // Borrowing: no element is kept, whatever its depth.
    while let Ok(event) = reader.read_event() {
        match event {
            Event::Start(element) => walk.start(&element),
            Event::Empty(element) => walk.item(&element),
            Event::End(element) => walk.end(element.local_name().as_ref()),
            Event::Text(text) => {
                if let Ok(text) = text.decode() {
                    walk.text(&text);
                }
            }
            Event::Eof => break,
            _ => {}
        }
        if walk.found.len() >= MAX_NOTIFICATIONS {
            break;
        }
    }
    walk.found
}

struct Walk {
    found: Vec<Notification>,
    open: Option<Notification>,
    part: Part,
}

impl Walk {
    fn start(&mut self, element: &BytesStart<'_>) {
        match element.local_name().as_ref() {
            b"NotificationMessage" => self.open = Some(Notification::default()),
            b"Topic" => self.part = Part::Topic,
            b"Source" => self.part = Part::Source,
            b"Data" => self.part = Part::Data,
            b"Message" => self.message(element),
            _ => self.item(element),
        }
    }

    fn message(&mut self, element: &BytesStart<'_>) {
        let Some(open) = &mut self.open else { return };
        if let Some(time) = attribute(element, "UtcTime") {
            open.time = time.parse().ok();
        }
        open.property = match attribute(element, "PropertyOperation").as_deref() {
            Some("Deleted") => Some(Property::Deleted),
            Some(_) => Some(Property::Is),
            None => open.property,
        };
    }

    fn item(&mut self, element: &BytesStart<'_>) {
        if element.local_name().as_ref() != b"SimpleItem" {
            // `<Source/>` without items.
            return;
        }
        let Some(open) = &mut self.open else { return };
        let items = match self.part {
            Part::Source => &mut open.source,
            Part::Data => &mut open.data,
            Part::Topic | Part::Other => return,
        };
        if items.len() < MAX_ITEMS
            && let (Some(name), Some(value)) =
                (attribute(element, "Name"), attribute(element, "Value"))
        {
            items.insert(name, value);
        }
    }

    fn text(&mut self, text: &str) {
        if let (Part::Topic, Some(open)) = (self.part, &mut self.open) {
            open.topic = without_prefixes(&short(text));
        }
    }

    fn end(&mut self, name: &[u8]) {
        match name {
            b"Topic" | b"Source" | b"Data" => self.part = Part::Other,
            b"NotificationMessage" => {
                let open = self.open.take();
                self.found
                    .extend(open.filter(|open| !open.topic.is_empty()));
            }
            _ => {}
        }
    }
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Option<String> {
    let found = element.try_get_attribute(name).ok().flatten()?;
    found
        .normalized_value(XmlVersion::Implicit1_0)
        .ok()
        .map(|value| short(&value))
}

fn short(text: &str) -> String {
    let printable = text.chars().filter(|c| !c.is_control());
    printable.take(MAX_CHARACTERS).collect()
}

fn without_prefixes(topic: &str) -> String {
    let parts = topic.trim().split('/');
    let names: Vec<&str> = parts
        .map(|part| part.rsplit(':').next().unwrap_or(part))
        .collect();
    names.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As a camera of 2019 sends it: other prefixes, elements where others have empty ones.
    const REAL: &str = r#"<?xml version="1.0" encoding="UTF-8"?>
<SOAP:MetadataStream xmlns:SOAP="http://www.onvif.org/ver10/schema" xmlns:n="http://docs.oasis-open.org/wsn/b-2">
<SOAP:VideoAnalytics><SOAP:Frame UtcTime="2024-05-01T10:20:05Z"><SOAP:Object ObjectId="1"/></SOAP:Frame></SOAP:VideoAnalytics>
<SOAP:Event>
 <n:NotificationMessage>
  <n:Topic Dialect="x">tns1:RuleEngine/tnsv:LineDetector/Crossed</n:Topic>
  <n:Message><SOAP:Message UtcTime="2024-05-01T12:20:05.5+02:00">
   <SOAP:Source><SOAP:SimpleItem Name="Rule" Value="gate &amp; yard"></SOAP:SimpleItem></SOAP:Source>
   <SOAP:Data><SOAP:SimpleItem Name="ObjectId" Value="15"/></SOAP:Data>
  </SOAP:Message></n:Message>
 </n:NotificationMessage>
 <n:NotificationMessage>
  <n:Topic>tns1:VideoSource/MotionAlarm</n:Topic>
  <n:Message><SOAP:Message UtcTime="never" PropertyOperation="Deleted"><SOAP:Source/></SOAP:Message></n:Message>
 </n:NotificationMessage>
</SOAP:Event></SOAP:MetadataStream>"#;

    #[test]
    fn notifications_are_read_whatever_their_prefixes() {
        let found = notifications(REAL.as_bytes());
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].topic, "RuleEngine/LineDetector/Crossed");
        assert_eq!(
            found[0].time.unwrap().to_string(),
            "2024-05-01T10:20:05.500000Z"
        );
        assert_eq!(found[0].property, None);
        assert_eq!(found[0].source["Rule"], "gate & yard");
        assert_eq!(found[0].data["ObjectId"], "15");
        assert_eq!(found[1].topic, "VideoSource/MotionAlarm");
        assert_eq!(found[1].time, None);
        assert_eq!(found[1].property, Some(Property::Deleted));
    }

    #[test]
    fn what_comes_before_damage_is_kept() {
        let cut = REAL.find("MotionAlarm").unwrap();
        assert_eq!(notifications(&REAL.as_bytes()[..cut]).len(), 1);
        assert!(notifications(b"").is_empty());
        assert!(notifications(b"\xff\xfe<a").is_empty());
    }

    #[test]
    fn entities_are_not_expanded_and_lengths_are_bounded() {
        let bomb = format!(
            "<!DOCTYPE a [<!ENTITY b \"{}\">]><NotificationMessage><Topic>&b;&b;</Topic>\
             <Topic>{}</Topic></NotificationMessage>",
            "x".repeat(10_000),
            "y".repeat(10_000)
        );
        let found = notifications(bomb.as_bytes());
        assert_eq!(found[0].topic, "y".repeat(MAX_CHARACTERS));
        let many = "<NotificationMessage><Topic>a</Topic></NotificationMessage>".repeat(1_000);
        assert_eq!(notifications(many.as_bytes()).len(), MAX_NOTIFICATIONS);
    }

    proptest! {
        #[test]
        fn nothing_makes_it_panic(at in 0..REAL.len(), bytes in any::<[u8; 4]>()) {
            let mut damaged = REAL.as_bytes().to_vec();
            for (place, byte) in damaged[at..].iter_mut().zip(bytes) {
                *place = byte;
            }
            let _found = notifications(&damaged);
        }
    }
}
