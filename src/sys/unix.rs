// SPDX-License-Identifier: Apache-2.0
//! Linux and macOS.

use std::ffi::OsStr;
use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::os::unix::net::UnixStream as BlockingStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use tokio::net::{UnixListener, UnixStream};

use super::Stamp;

/// A local connection between processes of this user.
pub type Connection = UnixStream;

/// Waits for local connections.
pub type Listener = UnixListener;

/// Files made with these options are their owner's alone.
pub fn owner_only(options: &mut OpenOptions) {
    options.mode(0o600);
}

pub fn create_private_dir_all(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Changes when a file is replaced or written to, whatever its times say.
pub fn file_identity(metadata: &Metadata) -> String {
    let of = |seconds: i64, nanos: i64| format!("{seconds}.{nanos:09}");
    format!(
        "dev {} inode {} size {} modified {} changed {}",
        metadata.dev(),
        metadata.ino(),
        metadata.size(),
        of(metadata.mtime(), metadata.mtime_nsec()),
        of(metadata.ctime(), metadata.ctime_nsec()),
    )
}

/// Bytes that a file takes on its disk: holes take none.
pub fn allocated_bytes(metadata: &Metadata) -> u64 {
    metadata.blocks() * 512
}

/// Opens a file for reading, without waiting for the other end if it turns out
/// to be a pipe.
pub fn open_without_waiting(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    OpenOptions::new().read(true).custom_flags(flags.bits() as _).open(path)
}

/// An open directory, below which files are opened by short paths: the kernel
/// need not walk the long one for each of a thousand.
pub struct Folder(OwnedFd);

impl Folder {
    pub fn open(path: &Path) -> io::Result<Self> {
        use rustix::fs::{Mode, OFlags, open};
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(open(path, flags, Mode::empty())?))
    }

    /// Opens a file of it for reading.
    pub fn file(&self, name: &str) -> io::Result<File> {
        use rustix::fs::{Mode, OFlags, openat};
        let file = openat(&self.0, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
        Ok(file.into())
    }

    /// What is to be seen of changes of a file of it.
    pub fn stamp(&self, name: &str) -> io::Result<Stamp> {
        use rustix::fs::{AtFlags, statat};
        Ok(stamp_of(&statat(&self.0, name, AtFlags::empty())?))
    }
}

/// What is to be seen of a file's changes.
pub fn stamp(file: &File) -> io::Result<Stamp> {
    Ok(stamp_of(&rustix::fs::fstat(file)?))
}

fn stamp_of(stat: &rustix::fs::Stat) -> Stamp {
    /// These are of other types on other systems.
    fn number(n: impl TryInto<i64>) -> i64 {
        n.try_into().unwrap_or(0)
    }
    let nanos = |seconds: i64, nanos: i64| seconds.wrapping_mul(1_000_000_000).wrapping_add(nanos);
    Stamp {
        inode: stat.st_ino,
        size: number(stat.st_size).unsigned_abs(),
        modified: nanos(number(stat.st_mtime), number(stat.st_mtime_nsec)),
        changed: nanos(number(stat.st_ctime), number(stat.st_ctime_nsec)),
    }
}

/// Opens a file below an open directory for reading: through no symbolic link on
/// Linux, through none as its last part elsewhere, and without waiting for the
/// other end of a pipe.
pub fn open_below(directory: &File, name: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags, openat};
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{ResolveFlags, openat2};
        use rustix::io::Errno;
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        match openat2(directory, name, flags, Mode::empty(), beneath) {
            // Linux before 5.6, or a container that does not know the call.
            Err(Errno::NOSYS | Errno::PERM) => {}
            other => return Ok(other?.into()),
        }
    }
    Ok(openat(directory, name, flags, Mode::empty())?.into())
}

/// Makes an empty file share the bytes of another, where the file system can.
/// Neither sees what is written to the other later.
pub fn clone_file(from: &File, to: &File) -> bool {
    #[cfg(target_os = "linux")]
    return rustix::fs::ioctl_ficlone(to, from).is_ok();
    #[cfg(not(target_os = "linux"))]
    {
        let _ = (from, to);
        false
    }
}

/// Makes renames in a directory durable.
pub fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Bytes of an argument or path as the guest is to see them.
pub fn os_bytes(text: &OsStr) -> Vec<u8> {
    text.as_bytes().to_owned()
}

/// A connected pair; the first is for this process (inside a runtime), the
/// second for a child's standard input.
pub fn connection_pair() -> io::Result<(Connection, Stdio)> {
    let (ours, theirs) = BlockingStream::pair()?;
    ours.set_nonblocking(true)?;
    Ok((UnixStream::from_std(ours)?, Stdio::from(OwnedFd::from(theirs))))
}

