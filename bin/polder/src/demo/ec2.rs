//! A client of the EC2 endpoint, as small as the query protocol allows.

use anyhow::{Context as _, anyhow, bail};
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::{Request, StatusCode};

use crate::client::{self, encode};

/// One account's view of an EC2 endpoint.
pub(super) struct Client {
    endpoint: String,
    account: &'static str,
}

/// A reply: an XML document, read by element names.
pub(super) struct Reply(String);

impl Client {
    pub(super) fn new(endpoint: String, account: &'static str) -> Client {
        Client { endpoint, account }
    }

    pub(super) const fn account(&self) -> &'static str {
        self.account
    }

    /// Calls an action with these parameters, in the form that every AWS client sends.
    pub(super) fn call(&self, action: &str, parameters: &[(&str, &str)]) -> anyhow::Result<Reply> {
        let mut form = format!("Action={action}&Version=2016-11-15");
        for (name, value) in parameters {
            form.push_str(&format!("&{name}={}", encode(value)));
        }
        // Nobody checks the signature; the credential names the account, the region and the service.
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/20260101/us-east-1/ec2/aws4_request, SignedHeaders=host, Signature=0",
            self.account
        );
        let request = Request::post("/")
            .header(
                CONTENT_TYPE,
                "application/x-www-form-urlencoded; charset=utf-8",
            )
            .header(AUTHORIZATION, authorization);
        let (status, body) = client::send(&self.endpoint, request, form.into())
            .with_context(|| format!("calling {action}"))?;
        let reply = Reply(
            String::from_utf8(body.into()).with_context(|| format!("the answer to {action}"))?,
        );
        if status != StatusCode::OK {
            bail!(
                "{action}: {} ({})",
                reply.need("Message")?,
                reply.need("Code")?
            );
        }
        Ok(reply)
    }

    /// Calls an action that makes something, and gives its identifier.
    pub(super) fn make(
        &self,
        action: &str,
        id: &str,
        parameters: &[(&str, &str)],
    ) -> anyhow::Result<String> {
        self.call(action, parameters)?.need(id)
    }
}

impl Reply {
    /// The text of the first element of this name, in document order.
    pub(super) fn need(&self, name: &str) -> anyhow::Result<String> {
        self.need_in(None, name)
    }

    /// The text of the first element of this name inside the first one called `parent`.
    pub(super) fn need_in(&self, parent: Option<&str>, name: &str) -> anyhow::Result<String> {
        let document = roxmltree::Document::parse(&self.0).context("the answer is not XML")?;
        let find = |from: roxmltree::Node<'_, '_>, name: &str| {
            from.descendants()
                .find(|node| node.tag_name().name() == name)
                .map(|node| node.id())
        };
        let from = parent
            .and_then(|parent| find(document.root(), parent))
            .and_then(|id| document.get_node(id));
        let found = find(from.unwrap_or_else(|| document.root()), name)
            .and_then(|id| document.get_node(id));
        found
            .and_then(|node| node.text())
            .map(str::to_owned)
            .ok_or_else(|| anyhow!("the answer has no `{name}`: {}", self.0))
    }
}
