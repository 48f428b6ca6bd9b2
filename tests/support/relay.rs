// SPDX-License-Identifier: Apache-2.0
//! Stands between mvm and a real registry, and spoils what a test wants spoiled.
//! It remembers every request and how much of each answer went through.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// A request, and what became of its answer.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub headers: Vec<(String, String)>,
    /// Bytes of the answer's body that were let through.
    pub sent: u64,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    pub fn is_get(&self, part: &str) -> bool {
        self.method == "GET" && self.path.contains(part)
    }
}

/// What to do with one request. The number is how many of the same method and
/// path came before it.
#[derive(Clone, Debug)]
pub enum Rule {
    Pass,
    /// End the connection after so many bytes of the body.
    Cut(u64),
    /// `Cut`, after another bit at the start.
    CutAndFlip(u64),
    /// Another bit at this offset of the body.
    Flip(u64),
    /// A pause after every 64 KiB.
    Slow(Duration),
    /// Do not ask the registry: answer with these lines and an empty body.
    Say(&'static str),
    /// As `Say`, made by the test.
    SayThis(String),
    /// Take so many bytes of the request's body, and hang up.
    Drop(u64),
}

/// It ends with the value.
#[must_use]
pub struct Relay {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Relay {
    /// In front of the registry at `upstream`.
    pub fn start(
        upstream: &str,
        rule: impl Fn(&Seen, usize) -> Rule + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, ended, upstream) = (seen.clone(), stop.clone(), upstream.to_owned());
        let rule = Arc::new(rule);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let (log, upstream, rule) = (log.clone(), upstream.clone(), rule.clone());
                std::thread::spawn(move || {
                    // Both sides hang up as they like.
                    let _ = serve(&stream, &upstream, &log, &*rule);
                });
            }
        });
        Self { address, seen, stop, thread: Some(thread) }
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().expect("a lock").clone()
    }

    /// The requests for a part of a path.
    pub fn gets(&self, part: &str) -> Vec<Seen> {
        self.seen().into_iter().filter(|seen| seen.is_get(part)).collect()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    mut client: &TcpStream,
    upstream: &str,
    log: &Mutex<Vec<Seen>>,
    rule: &(dyn Fn(&Seen, usize) -> Rule + Send + Sync),
) -> std::io::Result<()> {
    let mut from_client = BufReader::new(client);
    let (first, headers) = head(&mut from_client)?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let seen = Seen { method, path, headers, sent: 0 };
    let (rule, index) = {
        let mut log = log.lock().expect("a lock");
        let same = |old: &&Seen| (&old.method, &old.path) == (&seen.method, &seen.path);
        let rule = rule(&seen, log.iter().filter(same).count());
        log.push(seen.clone());
        (rule, log.len() - 1)
    };
    match &rule {
        Rule::Say(text) => return say(client, text),
        Rule::SayThis(text) => return say(client, text),
        Rule::Drop(most) => {
            std::io::copy(&mut from_client.take(*most), &mut std::io::sink())?;
            return Ok(());
        }
        _ => {}
    }
    let mut server = TcpStream::connect(upstream)?;
    let mut request = format!("{} {} HTTP/1.1\r\nConnection: close\r\n", seen.method, seen.path);
    for (name, value) in seen.headers.iter().filter(|(name, _)| *name != "connection") {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    server.write_all(format!("{request}\r\n").as_bytes())?;
    let length = seen.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    std::io::copy(&mut from_client.take(length), &mut server)?;
    let mut from_server = BufReader::new(server);
    let (status, headers) = head(&mut from_server)?;
    let mut answer = format!("{status}\r\nConnection: close\r\n");
    for (name, value) in headers.iter().filter(|(name, _)| *name != "connection") {
        answer.push_str(&format!("{name}: {value}\r\n"));
    }
    client.write_all(format!("{answer}\r\n").as_bytes())?;
    pass_on(&mut from_server, client, &rule, |bytes| {
        log.lock().expect("a lock")[index].sent += bytes;
    })
}

fn pass_on(
    from: &mut impl Read,
    mut to: impl Write,
    rule: &Rule,
    count: impl Fn(u64),
) -> std::io::Result<()> {
    let (mut at, mut buffer) = (0, vec![0; 64 << 10]);
    loop {
        let most = match rule {
            Rule::Cut(end) | Rule::CutAndFlip(end) => (end - at).min(buffer.len() as u64) as usize,
            _ => buffer.len(),
        };
        let read = from.read(&mut buffer[..most])?;
        if read == 0 {
            return Ok(());
        }
        let bent = match rule {
            Rule::Flip(offset) => Some(*offset),
            Rule::CutAndFlip(_) => Some(20),
            _ => None,
        };
        if let Some(offset) = bent.filter(|offset| (at..at + read as u64).contains(offset)) {
            buffer[(offset - at) as usize] ^= 1;
        }
        count(read as u64);
        to.write_all(&buffer[..read])?;
        at += read as u64;
        if let Rule::Slow(pause) = rule {
            std::thread::sleep(*pause);
        }
    }
}

fn say(mut client: &TcpStream, text: &str) -> std::io::Result<()> {
    let lines = text.replace('\n', "\r\n");
    client.write_all(
        format!("HTTP/1.1 {lines}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n").as_bytes(),
    )
}

/// The first line, and headers with lower-case names.
fn head(from: &mut impl BufRead) -> std::io::Result<(String, Vec<(String, String)>)> {
    let mut first = String::new();
    from.read_line(&mut first)?;
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        from.read_line(&mut line)?;
        match line.trim_end().split_once(':') {
            Some((name, value)) => {
                headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
            }
            None => return Ok((first.trim_end().to_owned(), headers)),
        }
    }
}
