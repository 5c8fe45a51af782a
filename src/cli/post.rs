//! What commands send to a running crossgate: one POST, bounded in time and size.
//!
//! Flows in: where to, a token, a body. Flows out: the answer. No redirect is followed, and no error
//! has the token or the body.

use std::io;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT};
use http::{HeaderValue, Request, StatusCode, Uri};
use http_body_util::{BodyExt as _, Full, Limited};

use crate::config::is_loopback;
use crate::event::sink::{self, system_client};

/// Where to, with which token.
pub(super) struct Post {
    url: Uri,
    authorization: Option<HeaderValue>,
    content_type: &'static str,
}

/// A whole answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

/// Whether http to other machines is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AllowHttp {
    No,
    Yes,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(super) enum PostError {
    #[error("the answer is longer than {ANSWER_BYTES_MAX} bytes, or broke off")]
    Body,
    #[error("no answer: {0}")]
    Connect(String),
    #[error(
        "`--url` is http to another machine; hint: use https, or `--allow-http` if you know the network"
    )]
    Insecure,
    #[error("no answer within {} s", TIMEOUT.as_secs())]
    Timeout,
    #[error("the token has characters that no token has")]
    Token,
    // What is before an `@` may be a password.
    #[error("`--url` is no plain URL; hint: like `{hint}`, without login, query and fragment")]
    Url { hint: &'static str },
}

impl Post {
    /// A POST of JSON to a path below a base URL.
    pub(super) fn json(
        base: &str,
        path: &str,
        allow: AllowHttp,
        hint: &'static str,
    ) -> Result<Self, PostError> {
        Self::new(base, path, allow, hint, "application/json")
    }

    /// A POST of a form.
    pub(super) fn form(
        base: &str,
        path: &str,
        allow: AllowHttp,
        hint: &'static str,
    ) -> Result<Self, PostError> {
        Self::new(base, path, allow, hint, "application/x-www-form-urlencoded")
    }

    fn new(
        base: &str,
        path: &str,
        allow: AllowHttp,
        hint: &'static str,
        content_type: &'static str,
    ) -> Result<Self, PostError> {
        let wrong = PostError::Url { hint };
        if base.contains(['@', '?', '#']) {
            return Err(wrong);
        }
        let Ok(url) = format!("{}{path}", base.trim_end_matches('/')).parse::<Uri>() else {
            return Err(wrong);
        };
        match (url.scheme_str(), url.host()) {
            (Some("https"), Some(_)) => {}
            (Some("http"), Some(host)) if allow == AllowHttp::Yes || is_loopback(host) => {}
            (Some("http"), Some(_)) => return Err(PostError::Insecure),
            (Some(_) | None, _) => return Err(wrong),
        }
        Ok(Self { url, authorization: None, content_type })
    }

    /// With a bearer token.
    pub(super) fn bearer(self, token: &str) -> Result<Self, PostError> {
        let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        let value = HeaderValue::try_from(format!("Bearer {token}")).ok().filter(|_| is_token);
        let mut value = value.ok_or(PostError::Token)?;
        value.set_sensitive(true);
        Ok(Self { authorization: Some(value), ..self })
    }

    /// Sends a body and waits for the whole answer.
    pub(super) fn send(self, body: String) -> Result<Answer, PostError> {
        let unable = |error: io::Error| PostError::Connect(error.to_string());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.map_err(unable)?.block_on(async {
            let asked = tokio::time::timeout(TIMEOUT, self.ask(body)).await;
            asked.unwrap_or(Err(PostError::Timeout))
        })
    }

    async fn ask(self, body: String) -> Result<Answer, PostError> {
        let mut request = Request::post(self.url)
            .header(USER_AGENT, sink::USER_AGENT)
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, self.content_type)
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| PostError::Connect(error.to_string()))?;
        if let Some(value) = self.authorization {
            request.headers_mut().insert(AUTHORIZATION, value);
        }
        let client = system_client().map_err(|error| PostError::Connect(error.to_string()))?;
        let response = client.request(request).await;
        let response = response.map_err(|error| PostError::Connect(sink::causes(&error)))?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await;
        Ok(Answer { status, body: body.map_err(|_| PostError::Body)?.to_bytes() })
    }
}

/// A secret from a file, or from standard input by `-`; a line end after it is not of it.
pub(super) fn read_secret(file: &Path) -> io::Result<String> {
    let mut text = if file == Path::new("-") {
        read_bounded(io::stdin().lock())?
    } else {
        read_bounded(std::fs::File::open(file)?)?
    };
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}

fn read_bounded(source: impl io::Read) -> io::Result<String> {
    use io::Read as _;
    let mut text = String::new();
    source.take(SECRET_BYTES_MAX).read_to_string(&mut text)?;
    Ok(text)
}

/// The token service delays a refusal by less than a second.
const TIMEOUT: Duration = Duration::from_secs(30);
/// A session's token has a few KiB.
const ANSWER_BYTES_MAX: usize = 256 << 10;
/// More than any token that is accepted.
const SECRET_BYTES_MAX: u64 = 64 << 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_https_or_stays_on_this_machine() {
        let post = |base: &str, allow| Post::json(base, "/v1", allow, "https://a.example");
        for (base, expect) in [
            ("https://sts.example.com", "https://sts.example.com/v1"),
            ("https://sts.example.com/base/", "https://sts.example.com/base/v1"),
            ("http://127.0.0.1:9902", "http://127.0.0.1:9902/v1"),
            ("http://[::1]:9902/", "http://[::1]:9902/v1"),
            ("http://localhost", "http://localhost/v1"),
        ] {
            assert_eq!(post(base, AllowHttp::No).ok().unwrap().url, expect);
        }
        for base in ["http://10.0.0.1:9902", "http://sts.example.com"] {
            assert!(matches!(post(base, AllowHttp::No), Err(PostError::Insecure)), "{base}");
            assert!(post(base, AllowHttp::Yes).is_ok(), "{base}");
        }
        for base in [
            "",
            "sts.example.com",
            "/v1",
            "ftp://sts.example.com",
            "https://",
            "https://user:secret@sts.example.com",
            "https://sts.example.com?secret",
            "https://sts.example.com#secret",
        ] {
            let Err(error) = post(base, AllowHttp::Yes) else { panic!("{base} was taken") };
            assert!(matches!(error, PostError::Url { .. }), "{base}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }

    #[test]
    fn what_is_no_token_is_not_sent_and_not_shown() {
        for token in ["", "a b", "a\nb", "secret\u{7f}", "sécret"] {
            let post = Post::json("http://localhost", "/", AllowHttp::No, "").ok().unwrap();
            let Err(error) = post.bearer(token) else { panic!("{token} was taken") };
            assert_eq!(error.to_string(), "the token has characters that no token has");
        }
    }
}
