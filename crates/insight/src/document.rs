//! Documents as clients send them.

/// Placeholder for the parsed input element; the owner of this crate defines it.
#[derive(Debug, Clone)]
pub struct InputDocument;

/// Placeholder for the parsed partial element; the owner of this crate defines it.
#[derive(Debug, Clone)]
pub struct Patch;

/// What became of one element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Created, with its id (201).
    Created(String),
    /// Replaced, merged or deleted (200).
    Done(String),
    /// No document has that id (404).
    NotFound(String),
    /// Refused (400), and why.
    Refused(String),
}
