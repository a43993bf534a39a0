//! ONVIF metadata documents as cameras send them (ONVIF Streaming Specification section 5.2).

use framewell_model::WallTime;
use std::fmt::Write as _;

/// A document with one event.
#[derive(Debug, Clone, Copy)]
pub struct Notification<'a> {
    /// For example `tns1:RuleEngine/CellMotionDetector/Motion`.
    pub topic: &'a str,
    /// What the camera's clock says.
    pub at: WallTime,
    /// `Initialized`, `Changed` or `Deleted`; `None` for an event without a state.
    pub operation: Option<&'a str>,
    /// Names and values that say where.
    pub source: &'a [(&'a str, &'a str)],
    /// Names and values that say what.
    pub data: &'a [(&'a str, &'a str)],
}

impl Notification<'_> {
    /// The XML.
    #[must_use]
    pub fn document(&self) -> String {
        let operation = self.operation.map_or_else(String::new, |operation| {
            format!(" PropertyOperation=\"{operation}\"")
        });
        format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
             <tt:MetadataStream xmlns:tt=\"http://www.onvif.org/ver10/schema\" \
             xmlns:wsnt=\"http://docs.oasis-open.org/wsn/b-2\" \
             xmlns:tns1=\"http://www.onvif.org/ver10/topics\">\
             <tt:Event><wsnt:NotificationMessage>\
             <wsnt:Topic Dialect=\"http://www.onvif.org/ver10/tev/topicExpression/ConcreteSet\">{}</wsnt:Topic>\
             <wsnt:Message><tt:Message UtcTime=\"{}\"{operation}>\
             <tt:Source>{}</tt:Source><tt:Data>{}</tt:Data>\
             </tt:Message></wsnt:Message></wsnt:NotificationMessage></tt:Event></tt:MetadataStream>",
            self.topic,
            self.at,
            items(self.source),
            items(self.data),
        )
    }
}

fn items(items: &[(&str, &str)]) -> String {
    items.iter().fold(String::new(), |mut text, (name, value)| {
        // Writing to a String cannot fail.
        let _infallible = write!(text, "<tt:SimpleItem Name=\"{name}\" Value=\"{value}\"/>");
        text
    })
}