/// Starts the monitor, which does not get the variables `hidden`. Connection,
/// lock and log become its standard descriptors 0, 1 and 2.
pub fn spawn_monitor(
    program: &Path,
    arguments: &[&OsStr],
    hidden: &[String],
    connection: Stdio,
    lock: File,
    log: File,
) -> io::Result<Child> {
    let mut command = Command::new(program);
    for name in hidden {
        command.env_remove(name);
    }
    command.args(arguments).stdin(connection).stdout(lock).stderr(log).current_dir("/").spawn()
}

/// What `spawn_monitor` gave this process: the connection and the lock.
/// Descriptor 1 is pointed away, so that nothing can write to the lock's file.
pub fn inherited_by_monitor() -> io::Result<(Connection, File)> {
    let connection = rustix::stdio::stdin().try_clone_to_owned()?;
    let lock = rustix::stdio::stdout().try_clone_to_owned()?;
    let null = File::options().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(null.as_fd())?;
    rustix::stdio::dup2_stdout(null.as_fd())?;
    let connection = BlockingStream::from(connection);
    connection.set_nonblocking(true)?;
    Ok((UnixStream::from_std(connection)?, File::from(lock)))
}

/// Closes what a caller of ours left open beyond the standard descriptors: a
/// monitor that outlives its command must not hold a pipe that someone waits
/// for the end of. To be called before this process opens anything.
pub fn close_inherited() {
    #[cfg(target_os = "linux")]
    // SAFETY: nothing in this process owns a descriptor above 2 yet: nobody is
    // left who would use or close one.
    if unsafe { libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0) } == 0 {
        return;
    }
    use std::os::fd::RawFd;
    let Ok(entries) = std::fs::read_dir("/dev/fd") else { return };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let strangers: Vec<RawFd> = numbers.filter(|&fd| fd > 2).collect();
    // The one that the directory was read by is among them and closed already.
    let open = |fd: &RawFd| std::fs::symlink_metadata(format!("/dev/fd/{fd}")).is_ok();
    for fd in strangers.into_iter().filter(open) {
        // SAFETY: it is open, and nothing in this process owns a descriptor
        // above 2 yet: nobody is left who would use or close it.
        unsafe { rustix::io::close(fd) };
    }
}

/// Leaves the terminal's session for good. A signal of the terminal that comes
/// before this ends the monitor, which its maker sees.
pub fn detach_from_terminal() {
    // Fails for the leader of a group only, which a child is not.
    let _ = rustix::process::setsid();
}

/// Listens at a path, replacing what a dead process left there.
pub fn listen(path: &Path) -> io::Result<Listener> {
    with_short_path(path, |short| {
        let _ = std::fs::remove_file(short);
        UnixListener::bind(short)
    })
}

pub async fn connect(path: &Path) -> io::Result<Connection> {
    let stream = with_short_path(path, |short| BlockingStream::connect(short))?;
    stream.set_nonblocking(true)?;
    UnixStream::from_std(stream)
}

/// A socket's address holds about a hundred bytes, a path may have more: on
/// Linux the directory is reached through its descriptor.
fn with_short_path<T>(path: &Path, f: impl Fn(&Path) -> io::Result<T>) -> io::Result<T> {
    const MAX_ADDRESS: usize = 100;
    if path.as_os_str().len() <= MAX_ADDRESS || !cfg!(target_os = "linux") {
        return f(path);
    }
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else {
        return f(path);
    };
    let directory = File::open(directory)?;
    use std::os::fd::AsRawFd;
    f(&Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name))
}

/// Copies a file of few bytes and many holes, for its owner only.
pub fn copy_sparse(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{SeekFrom, seek};
    let source = File::open(from)?;
    let mut options = OpenOptions::new();
    options.write(true).create_new(true).mode(0o600);
    let target = options.open(to)?;
    let length = source.metadata()?.len();
    target.set_len(length)?;
    let mut end = 0;
    let mut buffer = vec![0; 256 << 10];
    while end < length {
        let start = match seek(&source, SeekFrom::Data(end)) {
            Ok(start) => start,
            Err(rustix::io::Errno::NXIO) => break,
            Err(e) => return Err(e.into()),
        };
        end = seek(&source, SeekFrom::Hole(start))?;
        copy_range(&source, &target, start..end, &mut buffer)?;
    }
    Ok(())
}

