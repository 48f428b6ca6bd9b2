// SPDX-License-Identifier: Apache-2.0
//! One layer's tar as a disk image, three ways: this project's EROFS writer, the crate `mkext4`,
//! and `mkfs.erofs` over the unpacked tree. Time, peak memory and size, each in a process of its
//! own, next to a plain copy of the tar as the limit.
//!
//! `cargo bench --bench layer_formats -- LAYER.tar`; without a tar one is made up.

use std::collections::HashMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use mkext4::sink::FileSink;
use mkext4::{FsBuilder, InodeCount, InodeHandle, Meta, Options, ROOT, SpecialKind};
use mvm::image::layer::{Limits, convert};
use tar::{Archive, EntryType};

type Outcome<T = ()> = Result<T, Box<dyn Error>>;

/// Set in a child that is to do one conversion: its name.
const CHILD: &str = "MVM_BENCH_LAYER_FORMAT";
const RUNS: usize = 5;

fn main() -> ExitCode {
    let files: Vec<PathBuf> = std::env::args_os()
        .skip(1)
        .map(PathBuf::from)
        .filter(|arg| arg.as_os_str() != "--bench")
        .collect();
    let done = match std::env::var(CHILD) {
        Ok(way) => convert_one(&way, &files[0], &files[1]),
        Err(_) => compare(files.first()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("layer_formats: {e}");
            ExitCode::FAILURE
        }
    }
}

fn compare(layer: Option<&PathBuf>) -> Outcome {
    let dir = tempfile::tempdir()?;
    let layer = match layer {
        Some(layer) => layer.clone(),
        None => made_up(dir.path())?,
    };
    let size = fs::metadata(&layer)?.len();
    println!("{}: {} MiB, best of {RUNS}", layer.display(), size >> 20);
    println!("| way | time | ÷ copy | peak memory | image | ÷ tar |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    let ways = ["copy", "erofs", "mkext4", "unpack", "mkfs.erofs"];
    let mut best = ways.map(|_| (Duration::MAX, 0));
    // Ways in turn, so that a busy moment of the machine does not hit one of them only.
    for _ in 0..RUNS {
        for (way, best) in ways.iter().zip(&mut best) {
            if available(way).is_err() {
                continue;
            }
            let image = dir.path().join(way);
            remove(&image)?;
            let tree = dir.path().join("unpack");
            let source = if *way == "mkfs.erofs" { &tree } else { &layer };
            let (time, memory) = measure(way, source, &image)?;
            *best = (best.0.min(time), best.1.max(memory));
        }
    }
    let limit = best[0].0.as_secs_f64();
    for (way, (time, memory)) in ways.iter().zip(best) {
        if let Err(why) = available(way) {
            println!("| {way} | skipped: {why} | | | | |");
            continue;
        }
        let bytes = fs::metadata(dir.path().join(way))?.len();
        let (bytes, ratio) = match *way {
            "unpack" => ("-".into(), "-".into()),
            _ => (format!("{} MiB", bytes >> 20), format!("{:.2}", bytes as f64 / size as f64)),
        };
        let slower = time.as_secs_f64() / limit;
        let time = time.as_millis();
        println!("| {way} | {time} ms | {slower:.2} | {memory} KiB | {bytes} | {ratio} |");
    }
    Ok(())
}

fn available(way: &str) -> Result<(), &'static str> {
    let root = || {
        let ids = Command::new("id").arg("-u").output();
        ids.is_ok_and(|out| out.stdout == b"0\n")
    };
    match way {
        "unpack" | "mkfs.erofs" if !root() => Err("owners and devices need root"),
        "mkfs.erofs" if Command::new("mkfs.erofs").arg("--help").output().is_err() => {
            Err("not installed (erofs-utils)")
        }
        _ => Ok(()),
    }
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(_) => Ok(()),
    }
}

/// Runs one way in a child: how long, and its largest resident set in KiB.
fn measure(way: &str, source: &Path, image: &Path) -> Outcome<(Duration, u64)> {
    let mut command = match way {
        "unpack" => {
            fs::create_dir(image)?;
            let mut tar = Command::new("tar");
            tar.args(["--xattrs", "--xattrs-include=*", "-xf"]).arg(source).arg("-C").arg(image);
            tar
        }
        "mkfs.erofs" => {
            let mut mkfs = Command::new("mkfs.erofs");
            mkfs.args(["--quiet", "-d0"]).arg(image).arg(source);
            mkfs
        }
        _ => {
            let mut this = Command::new(std::env::current_exe()?);
            this.env(CHILD, way).arg(source).arg(image);
            this
        }
    };
    let start = Instant::now();
    let mut child = command.stdout(io::stderr()).spawn()?;
    let mut memory = 0;
    let status = loop {
        memory = memory.max(peak_memory(child.id()));
        match child.try_wait()? {
            Some(status) => break status,
            None => std::thread::sleep(Duration::from_millis(1)),
        }
    };
    let time = start.elapsed();
    if !status.success() {
        return Err(format!("{way}: {status}").into());
    }
    Ok((time, memory))
}

fn peak_memory(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(0)
}

fn convert_one(way: &str, layer: &Path, image: &Path) -> Outcome {
    match way {
        "copy" => copy(layer, image)?,
        "erofs" => {
            let out = File::options().read(true).write(true).create_new(true).open(image)?;
            convert(File::open(layer)?, &out, &Limits::default())?;
        }
        _ => ext4(layer, image)?,
    }
    Ok(())
}

