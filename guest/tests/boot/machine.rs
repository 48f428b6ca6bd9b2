// SPDX-License-Identifier: Apache-2.0
//! A VM for the boot test: QEMU on this machine's CPU emulation, with the
//! initramfs, a few disks and the host's half of the channel.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant, SystemTime};

use mvm_proto::hello::{Nonce, greet};
use mvm_proto::{
    AgentClient, CHANNEL_ARGUMENT, Configured, Exit, InitConfig, Layer, MessageField,
    NONCE_ARGUMENT, Network, Process, RootFs, SERIAL_PORT_NAME, ShutdownRequest, Started,
    WaitRequest, capabilities, mux,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;
use ttrpc::r#async::Client;
use ttrpc::r#async::transport::Socket;
use ttrpc::context;

use crate::skip::boots;

pub const MIB: u64 = 1 << 20;

/// Of the network interface.
pub const MAC: &str = "52:54:00:12:34:56";

/// For anything the guest is asked; TCG on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(120);

/// What a process did.
pub struct Output {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub exit: Exit,
}

impl Output {
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.stdout).expect("text on stdout")
    }
}

pub struct Machine {
    qemu: tokio::process::Child,
    pub client: AgentClient,
    pub opener: mux::Opener,
    next_stream: u32,
    directory: PathBuf,
    pub layers: Vec<Layer>,
}

/// Makes the layers' disk, an image of EROFS layers joined by a flat VMDK, and
/// returns the table.
pub fn make_layers(directory: &Path, trees: &[&Path]) -> Vec<Layer> {
    let mut table = Vec::new();
    let mut offset = 0;
    // Without the comment above them, QEMU 7.2 takes the first extent twice.
    let mut descriptor = String::from(
        "# Disk DescriptorFile\nversion=1\nCID=fffffffe\nparentCID=ffffffff\n\
         createType=\"twoGbMaxExtentFlat\"\n\n# Extent description\n",
    );
    for (n, tree) in trees.iter().enumerate() {
        let image = directory.join(format!("{n}.erofs"));
        run(Command::new("mkfs.erofs").arg("--quiet").arg("--all-root").arg(&image).arg(tree));
        let length = fs::metadata(&image).unwrap().len();
        assert_eq!(length % 512, 0);
        descriptor += &format!("RW {} FLAT \"{n}.erofs\" 0\n", length / 512);
        let mut layer = Layer::new();
        (layer.offset, layer.length) = (offset, length);
        table.push(layer);
        offset += length;
    }
    descriptor += "\nddb.virtualHWVersion = \"4\"\nddb.geometry.cylinders = \"3\"\n\
                   ddb.geometry.heads = \"16\"\nddb.geometry.sectors = \"63\"\n\
                   ddb.adapterType = \"ide\"\n";
    fs::write(directory.join("layers.vmdk"), descriptor).unwrap();
    table
}

pub fn make_upper(path: &Path) {
    File::create(path).unwrap().set_len(65_536 * MIB).unwrap();
    run(Command::new("mke2fs").args(["-q", "-t", "ext4"]).arg(path));
}

