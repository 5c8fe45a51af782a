//! Plays the story over real connections. In: the stage. Out: what happened, act by act.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::cli::demo::DemoError;
use crate::cli::demo::cast::{Caller, OWNERS, Owner, order_path};
use crate::cli::demo::client::Client;
use crate::cli::demo::stage::Stage;
use crate::cli::demo::story::{Asked, SWITCHED, Switch};
use crate::clock::SystemClock;
use crate::event::report::{ReadinessReport, ReadinessTally};

/// Every caller asks at every account.
pub(super) async fn answers(stage: &Stage) -> Result<(Vec<Asked>, Vec<Value>), DemoError> {
    let mut answers = Vec::new();
    for caller in Caller::ALL {
        for owner in OWNERS {
            answers.push(stage.ask(caller, owner).await?);
        }
    }
    let events = stage.recorded(FIRST_EVENTS).await?;
    Ok((answers, events))
}

/// The readiness report on what was recorded.
pub(super) fn readiness(owner: &Owner, events: &[Value]) -> ReadinessReport {
    let mut tally = ReadinessTally::new(owner.id);
    for event in events {
        let at = event.get("eventTime").and_then(Value::as_str).and_then(crate::event::time::parse);
        tally.add(at.unwrap_or_else(|| SystemClock.now()), event);
    }
    tally.finish()
}

/// Switches an account while the partner goes on asking.
pub(super) async fn switch(stage: &Stage) -> Result<Switch, DemoError> {
    let stream = Arc::new(Stream {
        client: stage.client.clone(),
        url: (stage.proxy, order_path(SWITCHED)),
        token: stage.token(Caller::Partner, SWITCHED)?,
        sent: AtomicUsize::new(0),
        answered: AtomicUsize::new(0),
        ended: AtomicBool::new(false),
    });
    let mut callers = JoinSet::new();
    for _ in 0..STREAM_CALLERS {
        callers.spawn(Arc::clone(&stream).run());
    }
    stream.answered_at_least(STREAM_STEP).await;
    let answered_before = stream.answered.load(Ordering::Relaxed);
    let changed = stage.limit(SWITCHED).await;
    let sent_before = stream.sent.load(Ordering::Relaxed);
    stream.answered_at_least(sent_before + STREAM_STEP).await;
    let mut after = Vec::new();
    for caller in Caller::ALL {
        after.push(stage.ask(caller, SWITCHED).await);
    }
    stream.ended.store(true, Ordering::Relaxed);
    while callers.join_next().await.is_some() {}
    Ok(Switch {
        status: changed?.status,
        sent: stream.sent.load(Ordering::Relaxed),
        answered: stream.answered.load(Ordering::Relaxed),
        answered_before,
        sent_before,
        after: after.into_iter().collect::<Result<_, _>>()?,
    })
}

/// One caller's requests, over several connections, without a pause worth the name.
struct Stream {
    client: Client,
    url: (std::net::SocketAddr, String),
    token: String,
    sent: AtomicUsize,
    answered: AtomicUsize,
    ended: AtomicBool,
}

impl Stream {
    async fn run(self: Arc<Self>) {
        let (at, path) = &self.url;
        while !self.ended.load(Ordering::Relaxed) {
            self.sent.fetch_add(1, Ordering::Relaxed);
            let reply = self.client.get(*at, path, Some(&self.token)).await;
            if reply.is_ok_and(|reply| reply.status == 200) {
                self.answered.fetch_add(1, Ordering::Relaxed);
            }
            sleep(STREAM_PAUSE).await;
        }
    }

    /// Waits for answers, not for ever: answers that never come are found by the count.
    async fn answered_at_least(&self, answers: usize) {
        let deadline = Instant::now() + STREAM_WAIT_MAX;
        while self.answered.load(Ordering::Relaxed) < answers && Instant::now() < deadline {
            sleep(STREAM_PAUSE).await;
        }
    }
}

/// Two of the candidate, two of report-only, one denial.
const FIRST_EVENTS: usize = 5;
const STREAM_CALLERS: usize = 4;
/// Requests before the change, and after it.
const STREAM_STEP: usize = 100;
const STREAM_PAUSE: Duration = Duration::from_millis(1);
const STREAM_WAIT_MAX: Duration = Duration::from_secs(5);
