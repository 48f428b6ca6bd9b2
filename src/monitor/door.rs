// SPDX-License-Identifier: Apache-2.0
//! How commands come to a monitor: the one that made it over the connection
//! that it inherited, later ones over its socket.

use std::io;
use std::path::Path;
use std::sync::{Arc, OnceLock};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{mpsc, watch};

use super::clients::Clients;
use super::exec::Inside;
use super::follow::Following;
use super::session::{Connection, Session};
use super::wire::{Order, Streams};
use crate::logs::Grown;
use crate::sys;

/// What everyone meets who comes in.
#[derive(Clone)]
pub struct Door {
    pub clients: Arc<Clients>,
    pub session: Arc<Session>,
    pub orders: mpsc::Sender<Order>,
    pub logged: watch::Sender<Grown>,
    /// Set while the workload runs.
    pub inside: Arc<OnceLock<Arc<Inside>>>,
}

impl Door {
    /// The command that launched the VM, and takes these streams of it.
    pub fn admit_launcher<R, W>(&self, reader: R, writer: W, streams: Streams)
    where
        R: AsyncRead + Unpin + Send + 'static,
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let mut connection = self.connection(writer);
        connection.launcher = true;
        connection.attach(streams);
        tokio::spawn(connection.listen(reader));
    }

    /// Lets later commands in.
    pub fn open(self, socket: &Path) -> io::Result<()> {
        let listener = sys::listen(socket)?;
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (reader, writer) = tokio::io::split(connection);
                tokio::spawn(self.connection(writer).listen(reader));
            }
        });
        Ok(())
    }

    /// Attached to nothing yet.
    pub(super) fn connection<W>(&self, writer: W) -> Connection
    where
        W: AsyncWrite + Unpin + Send + 'static,
    {
        let client = self.clients.add(writer);
        Connection {
            clients: Arc::clone(&self.clients),
            following: Following::new(&self.logged, &client.sender),
            client,
            session: Arc::clone(&self.session),
            streams: Streams::default(),
            launcher: false,
            owner: false,
            inside: Arc::clone(&self.inside),
            orders: self.orders.clone(),
        }
    }
}
