// SPDX-License-Identifier: Apache-2.0
//! QEMU's command line for a VM: the microvm machine, nothing that we did not
//! ask for, and the kernel's arguments.

use std::ffi::{OsStr, OsString};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use mvm_proto::{CHANNEL_ARGUMENT, NONCE_ARGUMENT, SERIAL_PORT_NAME};
use serde_json::json;

use super::super::{Disk, DiskFormat, Share, VmConfig};
use super::{Accelerator, Qemu};
use crate::preflight::qemu::SANDBOX;

/// The child's ends of the socket pairs, by number.
pub struct Descriptors {
    channel: RawFd,
    console: RawFd,
    control: RawFd,
}

impl Descriptors {
    /// In this order: channel, console, control.
    pub fn of(ends: &[OwnedFd; 3]) -> Self {
        let [channel, console, control] = ends.each_ref().map(AsRawFd::as_raw_fd);
        Self { channel, console, control }
    }
}

pub fn arguments(qemu: &Qemu, config: &VmConfig, fds: &Descriptors) -> Vec<OsString> {
    let mut line = Line::default();
    line.words(["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]);
    if qemu.sandbox {
        line.words(SANDBOX);
    }
    // ACPI off: with it on the devices come from tables instead of the command
    // line. The RTC stays: without one the kernel waits a second for it.
    let machine = match qemu.accelerator {
        Accelerator::Kvm => "microvm,accel=kvm,acpi=off,rtc=on",
        Accelerator::Tcg { .. } => "microvm,accel=tcg,acpi=off,rtc=on",
    };
    let cpu = match qemu.accelerator {
        Accelerator::Kvm => "host",
        // These two make the kernel copy by `rep movsb`, byte by byte here.
        Accelerator::Tcg { .. } => "max,-erms,-fsrm",
    };
    line.words(["-M", machine, "-cpu", cpu]);
    line.pair("-smp", config.vcpus.to_string());
    line.pair("-m", format!("{}M", config.memory_mib));
    line.pair("-kernel", &config.kernel);
    line.pair("-initrd", &config.initramfs);
    line.pair("-append", kernel_arguments(qemu, config));

    line.pair("-chardev", format!("socket,id=console,fd={}", fds.console));
    line.words(["-serial", "chardev:console"]);
    line.pair("-chardev", format!("socket,id=qmp,fd={}", fds.control));
    line.words(["-mon", "chardev=qmp,mode=control"]);

    line.pair("-chardev", format!("socket,id=agent,fd={}", fds.channel));
    line.words(["-device", "virtio-serial-device,max_ports=2"]);
    line.pair("-device", format!("virtserialport,chardev=agent,name={SERIAL_PORT_NAME}"));
    for disk in &config.disks {
        line.disk(disk);
    }
    for (index, share) in config.shares.iter().enumerate() {
        line.share(index, share);
    }
    for (index, nic) in config.nics.iter().enumerate() {
        line.pair("-netdev", format!("user,id=net{index}"));
        line.pair("-device", format!("virtio-net-device,netdev=net{index},mac={}", nic.mac));
    }
    line.0
}

/// The kernel's command line; docs/KERNEL.md says what each word saves.
/// `quiet` keeps the serial port, which is slow, for warnings and panics.
fn kernel_arguments(qemu: &Qemu, config: &VmConfig) -> String {
    // reboot=t: the end of the VM is a triple fault, which -no-reboot turns
    // into QEMU's exit. panic=-1 does the same at once after a panic.
    let mut words = vec![
        "console=ttyS0 quiet reboot=t panic=-1 acpi=off pci=off dummy.numdummies=0".to_owned(),
    ];
    match qemu.accelerator {
        Accelerator::Kvm => words.push("random.trust_cpu=on".into()),
        Accelerator::Tcg { tsc_khz } => {
            words.push("no_timer_check".into());
            if let Some(khz) = tsc_khz {
                words.push(format!("tsc=reliable tsc_early_khz={khz}"));
            }
            // With more vCPUs this one would cost the high-resolution timers.
            if config.vcpus == 1 {
                words.push("nolapic_timer".into());
            }
        }
    }
    if config.vcpus == 1 {
        words.push("noreplace-smp".into());
    }
    words.push(format!("{CHANNEL_ARGUMENT}=serial {NONCE_ARGUMENT}={}", config.nonce));
    words.extend(config.extra_arguments.iter().cloned());
    words.join(" ")
}

#[derive(Default)]
struct Line(Vec<OsString>);

impl Line {
    fn words<const N: usize>(&mut self, words: [&str; N]) {
        self.0.extend(words.map(OsString::from));
    }

    fn pair(&mut self, option: &str, value: impl AsRef<OsStr>) {
        self.0.push(option.into());
        self.0.push(value.as_ref().to_owned());
    }

    fn disk(&mut self, disk: &Disk) {
        let format = match disk.format {
            DiskFormat::Raw => "raw",
            DiskFormat::Vmdk => "vmdk",
        };
        // JSON, because in QEMU's own syntax a comma in a path is an option.
        let mut node = json!({
            "node-name": disk.serial,
            "driver": format,
            "read-only": disk.read_only,
            "file": {"driver": "file", "filename": disk.path, "read-only": disk.read_only},
        });
        if !disk.read_only {
            node["discard"] = "unmap".into();
            node["file"]["discard"] = "unmap".into();
            node["cache"] = json!({"direct": false, "no-flush": disk.ephemeral});
        }
        self.pair("-blockdev", node.to_string());
        let device = json!({
            "driver": "virtio-blk-device",
            "drive": disk.serial,
            "serial": disk.serial,
            // The default is to pause the VM when the host's disk is full.
            "werror": "report",
            "rerror": "report",
        });
        self.pair("-device", device.to_string());
    }

    /// The host enforces `readonly`; ownership is the files' own.
    fn share(&mut self, index: usize, share: &Share) {
        let mut option = OsString::from(format!(
            "local,id=share{index},security_model=none,multidevs=remap,readonly={},path=",
            if share.read_only { "on" } else { "off" }
        ));
        option.push(double_commas(share.source.as_os_str()));
        self.pair("-fsdev", option);
        self.pair(
            "-device",
            format!("virtio-9p-device,fsdev=share{index},mount_tag={}", share.tag),
        );
    }
}

/// QEMU's way of writing a comma that is part of a value.
fn double_commas(text: &OsStr) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let doubled = text.as_bytes().iter().flat_map(|&b| [b].repeat(1 + usize::from(b == b',')));
    OsString::from_vec(doubled.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::confine::GuestUser;
    use std::path::PathBuf;

    fn config() -> VmConfig {
        VmConfig {
            name: "web".into(),
            vcpus: 2,
            memory_mib: 512,
            disks: vec![Disk {
                serial: "layers".into(),
                path: "/a,b/\"c\".vmdk".into(),
                format: DiskFormat::Vmdk,
                parts: Vec::new(),
                read_only: true,
                ephemeral: false,
            }],
            shares: vec![Share::new("v0", "/x,y".into(), true)],
            guest_user: GuestUser::default(),
            nics: Vec::new(),
            kernel: "/k".into(),
            initramfs: "/i".into(),
            extra_arguments: vec!["last".into()],
            nonce: "00".repeat(16),
            data: PathBuf::from("/d"),
            run: PathBuf::from("/r"),
            log: PathBuf::from("/l"),
        }
    }

    fn line(accelerator: Accelerator) -> Vec<String> {
        let qemu = Qemu { program: "qemu".into(), accelerator, sandbox: true };
        let fds = Descriptors { channel: 3, console: 4, control: 5 };
        let words = arguments(&qemu, &config(), &fds);
        words.into_iter().map(|w| w.into_string().unwrap()).collect()
    }

    #[test]
    fn commas_and_quotes_stay_in_their_values() {
        let line = line(Accelerator::Kvm).join("\n");
        assert!(line.contains(r#""filename":"/a,b/\"c\".vmdk""#), "{line}");
        assert!(line.contains("readonly=on,path=/x,,y\n"), "{line}");
    }

    #[test]
    fn qemu_filters_its_own_calls_if_it_can() {
        assert!(line(Accelerator::Kvm).join(" ").contains("-sandbox on,obsolete=deny,"));
    }

    #[test]
    fn no_nic_unless_asked_for() {
        let line = line(Accelerator::Kvm).join("\n");
        assert!(!line.contains("netdev") && line.contains("-nodefaults"), "{line}");
    }

    #[test]
    fn emulation_gets_the_hosts_clock() {
        let emulated = line(Accelerator::Tcg { tsc_khz: Some(2_000_000) }).join("\n");
        assert!(emulated.contains("tsc_early_khz=2000000"), "{emulated}");
        assert!(emulated.contains("accel=tcg"), "{emulated}");
        assert!(!line(Accelerator::Kvm).join("\n").contains("tsc_early_khz"));
    }
}
