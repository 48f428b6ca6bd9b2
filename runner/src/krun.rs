// SPDX-License-Identifier: Apache-2.0
//! libkrun behind a safe face. It copies what it is given, so that pointers
//! need to live for a call only; descriptors become its own.

use std::ffi::{CString, c_char};
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

#[cfg(not(feature = "system-libkrun"))]
use ::krun as ffi;
#[cfg(feature = "system-libkrun")]
use krun_sys as ffi;

use crate::machine::{Disk, DiskFormat, Machine, Nic, Share, VsockPort};

/// `KRUN_KERNEL_FORMAT_*` of what mvm boots.
const KERNEL_FORMAT: u32 = if cfg!(target_arch = "x86_64") { 1 } else { 0 };
/// `KRUN_DISK_FORMAT_*`
const RAW: u32 = 0;
const VMDK: u32 = 2;
/// `KRUN_SYNC_*`: how a flush of the guest is carried out.
const SYNC_NONE: u32 = 0;
const SYNC_RELAXED: u32 = 1;
const SYNC_FULL: u32 = 2;
/// No TSI: nothing that the guest's kernel does becomes a socket of the host.
const NO_TSI: u32 = 0;
/// `KRUN_LOG_LEVEL_WARN`, `KRUN_LOG_STYLE_NEVER`, `KRUN_LOG_OPTION_NO_ENV`
const LOG: (u32, u32, u32) = (2, 2, 1);
const STDERR: RawFd = 2;

/// Warnings and errors of libkrun go to standard error.
pub fn start_log() {
    let (level, style, options) = LOG;
    // SAFETY: takes no pointer; standard error is only written to.
    unsafe { ffi::krun_init_log(STDERR, level, style, options) };
}

/// A VM that is configured and not entered.
pub struct Context(u32);

impl Context {
    pub fn new(machine: &Machine) -> Result<Self, String> {
        #[allow(unused_unsafe, reason = "safe in the crate, unsafe in the bindings")]
        // SAFETY: takes nothing.
        let id = check("make a context", unsafe { ffi::krun_create_ctx() })?;
        let context = Self(id);
        context.set_processors(machine)?;
        context.set_kernel(machine)?;
        context.set_serial(machine.serial)?;
        context.set_vsock(&machine.vsock)?;
        for disk in &machine.disks {
            context.add_disk(disk)?;
        }
        for share in &machine.shares {
            context.add_share(share)?;
        }
        for nic in &machine.nics {
            context.add_nic(nic)?;
        }
        Ok(context)
    }

    fn set_processors(&self, machine: &Machine) -> Result<(), String> {
        #[allow(unused_unsafe, reason = "safe in the crate, unsafe in the bindings")]
        // SAFETY: takes numbers only.
        let answer = unsafe { ffi::krun_set_vm_config(self.0, machine.vcpus, machine.memory_mib) };
        check("set vCPUs and memory", answer).map(drop)
    }

    fn set_kernel(&self, machine: &Machine) -> Result<(), String> {
        let kernel = path(&machine.kernel)?;
        let initramfs = path(&machine.initramfs)?;
        let line = text(&machine.command_line)?;
        // SAFETY: three strings that end in NUL and live for the call.
        let answer = unsafe {
            ffi::krun_set_kernel(
                self.0,
                kernel.as_ptr(),
                KERNEL_FORMAT,
                initramfs.as_ptr(),
                line.as_ptr(),
            )
        };
        check("set the kernel", answer).map(drop)
    }

    /// One serial port, and no virtio console, which comes up too late to tell
    /// why a boot failed.
    fn set_serial(&self, output: RawFd) -> Result<(), String> {
        inherited(output)?;
        #[allow(unused_unsafe, reason = "safe in the crate, unsafe in the bindings")]
        // SAFETY: takes a number only.
        let answer = unsafe { ffi::krun_disable_implicit_console(self.0) };
        check("take the console away", answer)?;
        // SAFETY: the descriptor is open (checked) and ours to give: whoever
        // named it in our configuration opened it for this.
        let answer = unsafe { ffi::krun_add_serial_console_default(self.0, -1, output) };
        check("add the serial port", answer).map(drop)
    }

    /// A vsock device that knows these ports and nothing else.
    fn set_vsock(&self, ports: &[VsockPort]) -> Result<(), String> {
        #[allow(unused_unsafe, reason = "safe in the crate, unsafe in the bindings")]
        // SAFETY: takes a number only.
        let answer = unsafe { ffi::krun_disable_implicit_vsock(self.0) };
        check("take the implicit vsock away", answer)?;
        #[allow(unused_unsafe, reason = "safe in the crate, unsafe in the bindings")]
        // SAFETY: takes numbers only.
        let answer = unsafe { ffi::krun_add_vsock(self.0, NO_TSI) };
        check("add the vsock device", answer)?;
        for port in ports {
            let socket = path(&port.path)?;
            // SAFETY: a string that ends in NUL and lives for the call.
            let answer = unsafe {
                ffi::krun_add_vsock_port2(self.0, port.port, socket.as_ptr(), GUEST_DIALS)
            };
            check("add a vsock port", answer)?;
        }
        Ok(())
    }

