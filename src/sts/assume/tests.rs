//! Every rule of facts/iam.md section 5.
