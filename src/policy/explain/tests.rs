//! The walk that explains, and the words it finds.
