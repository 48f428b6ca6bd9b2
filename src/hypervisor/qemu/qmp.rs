// SPDX-License-Identifier: Apache-2.0
//! As much of the QEMU Machine Protocol as a VM's life needs: the handshake,
//! `quit`, and the reason of a shutdown for the log.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::sync::mpsc;

/// QEMU may have been taken over by its guest: what it may send in one line.
const MAX_LINE: u64 = 64 << 10;

/// strerror(ENOSPC), as QEMU in our own environment words it.
const NO_SPACE: &str = "No space left on device";

pub struct Qmp {
    quit: mpsc::Sender<()>,
    was_quit: Arc<AtomicBool>,
    disk_full: Arc<AtomicBool>,
}

impl Qmp {
    pub fn start(socket: UnixStream) -> Self {
        let (quit, orders) = mpsc::channel(1);
        let disk_full = Arc::<AtomicBool>::default();
        let seen = Arc::clone(&disk_full);
        tokio::spawn(async move {
            if let Err(error) = converse(socket, orders, &seen).await {
                tracing::debug!("QMP ended: {error}");
            }
        });
        Self { quit, was_quit: Arc::default(), disk_full }
    }

    /// Asks QEMU to end. The end of the process is the answer.
    pub fn quit(&self) {
        self.was_quit.store(true, Ordering::Relaxed);
        let _ = self.quit.try_send(());
    }

    /// Whether a write failed because the host has no room for it.
    pub fn disk_was_full(&self) -> bool {
        self.disk_full.load(Ordering::Relaxed)
    }

    pub fn was_quit(&self) -> bool {
        self.was_quit.load(Ordering::Relaxed)
    }
}

async fn converse(
    socket: UnixStream,
    mut orders: mpsc::Receiver<()>,
    disk_full: &AtomicBool,
) -> std::io::Result<()> {
    let (reader, mut writer) = socket.into_split();
    let mut reader = BufReader::new(reader);
    write(&mut writer, json!({"execute": "qmp_capabilities"})).await?;
    let mut line = String::new();
    loop {
        line.clear();
        let mut capped = (&mut reader).take(MAX_LINE);
        tokio::select! {
            order = orders.recv() => match order {
                Some(()) => write(&mut writer, json!({"execute": "quit"})).await?,
                None => return Ok(()),
            },
            count = capped.read_line(&mut line) => {
                if count? == 0 {
                    return Ok(());
                }
                note_event(&line, disk_full);
            }
        }
    }
}

async fn write(writer: &mut (impl AsyncWriteExt + Unpin), command: Value) -> std::io::Result<()> {
    writer.write_all(format!("{command}\n").as_bytes()).await
}

fn note_event(line: &str, disk_full: &AtomicBool) {
    let Ok(message) = serde_json::from_str::<Value>(line) else { return };
    if let Some(event) = message.get("event").and_then(Value::as_str) {
        let data = &message["data"];
        // `nospace` is there for devices of the old syntax only.
        let no_space = data["nospace"] == true || data["reason"] == NO_SPACE;
        if event == "BLOCK_IO_ERROR" && no_space {
            disk_full.store(true, Ordering::Relaxed);
        }
        tracing::debug!(event, data = %message["data"], "QMP");
    } else if let Some(error) = message.get("error") {
        tracing::warn!(%error, "QMP");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_disk_is_one() {
        let full = AtomicBool::new(false);
        for line in [
            "",
            "{",
            r#"{"event": "BLOCK_IO_ERROR", "data": {"nospace": false}}"#,
            r#"{"event": "SHUTDOWN", "data": {"nospace": true}}"#,
            r#"{"return": {}}"#,
        ] {
            note_event(line, &full);
            assert!(!full.load(Ordering::Relaxed), "{line}");
        }
        for data in [r#"{"nospace": true}"#, r#"{"reason": "No space left on device"}"#] {
            let full = AtomicBool::new(false);
            note_event(&format!(r#"{{"event": "BLOCK_IO_ERROR", "data": {data}}}"#), &full);
            assert!(full.load(Ordering::Relaxed), "{data}");
        }
    }
}
