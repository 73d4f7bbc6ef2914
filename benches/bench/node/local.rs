//! A node's local API, as an app calls it: one connection that is kept.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, Response, body::Incoming, client::conn::http1::SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::outcome::{Outcome, failed};

/// One connection.
pub(crate) struct Local {
    sender: SendRequest<Full<Bytes>>,
    authority: String,
    bearer: String,
}

impl Local {
    pub(super) async fn open(address: SocketAddr, token: &str) -> Outcome<Self> {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(tcp)).await?;
        // How it ends, the next call says.
        tokio::spawn(connection);
        Ok(Self { sender, authority: address.to_string(), bearer: format!("Bearer {token}") })
    }

    /// Calls and sees this status: the body.
    ///
    /// # Errors
    /// Another status, or no answer.
    pub(crate) async fn call(
        &mut self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
        expect: u16,
    ) -> Outcome<Bytes> {
        let answer = self.begin(&method, path, body.into()).await?;
        let status = answer.status().as_u16();
        let body = answer.into_body().collect().await?.to_bytes();
        if status != expect {
            return failed(format!("{method} {path}: {status} {}", String::from_utf8_lossy(&body)));
        }
        Ok(body)
    }

    /// Follows a stream: its body as it comes.
    ///
    /// # Errors
    /// Another status than 200, or no answer.
    pub(crate) async fn follow(&mut self, path: &str) -> Outcome<Incoming> {
        let answer = self.begin(&Method::GET, path, Bytes::new()).await?;
        if answer.status() != 200 {
            return failed(format!("GET {path}: {}", answer.status()));
        }
        Ok(answer.into_body())
    }

    async fn begin(&mut self, method: &Method, path: &str, body: Bytes) -> Outcome<Response<Incoming>> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.authority)
            .header("authorization", &self.bearer)
            .header("content-type", "application/json")
            .body(Full::new(body))?;
        self.sender.ready().await?;
        Ok(self.sender.send_request(request).await?)
    }
}
