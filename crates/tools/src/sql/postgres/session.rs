//! A connection for one call. A statement that nobody waits for any more is cancelled on the server.

use std::future::Future;
use std::time::Duration;

use parkway_core::tool::{ToolContext, ToolError};
use tokio::runtime::Handle;
use tokio_postgres::{CancelToken, Client};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::{failed, unreachable};
use super::server::Server;
use crate::http::tls;
use crate::sql::password::Password;
use crate::watch::Watch;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// How long the server may take to tell that a statement's time is over.
const GRACE: Duration = Duration::from_secs(2);

/// A connection. A transaction that is not committed leaves nothing.
pub(super) struct Session {
    pub(super) client: Client,
    _stop: Stop,
}

impl Session {
    pub(super) async fn open(server: &Server, password: &Password) -> Result<Self, ToolError> {
        let config = tls().map_err(|error| ToolError::invalid("tls", format!("TLS cannot be used: {error}")))?;
        let tls = MakeRustlsConnect::new(config);
        let mut config = server.config.clone();
        if let Some(password) = password.expose() {
            config.password(password);
        }
        let connecting = tokio::time::timeout(CONNECT, config.connect(tls.clone()));
        let connected = connecting.await.map_err(|_| unreachable(server, "it does not answer"))?;
        let (client, connection) = connected.map_err(|error| failed(&error, server))?;
        // It ends when the client is dropped.
        tokio::spawn(connection);
        let stop = Stop { token: client.cancel_token(), tls };
        Ok(Session { client, _stop: stop })
    }
}

/// What holds for a transaction: the server stops by itself what takes too long, and times come and go in UTC.
pub(super) fn settings(watch: &Watch) -> String {
    let time = watch.remaining().as_millis().max(1);
    format!("SET LOCAL statement_timeout = {time}; SET LOCAL lock_timeout = 5000; SET LOCAL timezone = 'UTC'")
}

/// Cancels what the server still does when the call ends, however it ends.
struct Stop {
    token: CancelToken,
    tls: MakeRustlsConnect,
}

impl Drop for Stop {
    fn drop(&mut self) {
        let Ok(runtime) = Handle::try_current() else { return };
        let (token, tls) = (self.token.clone(), self.tls.clone());
        runtime.spawn(async move { token.cancel_query(tls).await });
    }
}

/// Does work on a server until it is done, the time is over, or the run is cancelled.
pub(super) async fn watched<T>(
    context: &ToolContext,
    watch: &Watch,
    work: impl Future<Output = Result<T, ToolError>>,
) -> Result<T, ToolError> {
    let stopped = |code: &str| {
        let message =
            "the statement was told to stop; whether it was carried out, the same call tells when it is made again";
        Err(ToolError { not_done: false, ..ToolError::invalid(code, message) })
    };
    tokio::select! {
        done = work => done,
        () = tokio::time::sleep(watch.remaining() + GRACE) => stopped("timeout"),
        () = context.cancel.cancelled() => stopped("cancelled"),
    }
}
