//! Decides what is asked: method and path become action, resource and owner account.
//!
//! Flows in: a request head. Flows out: a borrowed question, and where the request goes if permitted.
//! Does no I/O; what is ambiguous is refused.

mod edge;
mod table;

pub use edge::{EdgeRules, Limits, Upstream};
pub use table::{QuestionSpec, RouteError, RouteField, RouteSpec, RouteTable};
