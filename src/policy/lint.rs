//! Looks for policies that are valid and probably not meant.
