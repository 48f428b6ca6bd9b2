// SPDX-License-Identifier: Apache-2.0
//! The end of the VM: a restart, which every hypervisor is set to take for an
//! end, since machines without ACPI cannot be powered off.

use std::fs::File;
use std::io;
use std::time::Duration;

use rustix::io::Errno;
use rustix::ioctl::{Opcode, Updater, ioctl, opcode};
use rustix::mount::{FsPickFlags, fsconfig_reconfigure, fsconfig_set_flag, fspick};
use rustix::process::Pid;
use rustix::system::{RebootCommand, reboot};

use crate::error::complain;
use crate::process::Processes;
use crate::reaper::Reaper;

/// For processes to be gone after SIGKILL: they are, unless one hangs in the
/// kernel.
const KILL_PATIENCE: Duration = Duration::from_secs(5);

/// For last words to leave: the host may not read any more.
const WORDS_PATIENCE: Duration = Duration::from_secs(1);

/// From the last answer to the end of the VM. A restart takes what the
/// devices have not fetched with it.
const LINGER: Duration = Duration::from_millis(20);

/// `_IOWR('X', 119, int)` of linux/fs.h.
const FIFREEZE: Opcode = opcode::read_write::<i32>(b'X', 119);

/// Ends the VM at once.
pub fn restart() -> ! {
    if let Err(e) = reboot(RebootCommand::Restart) {
        complain(format_args!("restart: {e}"));
    }
    // The kernel panics when init ends, and panic=-1 restarts.
    std::process::exit(1)
}

/// A panic says what happened on the console and ends the VM: nobody could
/// help a machine without its init.
pub fn restart_on_panic() {
    std::panic::set_hook(Box::new(|panic| {
        complain(panic);
        restart();
    }));
}

/// Ends every process, with SIGTERM and `grace` to act on it if that is not
/// zero, makes the upper disk clean, and ends the VM.
pub async fn shut_down(
    grace: Duration,
    reaper: &Reaper,
    processes: Option<&Processes>,
    upper: Option<&File>,
) -> ! {
    if !grace.is_zero() {
        kill_all(libc::SIGTERM);
        let _ = tokio::time::timeout(grace, reaper.all_ended()).await;
    }
    let killed = kill_all(libc::SIGKILL);
    if tokio::time::timeout(KILL_PATIENCE, reaper.all_ended()).await.is_err() {
        complain("some processes do not end");
    }
    if let Some(processes) = processes {
        let _ = tokio::time::timeout(WORDS_PATIENCE, processes.all_exited()).await;
    }
    if killed || !grace.is_zero() {
        tokio::time::sleep(LINGER).await;
    }
    rustix::fs::sync();
    if let Some(upper) = upper
        && let Err(e) = make_clean(upper)
    {
        complain(format_args!("the upper disk is left as after a crash: {e}"));
    }
    restart()
}

/// Read-only is clean; where something still writes (a loop device, a swap
/// file), frozen is as good.
fn make_clean(upper: &File) -> io::Result<()> {
    let read_only = || -> rustix::io::Result<()> {
        let file_system =
            fspick(upper, "", FsPickFlags::FSPICK_EMPTY_PATH | FsPickFlags::FSPICK_CLOEXEC)?;
        fsconfig_set_flag(&file_system, "ro")?;
        fsconfig_reconfigure(&file_system)
    };
    match read_only() {
        Err(Errno::BUSY) => freeze(upper),
        result => Ok(result?),
    }
}

fn freeze(upper: &File) -> io::Result<()> {
    let mut unused = 0_i32;
    // SAFETY: FIFREEZE takes no argument; the pointer it ignores is to an int.
    Ok(unsafe { ioctl(upper, Updater::<FIFREEZE, i32>::new(&mut unused)) }?)
}

/// Signals one process.
pub fn kill(pid: Pid, signal: i32) -> io::Result<()> {
    // SAFETY: kill(2) takes two numbers.
    match unsafe { libc::kill(pid.as_raw_nonzero().get(), signal) } {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            // It ended this moment.
            e if e.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            e => Err(e),
        },
    }
}

/// Signals every process but this one. Whether there was any.
fn kill_all(signal: i32) -> bool {
    // SAFETY: kill(2) takes two numbers; -1 spares the caller and PID 1.
    unsafe { libc::kill(-1, signal) == 0 }
}
