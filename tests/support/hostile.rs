// SPDX-License-Identifier: Apache-2.0
//! A registry that lies: a tiny HTTP server whose answers a test can bend.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use flate2::Compression;
use flate2::write::GzEncoder;
use mvm::image::Digest;
use serde_json::{Value, json};

pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// What a client asked.
#[derive(Clone, Debug)]
pub struct Request {
    pub path: String,
    pub authorization: Option<String>,
    #[allow(dead_code, reason = "most tests look at paths only")]
    pub body: String,
}

/// How to answer.
#[derive(Clone, Debug)]
pub struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// The `Content-Length` to claim; `None` leaves it out.
    length: Option<u64>,
    endless: bool,
}

impl Answer {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        let body = body.into();
        let length = Some(body.len() as u64);
        Self { status, headers: Vec::new(), body, length, endless: false }
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub fn claim(mut self, length: Option<u64>) -> Self {
        self.length = length;
        self
    }

    /// After the body comes more of it, for ever.
    pub fn endless(mut self) -> Self {
        self.endless = true;
        self.length = None;
        self
    }

    pub fn body_mut(&mut self) -> &mut Vec<u8> {
        &mut self.body
    }

    fn send(&self, stream: &mut TcpStream) -> std::io::Result<()> {
        let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", self.status);
        for (name, value) in &self.headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if let Some(length) = self.length {
            head.push_str(&format!("Content-Length: {length}\r\n"));
        }
        stream.write_all(format!("{head}\r\n").as_bytes())?;
        stream.write_all(&self.body)?;
        if !self.endless {
            return Ok(());
        }
        loop {
            stream.write_all(&[b' '; 65536])?;
        }
    }
}

/// The server; it ends with the value.
#[must_use]
pub struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self::on(listener, answer)
    }

    pub fn on(
        listener: TcpListener,
        answer: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let address = listener.local_addr().expect("an address");
        let (seen, stop) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicBool::new(false)));
        let (log, ended, answer) = (seen.clone(), stop.clone(), Arc::new(answer));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ended.load(Ordering::Relaxed) {
                    return;
                }
                let (Ok(stream), log, answer) = (stream, log.clone(), answer.clone()) else {
                    continue;
                };
                std::thread::spawn(move || {
                    let mut stream = stream;
                    if let Some(request) = read(&stream) {
                        log.lock().expect("a lock").push(request.clone());
                        // The client hangs up on most of these answers.
                        let _ = answer(&request).send(&mut stream);
                    }
                });
            }
        });
        Self { address, seen, stop, thread: Some(thread) }
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn seen(&self) -> Vec<Request> {
        self.seen.lock().expect("a lock").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn read(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let mut lines = reader.by_ref().lines();
    let first = lines.next()?.ok()?;
    let path = first.split(' ').nth(1)?.to_owned();
    let (mut authorization, mut length) = (None, 0);
    for line in lines {
        let line = line.ok()?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("authorization")
        {
            authorization = Some(value.to_owned());
        } else if let Some((name, value)) = line.split_once(": ")
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.parse().ok()?;
        }
    }
    let mut body = String::new();
    reader.take(length).read_to_string(&mut body).ok()?;
    Some(Request { path, authorization, body })
}

/// An image, right in every way until a test changes it.
#[derive(Clone)]
pub struct FakeImage {
    /// Path below the repository → answer.
    pub files: BTreeMap<String, Answer>,
    pub manifest: Value,
    pub config: Value,
    pub layers: Vec<Digest>,
}

impl FakeImage {
    /// One layer for each tar.
    pub fn new(tars: &[Vec<u8>]) -> Self {
        let mut layers = Vec::new();
        let mut blobs = Vec::new();
        let mut diff_ids = Vec::new();
        for tar in tars {
            let blob = gzip(tar);
            layers.push(json!({
                "mediaType": LAYER, "digest": Digest::of(&blob), "size": blob.len()
            }));
            diff_ids.push(Digest::of(tar));
            blobs.push(blob);
        }
        let config = json!({
            "os": "linux", "architecture": mvm::image::Platform::host().architecture,
            "config": {"Cmd": ["/bin/true"]},
            "rootfs": {"type": "layers", "diff_ids": diff_ids}
        });
        let manifest = json!({"schemaVersion": 2, "mediaType": MANIFEST, "layers": layers});
        let digests = blobs.iter().map(|blob| Digest::of(blob)).collect();
        let mut image = Self { files: BTreeMap::new(), manifest, config, layers: digests };
        for blob in blobs {
            let path = format!("/blobs/{}", Digest::of(&blob));
            image.files.insert(path, Answer::new(200, blob));
        }
        image.finish()
    }

    /// Computes configuration and manifest anew after a change.
    pub fn finish(mut self) -> Self {
        self.files.retain(|path, answer| {
            path.starts_with("/blobs/") && answer.body.first() != Some(&b'{')
        });
        let config = serde_json::to_vec(&self.config).expect("JSON");
        self.manifest["config"] = json!({
            "mediaType": "application/vnd.oci.image.config.v1+json",
            "digest": Digest::of(&config), "size": config.len()
        });
        self.files.insert(format!("/blobs/{}", Digest::of(&config)), Answer::new(200, config));
        let manifest = serde_json::to_vec(&self.manifest).expect("JSON");
        let answer = Answer::new(200, manifest.clone()).header("Content-Type", MANIFEST);
        self.files.insert(format!("/manifests/{}", Digest::of(&manifest)), answer.clone());
        self.files.insert("/manifests/latest".into(), answer);
        self
    }

    pub fn manifest_answer(&mut self) -> &mut Answer {
        self.files.get_mut("/manifests/latest").expect("a manifest")
    }

    pub fn layer_answer(&mut self, at: usize) -> &mut Answer {
        self.files.get_mut(&format!("/blobs/{}", self.layers[at])).expect("a layer")
    }

    pub fn answer(&self, request: &Request) -> Answer {
        match request.path.strip_prefix("/v2/a") {
            Some(path) => self.files.get(path).cloned().unwrap_or_else(|| Answer::new(404, "{}")),
            None => Answer::new(200, "{}"),
        }
    }

    pub fn serve(self) -> Server {
        Server::start(move |request| self.answer(request))
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// A tar with one file; the name is taken as it is, however bad.
pub fn tar(name: &str, text: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_size(text.len() as u64);
    header.set_mode(0o644);
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    let mut builder = tar::Builder::new(Vec::new());
    builder.append(&header, text).expect("memory");
    builder.into_inner().expect("memory")
}