/// Runs a tool of the host.
pub fn run(command: &mut Command) {
    command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let output = command.stdout(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

impl Machine {
    /// Boots with the disks that `directory` holds and a share of
    /// `directory`/share, up to the first answer.
    pub async fn boot(kernel: &Path, initramfs: &Path, directory: &Path, layers: &[Layer]) -> Self {
        let nonce = Nonce(*b"sixteen letters!");
        let socket = directory.join("agent");
        let _ = fs::remove_file(&socket);
        let listener = UnixListener::bind(&socket).unwrap();
        let khz = tsc_khz();
        let cmdline = format!(
            "console=ttyS0 reboot=t panic=-1 tsc=reliable tsc_early_khz={khz} no_timer_check \
             {NONCE_ARGUMENT}={} {CHANNEL_ARGUMENT}=serial quiet {}",
            nonce.to_hex(),
            std::env::var("MVM_TEST_CMDLINE").unwrap_or_default()
        );
        let option = |prefix: &str, path: &Path, suffix: &str| {
            let mut option = OsString::from(prefix);
            option.push(path);
            option.push(suffix);
            option
        };
        let mut qemu = tokio::process::Command::new("qemu-system-x86_64");
        qemu.args([
            "-M",
            "microvm,accel=tcg,acpi=off,rtc=off",
            "-cpu",
            &std::env::var("TCPU").unwrap_or("max".into()),
            "-m",
            "512",
        ])
        .args(["-smp", "1", "-nodefaults", "-no-user-config", "-nographic", "-no-reboot"])
        .args(["-serial", "stdio", "-append", &cmdline])
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(initramfs)
        .args(["-device", "virtio-serial-device,max_ports=2", "-chardev"])
        .arg(option("socket,id=agent,path=", &socket, ""))
        .args(["-device", &format!("virtserialport,chardev=agent,name={SERIAL_PORT_NAME}")])
        .arg("-drive")
        .arg(option(
            "if=none,id=upper,format=raw,discard=unmap,file=",
            &directory.join("upper"),
            "",
        ))
        .args(["-device", "virtio-blk-device,drive=upper,serial=upper", "-fsdev"])
        .arg(option("local,id=share,security_model=none,path=", &directory.join("share"), ""))
        .args(["-device", "virtio-9p-device,fsdev=share,mount_tag=share"])
        .args(["-netdev", "user,id=net,restrict=on"])
        .args(["-device", &format!("virtio-net-device,netdev=net,mac={MAC}")])
        .stdin(Stdio::null())
        .stdout(File::create(directory.join("console")).unwrap())
        .kill_on_drop(true);
        if !layers.is_empty() {
            qemu.arg("-drive")
                .arg(option(
                    "if=none,id=layers,format=vmdk,readonly=on,file=",
                    &directory.join("layers.vmdk"),
                    "",
                ))
                .args(["-device", "virtio-blk-device,drive=layers,serial=layers"]);
        }
        let mut qemu = qemu.spawn().unwrap();
        boots("qemu");
        let channel = async {
            let (mut channel, _) = listener.accept().await.unwrap();
            greet(&mut channel, nonce).await.map(|()| channel)
        };
        let channel = tokio::select! {
            channel = tokio::time::timeout(PATIENCE, channel) => channel.unwrap().unwrap(),
            status = qemu.wait() => panic!("QEMU ended: {status:?}: {}", console(directory)),
        };
        let opener = mux::host(channel);
        let control = opener.open(mux::CONTROL).await.unwrap();
        let client = AgentClient::new(Client::new(Socket::new(control)));
        let layers = layers.to_vec();
        Self { qemu, client, opener, next_stream: 0, directory: directory.into(), layers }
    }

    /// The configuration of a machine with the disks it has.
    pub fn config(&self) -> InitConfig {
        let mut root = RootFs::new();
        root.layers_device = "serial:layers".into();
        root.layers.clone_from(&self.layers);
        root.upper_device = "serial:upper".into();
        let mut config = InitConfig::new();
        config.hostname = "box".into();
        config.root = MessageField::some(root);
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        config.wall_clock_ns = i64::try_from(now.as_nanos()).unwrap();
        config
    }

    /// What QEMU's own network expects.
    pub fn network() -> Network {
        let mut network = Network::new();
        network.mac = MAC.to_uppercase();
        network.address = "10.0.2.15".into();
        network.prefix = 24;
        network.gateway = "10.0.2.2".into();
        network.mtu = 1400;
        network
    }

    pub async fn configure(&self, config: &InitConfig) -> Configured {
        let answer = self.client.configure(deadline(), config).await;
        answer.unwrap_or_else(|e| panic!("{e}: {}", console(&self.directory)))
    }

    /// What QEMU has used of this machine's CPUs: unlike the time on the wall,
    /// it can be compared from one run to the next.
    pub fn cpu_time(&self) -> Duration {
        let pid = self.qemu.id().expect("a running QEMU");
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        // After the name in parentheses, utime and stime are the 12th and 13th.
        let fields = stat.rsplit(')').next().unwrap().split_whitespace().skip(11).take(2);
        let ticks: u64 = fields.map(|field| field.parse::<u64>().unwrap()).sum();
        // USER_HZ is 100 on every machine that this runs on.
        Duration::from_millis(ticks * 10)
    }

    pub fn stream_id(&mut self) -> u32 {
        self.next_stream += 1;
        self.next_stream
    }

    /// What `start` says to a command that is to be refused.
    pub async fn refuse(&mut self, process: Process) -> (mvm_proto::StartFailureKind, String) {
        let mut process = process;
        process.id = format!("p{}", self.stream_id());
        let mut answer = self.client.start(deadline(), &process).await.unwrap();
        assert!(answer.has_failure(), "{answer:?}");
        let failure = answer.take_failure();
        (failure.kind.unwrap(), failure.message)
    }

    pub async fn start(&self, process: &Process) -> Started {
        let answer = self.client.start(deadline(), process).await.unwrap();
        assert!(answer.has_pid(), "{answer:?}");
        answer
    }

    pub async fn wait(&self, id: &str) -> Exit {
        let mut request = WaitRequest::new();
        request.id = id.into();
        self.client.wait(deadline(), &request).await.unwrap()
    }

    /// Runs a command with all three streams to its end.
    pub async fn run(&mut self, mut process: Process, input: &[u8]) -> Output {
        let ids = [self.stream_id(), self.stream_id(), self.stream_id()];
        process.id = format!("p{}", ids[0]);
        [process.stdin, process.stdout, process.stderr] = ids;
        let mut stdin = self.opener.open(ids[0]).await.unwrap();
        let mut stdout = self.opener.open(ids[1]).await.unwrap();
        let mut stderr = self.opener.open(ids[2]).await.unwrap();
        self.start(&process).await;
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let write = async {
            // A process that does not read its input ends the stream.
            if stdin.write_all(input).await.is_ok() {
                let _ = stdin.shutdown().await;
            }
        };
        let all = async {
            let (_, a, b, exit) = tokio::join!(
                write,
                stdout.read_to_end(&mut out),
                stderr.read_to_end(&mut err),
                self.wait(&process.id)
            );
            (a.unwrap(), b.unwrap(), exit)
        };
        let (_, _, exit) = tokio::time::timeout(PATIENCE, all).await.unwrap_or_else(|_| {
            panic!("no end of {:?}: {}", process.args, console(&self.directory))
        });
        Output { stdout: out, stderr: err, exit }
    }

    pub async fn shell(&mut self, script: &str) -> Output {
        self.run(command(&["sh", "-c", script]), b"").await
    }

    /// Ends the VM. How long that took.
    pub async fn shut_down(mut self, grace: Duration) -> Duration {
        let mut request = ShutdownRequest::new();
        request.grace_ms = u32::try_from(grace.as_millis()).unwrap();
        let since = Instant::now();
        // The end of the VM is the answer.
        let _ = self.client.shutdown(deadline(), &request).await;
        assert!(self.ended().await.success());
        since.elapsed()
    }

    /// Lets go of the channel.
    pub async fn hang_up(mut self) {
        self.client = AgentClient::new(Client::new(Socket::new(tokio::io::duplex(1).0)));
        self.opener = mux::host(tokio::io::duplex(1).0);
        assert!(self.ended().await.success());
    }

    async fn ended(&mut self) -> ExitStatus {
        match tokio::time::timeout(PATIENCE, self.qemu.wait()).await {
            Ok(status) => status.unwrap(),
            Err(_) => panic!("the VM does not end: {}", console(&self.directory)),
        }
    }
}

pub fn deadline() -> context::Context {
    context::with_duration(PATIENCE)
}

pub fn command(words: &[&str]) -> Process {
    let mut process = Process::new();
    process.args = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    process.capabilities = capabilities::DEFAULT;
    process
}

pub fn console(directory: &Path) -> String {
    fs::read_to_string(directory.join("console")).unwrap_or_default()
}

/// The rate of the time-stamp counter, which the guest's ticks at as well.
fn tsc_khz() -> u64 {
    // SAFETY: RDTSC is part of x86_64 and touches no memory.
    let counter = || unsafe { std::arch::x86_64::_rdtsc() };
    let (clock, start) = (Instant::now(), counter());
    std::thread::sleep(Duration::from_millis(50));
    (counter() - start) * 1_000_000 / u64::try_from(clock.elapsed().as_nanos()).unwrap()
}