    fn add_disk(&self, disk: &Disk) -> Result<(), String> {
        let serial = text(&disk.serial)?;
        let file = path(&disk.path)?;
        let format = match disk.format {
            DiskFormat::Raw => RAW,
            DiskFormat::Vmdk => VMDK,
        };
        let sync = match disk.durable {
            false => SYNC_NONE,
            true if cfg!(target_os = "macos") => SYNC_RELAXED,
            true => SYNC_FULL,
        };
        // SAFETY: two strings that end in NUL and live for the call.
        let answer = unsafe {
            ffi::krun_add_disk3(
                self.0,
                serial.as_ptr(),
                file.as_ptr(),
                format,
                disk.read_only,
                false,
                sync,
            )
        };
        check(&format!("add the disk {}", disk.path.display()), answer).map(drop)
    }

    fn add_share(&self, share: &Share) -> Result<(), String> {
        let tag = text(&share.tag)?;
        let directory = path(&share.path)?;
        // SAFETY: two strings that end in NUL and live for the call.
        let answer = unsafe {
            ffi::krun_add_virtiofs3(self.0, tag.as_ptr(), directory.as_ptr(), 0, share.read_only)
        };
        check(&format!("share {}", share.path.display()), answer).map(drop)
    }

    fn add_nic(&self, nic: &Nic) -> Result<(), String> {
        inherited(nic.stream)?;
        let mut mac = nic.mac;
        let no_path: *const c_char = ptr::null();
        // SAFETY: no path, so the descriptor counts, which is open (checked)
        // and ours to give; the MAC is six bytes that live for the call.
        let answer = unsafe {
            ffi::krun_add_net_unixstream(self.0, no_path, nic.stream, mac.as_mut_ptr(), 0, 0)
        };
        check("add the NIC", answer).map(drop)
    }

    /// Becomes the VM. Returns only if it cannot be started: why.
    pub fn enter(self) -> String {
        #[allow(unused_unsafe, reason = "safe in the crate, unsafe in the bindings")]
        // SAFETY: the context is configured and used up.
        let answer = unsafe { ffi::krun_start_enter(self.0) };
        match check("start the VM", answer) {
            Err(error) => error,
            Ok(_) => "libkrun came back".into(),
        }
    }
}

/// `listen` of `krun_add_vsock_port2`.
const GUEST_DIALS: bool = false;

/// A negative answer is an errno.
fn check(what: &str, answer: i32) -> Result<u32, String> {
    u32::try_from(answer)
        .map_err(|_| format!("cannot {what}: {}", std::io::Error::from_raw_os_error(-answer)))
}

fn text(text: &str) -> Result<CString, String> {
    CString::new(text).map_err(|_| format!("{text:?} has a zero byte in it"))
}

/// libkrun takes paths in UTF-8 only.
fn path(path: &Path) -> Result<CString, String> {
    if path.to_str().is_none() {
        return Err(format!("libkrun cannot use {}: the path is not UTF-8", path.display()));
    }
    CString::new(path.as_os_str().as_bytes())
        .map_err(|_| format!("{} has a zero byte in it", path.display()))
}

/// Whether a descriptor is open and not a standard one.
fn inherited(number: RawFd) -> Result<(), String> {
    let refused = |why: &str| Err(format!("descriptor {number} {why}"));
    if number <= STDERR {
        return refused("is not one of a VM's");
    }
    // SAFETY: borrowed for one call, which fails if it is not open.
    let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
    match rustix::io::fcntl_getfd(descriptor) {
        Ok(_) => Ok(()),
        Err(error) => refused(&error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_libkrun_cannot_take_is_an_error() {
        use std::ffi::OsStr;
        assert!(path(Path::new(OsStr::from_bytes(b"/\xff"))).is_err());
        assert!(path(Path::new("/a\0b")).is_err());
        assert!(text("a\0b").is_err());
        assert!(inherited(1).is_err());
        assert!(inherited(-1).is_err());
        assert!(inherited(1 << 20).is_err());
        assert!(check("x", -libc_enoent()).unwrap_err().contains("No such file"));
    }

    fn libc_enoent() -> i32 {
        rustix::io::Errno::NOENT.raw_os_error()
    }
}