fn copy_range(
    source: &File,
    target: &File,
    range: std::ops::Range<u64>,
    buffer: &mut [u8],
) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let mut at = range.start;
    while at < range.end {
        let count = usize::try_from(range.end - at).unwrap_or(usize::MAX).min(buffer.len());
        source.read_exact_at(&mut buffer[..count], at)?;
        target.write_all_at(&buffer[..count], at)?;
        at += count as u64;
    }
    Ok(())
}

/// Lets a child keep these descriptors under the same numbers, on Linux no
/// others beyond the standard ones, and there ends the child when the thread
/// that starts it ends.
pub fn inherit_and_die_with_us(command: &mut tokio::process::Command, kept: &[OwnedFd]) {
    use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
    let kept: Vec<RawFd> = kept.iter().map(AsRawFd::as_raw_fd).collect();
    let before_exec = move || {
        #[cfg(target_os = "linux")]
        close_on_exec_from(3)?;
        for &fd in &kept {
            // SAFETY: runs in the child between fork and exec, where the
            // descriptors that the caller owned at the fork are still open.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?;
        }
        #[cfg(target_os = "linux")]
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?;
        Ok(())
    };
    // ^C on a terminal is for us, who end it in order.
    command.process_group(0);
    // SAFETY: the closure makes system calls only and allocates nothing, which
    // is what may be done between fork and exec.
    unsafe { command.pre_exec(before_exec) };
}

/// This program, to be started again. On Linux also after its file was
/// replaced or removed.
pub fn this_program() -> io::Result<std::path::PathBuf> {
    match cfg!(target_os = "linux") {
        true => Ok("/proc/self/exe".into()),
        false => std::env::current_exe(),
    }
}

/// Asks a child of ours that was not waited for to end.
pub fn terminate(pid: u32) {
    let pid = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(pid) = pid {
        // It may have ended by itself.
        let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
    }
}

/// Sees to it that no descriptor from this on is inherited by mistake. A system
/// call only.
#[cfg(target_os = "linux")]
fn close_on_exec_from(first: u32) -> io::Result<()> {
    // SAFETY: numbers only; what is open stays open in this process.
    let done =
        unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, libc::CLOSE_RANGE_CLOEXEC) };
    match io::Error::last_os_error() {
        _ if done == 0 => Ok(()),
        // Kernels before 5.11: what this program opens is closed anyway.
        error if matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EINVAL)) => Ok(()),
        error => Err(error),
    }
}

/// Signals that a foreground command passes on, by their numbers in the guest,
/// which is Linux; from the call on they no longer end this process. Inside a
/// runtime.
pub fn signals() -> io::Result<tokio::sync::mpsc::Receiver<u32>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (sender, receiver) = tokio::sync::mpsc::channel(16);
    let kinds = [
        (SignalKind::hangup(), 1),
        (SignalKind::interrupt(), 2),
        (SignalKind::quit(), 3),
        (SignalKind::user_defined1(), 10),
        (SignalKind::user_defined2(), 12),
        (SignalKind::terminate(), 15),
        (SignalKind::window_change(), 28),
    ];
    for (kind, in_guest) in kinds {
        let mut arriving = signal(kind)?;
        let sender = sender.clone();
        tokio::spawn(async move {
            while arriving.recv().await.is_some() && sender.send(in_guest).await.is_ok() {}
        });
    }
    Ok(receiver)
}

/// Whoever reads this process's stdout is at its end.
pub fn end_stdout() -> io::Result<()> {
    let null = File::options().write(true).open("/dev/null")?;
    Ok(rustix::stdio::dup2_stdout(&null)?)
}

/// CPU time that this process has used, microseconds.
pub fn cpu_micros() -> u64 {
    let used = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    u64::try_from(used.tv_sec).unwrap_or(0) * 1_000_000
        + u64::try_from(used.tv_nsec).unwrap_or(0) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_is_not_elsewhere() {
        let home = tempfile::tempdir().unwrap();
        let (root, elsewhere) = (home.path().join("root"), home.path().join("elsewhere"));
        for directory in [&root, &elsewhere] {
            std::fs::create_dir(directory).unwrap();
            std::fs::write(directory.join("file"), "").unwrap();
        }
        std::os::unix::fs::symlink(&elsewhere, root.join("directory")).unwrap();
        std::os::unix::fs::symlink(elsewhere.join("file"), root.join("link")).unwrap();
        let open = |name: &str| open_below(&File::open(&root).unwrap(), Path::new(name));
        assert!(open("file").is_ok());
        assert!(open("link").is_err());
        assert!(open("missing").is_err());
        #[cfg(target_os = "linux")]
        for outside in ["directory/file", "../elsewhere/file", "/etc/passwd"] {
            assert!(open(outside).is_err(), "{outside}");
        }
    }
}
