//! Who can reach what: every principal of a resource, every grant that leaves its account.
