//! The walk that tells why: the same answer as `evaluate`, with every step and in words which side lacks what.
