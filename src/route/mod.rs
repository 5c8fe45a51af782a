//! Decides what is asked: method and path become action, resource and owner account.
//!
//! Flows in: a request head. Flows out: a borrowed question, and where the request goes if permitted.
//! Does no I/O; what is ambiguous is refused.

mod context;
mod edge;
mod path;
mod table;
mod template;

pub use context::{ContextSource, ContextSpec};
pub use edge::{EdgeRules, Limits, Upstream};
pub use path::{PathError, decode};
pub use table::{
    QuestionBuffer, QuestionError, QuestionSpec, Route, RouteError, RouteField, RouteMatch,
    RouteSpec, RouteTable,
};
