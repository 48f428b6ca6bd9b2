// SPDX-License-Identifier: Apache-2.0
//! The guest's console, kept in a file of bounded size and, for explaining a
//! boot that failed, its end in memory. The guest decides what is printed.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::task::JoinHandle;

use crate::sys;

/// Name of the log in a VM's directory: that of the last boot.
pub const CONSOLE_LOG: &str = "console.log";
/// Bytes of the log on disk; what comes later is dropped.
pub const MAX_CONSOLE_LOG: u64 = 4 << 20;
/// Bytes kept in memory.
const TAIL: usize = 16 << 10;

pub struct Console {
    tail: Arc<Mutex<Vec<u8>>>,
    copying: Option<JoinHandle<()>>,
}

impl Console {
    /// Copies what comes from `reader` to the file at `path`, which must not
    /// exist before or is replaced.
    pub fn start<R>(reader: R, path: &Path) -> std::io::Result<Self>
    where
        R: AsyncRead + Unpin + Send + 'static,
    {
        let mut options = OpenOptions::new();
        options.create(true).write(true).truncate(true);
        sys::owner_only(&mut options);
        let file = options.open(path)?;
        let tail = Arc::new(Mutex::new(Vec::new()));
        let copying = Some(tokio::spawn(copy(reader, file, Arc::clone(&tail))));
        Ok(Self { tail, copying })
    }

    /// Waits until the console is closed, then gives its end as text.
    pub async fn finish(&mut self) -> String {
        if let Some(copying) = self.copying.take() {
            let _ = copying.await;
        }
        self.tail()
    }

    /// The last of what was printed.
    pub fn tail(&self) -> String {
        let tail = self.tail.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        String::from_utf8_lossy(&tail).into_owned()
    }
}

async fn copy<R: AsyncRead + Unpin>(mut reader: R, mut file: File, tail: Arc<Mutex<Vec<u8>>>) {
    let mut written = 0;
    let mut buffer = vec![0; 4096];
    while let Ok(count @ 1..) = reader.read(&mut buffer).await {
        let bytes = &buffer[..count];
        if written < MAX_CONSOLE_LOG {
            // A full disk must not end the VM; the tail in memory stays.
            let _ = file.write_all(bytes);
            written += count as u64;
        }
        let mut tail = tail.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        tail.extend_from_slice(bytes);
        let surplus = tail.len().saturating_sub(TAIL);
        tail.drain(..surplus);
    }
}

/// The last `count` lines that hold text, control characters taken out: the
/// guest's words go to a terminal.
pub fn last_lines(text: &str, count: usize) -> Vec<String> {
    let printable = |line: &str| -> String {
        line.chars().filter(|c| !c.is_control()).take(200).collect::<String>().trim_end().to_owned()
    };
    let mut lines: Vec<String> =
        text.lines().rev().map(printable).filter(|l| !l.is_empty()).take(count).collect();
    lines.reverse();
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_flood_is_bounded_and_its_end_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(CONSOLE_LOG);
        let mut flood = vec![b'x'; MAX_CONSOLE_LOG as usize + 100_000];
        flood.extend_from_slice(b"\nthe end\n");
        let mut console = Console::start(std::io::Cursor::new(flood), &path).unwrap();
        let tail = console.finish().await;
        assert!(tail.ends_with("the end\n"));
        assert!(tail.len() <= TAIL);
        assert!(std::fs::metadata(&path).unwrap().len() <= MAX_CONSOLE_LOG + 4096);
    }

    #[test]
    fn lines_are_fit_for_a_terminal() {
        let text = "one\n\n\u{1b}[31mtwo\u{7}\r\n   \nthree\n";
        assert_eq!(last_lines(text, 2), ["[31mtwo", "three"]);
    }
}
