//! What is wrong or doubtful in a policy document, and where.

/// One thing that is wrong or doubtful, with its place in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyFinding {
    /// Whether the document is refused for it.
    pub severity: Severity,
    /// The first byte in the file's text.
    pub offset: usize,
    /// How many bytes are meant; 0: just the place.
    pub len: usize,
    /// What is wrong: lower case, no full stop, what was written in backticks.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

/// What a finding does to the document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is refused.
    Error,
    /// It is taken, but somebody should look.
    Warning,
}