/// Reads the tar and writes as many bytes through a buffer of the same size: what no
/// conversion can beat.
fn copy(layer: &Path, image: &Path) -> io::Result<()> {
    let (mut from, mut to) = (File::open(layer)?, File::create(image)?);
    let mut buffer = vec![0; 1 << 20];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            n => to.write_all(&buffer[..n])?,
        }
    }
}

/// `mkext4` wants every name and size before the first byte, so the tar is read twice.
fn ext4(layer: &Path, image: &Path) -> Outcome {
    let (mut bytes, mut entries) = (0, 0);
    for entry in Archive::new(File::open(layer)?).entries()? {
        bytes += entry?.size().next_multiple_of(4096);
        entries += 1;
    }
    // Inodes, directories, journal and what is between.
    let size = (bytes + entries * 512 + (24 << 20)).next_multiple_of(4096);
    let mut options = Options::new(size, *b"layer-formats-16", 0);
    options.inodes = InodeCount::Exact(u32::try_from(entries)? + 64);
    options.journal_blocks = Some(1024);
    options.reserved_percent = 0;
    let mut builder = FsBuilder::new(options)?;
    let mut known = HashMap::from([(PathBuf::new(), ROOT)]);
    let mut fills = Vec::new();
    for entry in Archive::new(File::open(layer)?).entries()? {
        fills.push(declare(&mut builder, &mut known, &mut entry?)?);
    }
    let layout = builder.seal()?;
    let mut sink = FileSink::create(image, layout.image_len())?;
    let mut writer = layout.writer(&mut sink)?;
    let mut fills = fills.into_iter();
    for entry in Archive::new(File::open(layer)?).entries()? {
        if let Some(file) = fills.next().flatten() {
            writer.fill(file, &mut entry?)?;
        }
    }
    writer.finish()?;
    Ok(())
}

/// Tells the builder of one entry; returns the file that is to be filled later. Enough for
/// layers of distributions: no whiteouts, no entry twice.
fn declare(
    builder: &mut FsBuilder,
    known: &mut HashMap<PathBuf, InodeHandle>,
    entry: &mut tar::Entry<'_, File>,
) -> Outcome<Option<InodeHandle>> {
    let path: PathBuf = entry.path()?.components().skip_while(|c| c.as_os_str() == ".").collect();
    let header = entry.header();
    let (uid, gid) = (u32::try_from(header.uid()?)?, u32::try_from(header.gid()?)?);
    let mtime = i64::try_from(header.mtime()?)?;
    let meta = Meta::new((header.mode()? & 0o7777) as u16, uid, gid, (mtime, 0));
    let parent = path.parent().unwrap_or(Path::new(""));
    let dir = parents(builder, known, parent)?;
    let Some(name) = path.file_name() else {
        builder.set_meta(ROOT, meta)?;
        return Ok(None);
    };
    let name = name.to_str().ok_or("a name that is not UTF-8")?;
    let device =
        || Outcome::Ok((header.device_major()?.unwrap_or(0), header.device_minor()?.unwrap_or(0)));
    let link = || Outcome::Ok(entry.link_name()?.ok_or("a link to nothing")?.into_owned());
    let mut fill = None;
    let made = match header.entry_type() {
        EntryType::Directory => builder.mkdir(dir, name, meta)?,
        EntryType::Symlink => {
            let target = link()?;
            builder.symlink(
                dir,
                name,
                target.to_str().ok_or("a target that is not UTF-8")?,
                meta,
            )?
        }
        EntryType::Link => {
            let target: PathBuf =
                link()?.components().skip_while(|c| c.as_os_str() == ".").collect();
            let target = *known.get(&target).ok_or("a link to nothing")?;
            builder.hardlink(dir, name, target)?;
            target
        }
        EntryType::Char => {
            let (major, minor) = device()?;
            builder.mknod(dir, name, meta, SpecialKind::Char { major, minor })?
        }
        EntryType::Block => {
            let (major, minor) = device()?;
            builder.mknod(dir, name, meta, SpecialKind::Block { major, minor })?
        }
        EntryType::Fifo => builder.mknod(dir, name, meta, SpecialKind::Fifo)?,
        _ => {
            let file = builder.file(dir, name, meta, entry.size())?;
            fill = (entry.size() > 0).then_some(file);
            file
        }
    };
    known.insert(path, made);
    Ok(fill)
}

fn parents(
    builder: &mut FsBuilder,
    known: &mut HashMap<PathBuf, InodeHandle>,
    path: &Path,
) -> Outcome<InodeHandle> {
    if let Some(&dir) = known.get(path) {
        return Ok(dir);
    }
    let above = parents(builder, known, path.parent().unwrap_or(Path::new("")))?;
    let name = path.file_name().and_then(|n| n.to_str()).ok_or("a name that is not UTF-8")?;
    let dir = builder.mkdir(above, name, Meta::new(0o755, 0, 0, (0, 0)))?;
    known.insert(path.to_owned(), dir);
    Ok(dir)
}

fn made_up(dir: &Path) -> Outcome<PathBuf> {
    let path = dir.join("made-up.tar");
    let mut tar = tar::Builder::new(io::BufWriter::new(File::create(&path)?));
    let block: Vec<u8> = (0..16 << 20).map(|n: u32| (n ^ n >> 7) as u8).collect();
    for n in 0..20_000usize {
        // Mostly small files, as in a distribution; every 500th a large one.
        let size = if n % 500 == 0 { 4 << 20 } else { n * 37 % 9000 };
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o644);
        header.set_mtime(1_700_000_000);
        header.set_size(size as u64);
        let name = format!("usr/share/{}/{}/file-{n}", n % 40, n % 13);
        tar.append_data(&mut header, name, &block[n..n + size])?;
    }
    tar.into_inner()?.flush()?;
    Ok(path)
}
